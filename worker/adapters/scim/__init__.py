"""The protocol of SCIM 2.0 (RFC 7642-7644) over plain objects: no database, no web framework."""
