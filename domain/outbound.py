"""Where requests of ours may go: public addresses over https, and what an operator allows (D18).

Whoever sets an address (of an endpoint, of a provider) must not reach what only this machine can.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from urllib.parse import SplitResult, urlsplit

from domain.errors import UsageError

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

LONGEST_URL = 2000
#: Public by their number, but of the machine's own cloud: its metadata and agents (Azure).
_OF_THE_CLOUD = frozenset({ip_address("168.63.129.16")})
#: IPv6 that carries an IPv4 address: translated by NAT64 (RFC 6052), compatible (RFC 4291).
_NAT64 = IPv6Network("64:ff9b::/96")
_COMPATIBLE = IPv6Network("::/96")
#: Of IANA's special registries, for Pythons that do not know them yet or see them otherwise.
_SPECIAL: tuple[Network, ...] = (
    IPv4Network("192.0.0.0/24"),
    IPv4Network("192.88.99.0/24"),
    IPv6Network("64:ff9b:1::/48"),
    IPv6Network("100::/64"),
    IPv6Network("2001::/23"),
    IPv6Network("2001:db8::/32"),
    IPv6Network("3fff::/20"),
    IPv6Network("5f00::/16"),
    IPv6Network("fec0::/10"),
)


@dataclass(frozen=True, slots=True)
class Allowed:
    """What ROSTERD_OUTBOUND_ALLOW opens: networks by address, hosts by their exact name.

    There http is taken, too, for what is inside needs no certificate.
    """

    networks: tuple[Network, ...] = ()
    hosts: frozenset[str] = frozenset()

    def opens(self, host: str, address: Address) -> bool:
        """Whether this address may be reached, whatever it is."""
        return host in self.hosts or any(
            address in network for network in self.networks if network.version == address.version
        )


def parse_allowed(text: str) -> Allowed:
    """`10.1.0.0/16, 127.0.0.1, app.internal` -> what they open; raises UsageError."""
    networks: list[Network] = []
    hosts: set[str] = set()
    for entry in filter(None, (part.strip().lower() for part in text.split(","))):
        try:
            networks.append(ip_network(entry.strip("[]")))
        except ValueError as error:
            if "/" in entry or ":" in entry or not _is_name(entry):
                raise UsageError(f"{entry!r} is neither a network nor a host: {error}") from error
            hosts.add(entry.rstrip("."))
    return Allowed(tuple(networks), frozenset(hosts))


def _is_name(text: str) -> bool:
    return all(part and part.replace("-", "a").isalnum() for part in text.rstrip(".").split("."))


def why_closed(address: Address) -> str | None:
    """Why nobody may be sent to this address unless it is allowed; None for a public one."""
    for one in _meant_by(address):
        if one in _OF_THE_CLOUD:
            return "belongs to the cloud that this machine runs in"
        if one.is_multicast or one.is_reserved or one.is_unspecified or not one.is_global:
            return "is not public"
        if any(one in network for network in _SPECIAL if network.version == one.version):
            return "is not public"
    return None


def _meant_by(address: Address) -> Iterator[Address]:
    """The address and the IPv4 addresses that it leads to."""
    if not isinstance(address, IPv6Address):
        yield address
        return
    if address.ipv4_mapped is not None:
        yield address.ipv4_mapped
        return
    yield address
    if address.sixtofour is not None:
        yield address.sixtofour
    if address.teredo is not None:
        yield from address.teredo
    if address in _NAT64 or address in _COMPATIBLE:
        yield IPv4Address(int(address) & 0xFFFFFFFF)


def check_url(url: str, allowed: Allowed) -> str:
    """An address that requests may be sent to, as far as its text tells; raises UsageError.

    What its name leads to is judged when a connection is made, each time.
    """
    text = url.strip()
    parts = _split(text)
    host = host_of(parts)
    literal = _literal(host)
    if parts.scheme == "http" and not _opens_http(host, literal, allowed):
        raise UsageError(
            f"{url!r}: https is needed; http is taken where ROSTERD_OUTBOUND_ALLOW names the host"
        )
    if literal is not None and not allowed.opens(host, literal):
        why = why_closed(literal)
        if why is not None:
            raise UsageError(
                f"{url!r}: {host} {why}; ROSTERD_OUTBOUND_ALLOW may name it, if it is meant"
            )
    return text


def _split(text: str) -> SplitResult:
    if len(text) > LONGEST_URL or not text.isascii() or not text.isprintable() or " " in text:
        raise UsageError(f"a URL is at most {LONGEST_URL} printable ASCII characters")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise UsageError(f"{text!r} is no URL: {error}") from error
    if parts.scheme not in ("https", "http") or not parts.hostname or port == 0:
        raise UsageError(f"{text!r} is no URL such as https://app.example.com/hooks")
    if parts.username is not None or parts.password is not None:
        raise UsageError("the URL holds a name or password: requests are signed, they need none")
    if "#" in text or "\\" in text:
        raise UsageError(f"{text!r}: no # and no \\ in a URL that requests are sent to")
    return parts


def host_of(parts: SplitResult) -> str:
    """The host in the form in which it is compared: lower case, without a final dot."""
    return (parts.hostname or "").rstrip(".")


def _literal(host: str) -> Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _opens_http(host: str, literal: Address | None, allowed: Allowed) -> bool:
    """A name may lead into an allowed network: that is judged when a connection is made."""
    if host in allowed.hosts:
        return True
    return bool(allowed.networks) if literal is None else allowed.opens(host, literal)
