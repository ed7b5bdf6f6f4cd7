"""Scopes of bearer tokens, and what goes together (C3)."""

from __future__ import annotations

from collections.abc import Sequence

from domain.errors import UsageError

#: What a provider's own token may do, and for which feed it speaks.
OF_A_FEED = ("scim:read", "scim:write")
#: What these open is not divided by account.
OF_ALL_ACCOUNTS = ("metrics", "operator")
SCOPES = (
    *OF_A_FEED,
    *("directory:read", "directory:write", "operations:read", "operations:write"),
    *OF_ALL_ACCOUNTS,
)


def check_scopes(scopes: Sequence[str], *, account: str | None, feed: str | None) -> None:
    """Raises UsageError for an unknown scope, or one that does not go with account or feed."""
    if any(text not in SCOPES for text in scopes):
        raise UsageError(f"a scope is unknown; there are: {', '.join(SCOPES)}")
    of_all = [text for text in scopes if text in OF_ALL_ACCOUNTS]
    if account is not None and of_all:
        raise UsageError(f"scope {of_all[0]!r} tells of all accounts: it goes with no account")
    if feed is not None and (account is not None or not set(scopes) <= set(OF_A_FEED)):
        raise UsageError(f"a feed goes with the scopes {', '.join(OF_A_FEED)}, and no account")
