"""What of a request says how it is built, and nothing of anybody: `disguise` lets it stand."""

from __future__ import annotations

import re

#: Members whose values are types, in lower case.
TELLING = frozenset(
    {
        *("type", "eventtype", "event_type", "event_type_id", "event", "schemas", "op", "kind"),
        *("changetype", "resourcetype", "operationtype", "object", "format", "alg", "typ"),
        *("cloudeventsversion", "eventtypeversion", "specversion", "spec_version", "version"),
        *("contenttype", "aggregatetype", "@odata.type", "applicationname", "method", "change"),
        *("lifecycleevent", "a0purpose", "member_type", "user_type", "usertype"),
    }
)
#: Members that hold a state, and the words that are taken for one.
STATES = frozenset({"state", "status", "result", "lifecycle", "active", "enabled", "outcome"})
STATE_WORDS = frozenset(
    {
        *("active", "inactive", "suspended", "deactivated", "deprovisioned", "provisioned"),
        *("staged", "recovery", "locked", "locked_out", "password_expired", "deleted", "blocked"),
        *("success", "failure", "failed", "allow", "deny", "skipped", "unknown", "pending"),
        *("enabled", "disabled", "account_ok", "ok", "activated"),
        *("add", "update", "delete", "undelete", "exists"),
    }
)
#: Members that hold a moment as a number, between 2001 and 2096 in seconds to nanoseconds.
CLOCKS = frozenset(
    {
        *("time", "timestamp", "createinstant", "iat", "exp", "nbf", "toe", "event_timestamp"),
        *("insertinstant", "lastupdateinstant", "created_at", "updated_at", "createdat"),
        *("updatedat", "occurred_at"),
    }
)
FIRST, LAST = 10**9, 4 * 10**18
#: Members whose values are paths or filters.
PATHS = frozenset({"path", "filter", "resourcepath", "resource"})
#: Words of paths and filters.
WORDS = frozenset(
    {
        *("api", "v1", "v2", "v3", "users", "user", "groups", "group", "members", "member"),
        *("memberOfGroups", "environments", "activities", "populations", "admin", "realms"),
        *("children", "roles", "directory", "directories", "organizations", "tenants", "apps"),
        *("applications", "Users", "Groups", "Me", "Bulk", "scim", "https", "http", "auth"),
        *("value", "eq", "and", "or", "emails", "type", "active", "name", "givenName"),
        *("familyName", "userName", "displayName", "externalId", "primary", "work", "home"),
        *("other", "formatted", "title", "manager", "phoneNumbers", "addresses", "urn", "graph"),
        *("www", "login", "sso", "id"),
    }
)
#: Names of hosts that belong to vendors, not to their customers.
VENDORS = (
    *("pingone.com", "pingone.eu", "pingone.asia", "pingone.ca", "pingone.com.au", "okta.com"),
    *("oktapreview.com", "okta-emea.com", "onelogin.com", "auth0.com", "microsoft.com"),
    *("windows.net", "googleapis.com", "google.com", "workos.com", "clerk.com", "scalekit.com"),
)
#: A name of a member: what is longer, holds a blank, an address or a number is none.
MEMBER = re.compile(
    r"@odata\.[A-Za-z.]{1,40}|[A-Za-z]{1,40}@(delta|odata\.[A-Za-z.]{1,40})"
    r"|urn:(ietf|scim):[A-Za-z0-9:._-]{1,120}|https?://schemas\.[a-z]+\.[a-z]+/[A-Za-z0-9/._-]{1,120}"
    r"|[A-Za-z_$][A-Za-z_$.:/-]{0,79}\d?"
)
#: A value that is the name of a schema or an event.
IDENTIFIER = re.compile(
    r"urn:ietf:params:[A-Za-z0-9:._-]{1,120}|https?://schemas\.[a-z]+\.[a-z]+/[A-Za-z0-9/._-]{1,120}"
)
#: A constant: capitals with lines between; or, in small letters, of these parts only.
CONSTANT = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)+")
SNAKE = re.compile(r"[a-z]+(_[a-z]+)+")
PARTS = frozenset(
    {
        *("add", "remove", "create", "delete", "update", "change", "suspend", "unsuspend"),
        *("member", "members", "group", "groups", "user", "users", "role", "id", "email", "name"),
        *("moderator", "action", "login", "logout", "success", "failure", "settings", "owner"),
    }
)
#: A type: one word, with dots and the like.
TYPE = re.compile(r"[A-Za-z0-9_.:/#-]{1,80}")
MOMENT = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?( UTC|[Zz]|[+-]\d\d:?\d\d)?")
UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
#: A user agent that names a program.
PRODUCT = re.compile(r"[A-Za-z0-9 ._/();,+-]{1,120}")
#: How vendors begin their ids.
PREFIX = re.compile(
    r"(user|org|evt|event|idn|ins|grp|msg|directory_user|directory_group|directory|diruser"
    r"|dirgroup|dir)_|(auth0|google-oauth2|samlp|waad)\|"
)
#: Letters beyond ASCII, by the bytes that each takes.
LETTERS = {2: "éèü", 3: "字文", 4: "𐐨𐐩"}
