"""SCIM 2.0 at `/scim/v2` (RFC 7642-7644): identity providers push, and are answered the truth."""

from worker.web.scim.front import PREFIX, Scim

__all__ = ["PREFIX", "Scim"]
