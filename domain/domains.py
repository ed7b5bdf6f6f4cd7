"""Which hosts an account's list of domains takes: exact names, and wildcards for what is below."""

from __future__ import annotations

from collections.abc import Collection

#: `*.example.com`: every name below example.com, and not example.com itself (E4).
BELOW = "*."


def listed_by(host: str, listed: Collection[str]) -> str | None:
    """The entry that takes this host, or None; as many look-ups as the host has dots.

    host: lower case, A-labels, as `domain.values.domain_of` gives it.
    """
    if host.startswith(("*", ".")) or ".." in host:
        return None
    if host in listed:
        return host
    dot = host.find(".")
    while dot >= 0:
        entry = f"*{host[dot:]}"
        if entry in listed:
            return entry
        dot = host.find(".", dot + 1)
    return None
