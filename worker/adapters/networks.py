"""Which machines may speak for others: networks by name or CIDR."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Network = IPv4Network | IPv6Network
NAMED = {
    "loopback": ("127.0.0.0/8", "::1/128"),
    "private": ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7", "fe80::/10"),
    "none": (),
}
#: One household or company has as many IPv6 addresses as it likes, all in one of these.
_HOME_BITS = 64


def networks_of(names: Sequence[str]) -> tuple[Network, ...]:
    """Networks by CIDR, or `loopback`, `private`, `none`; raises ValueError."""
    found: list[Network] = []
    for name in names:
        try:
            found += [ip_network(one) for one in NAMED.get(name, (name,))]
        except ValueError as error:
            known = ", ".join(NAMED)
            raise ValueError(f"{name!r} is no network: 10.0.0.0/8, or one of {known}") from error
    return tuple(found)


def client_of(peer: str, forwarded: str, trusted: Sequence[Network]) -> str:
    """Who asks: the peer, or whom trusted proxies name, from the right (`X-Forwarded-For`).

    An IPv6 address stands for its /64.
    """
    client = _address(peer)
    for named in reversed(forwarded.split(",") if forwarded else []):
        if client is None or not any(client in network for network in trusted):
            break
        before = _address(named.strip())
        if before is None:
            break
        client = before
    if client is None:
        return ""
    if isinstance(client, IPv6Address):
        return str(ip_network((client, _HOME_BITS), strict=False))
    return str(client)


def _address(text: str) -> IPv4Address | IPv6Address | None:
    """An address, without a port or brackets; an IPv4 address in IPv6 clothes is one."""
    bare = text.removeprefix("[").partition("]")[0] if text.startswith("[") else text
    if bare.count(":") == 1:
        bare = bare.partition(":")[0]
    try:
        found = ip_address(bare)
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return mapped or found
