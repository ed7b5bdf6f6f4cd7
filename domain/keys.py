"""Ids of values that are known by their owner and the IdP's own id, as text."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode

from domain.errors import NothingFoundError
from domain.values import normalise_address


def user_id(connection: str, key: str) -> str:
    """A subject. Connection ids have one length, so no two pairs give the same text."""
    return f"{connection}:{key}"


def group_id(connection: str, key: str) -> str:
    """A group of a connection."""
    return f"{connection}:{key}"


#: How the public id of a group that an identity provider made begins: its own id may hold anything.
ENCODED = "idp_"


def group_ref(id_: str) -> str:
    """The id of a group as applications and paths carry it."""
    return ENCODED + urlsafe_b64encode(id_.encode()).decode().rstrip("=")


def row_number(ref: str, what: str) -> int:
    """An id that is a number, as events have; raises NothingFoundError for what cannot be one."""
    if not ref.isascii() or not ref.isdecimal() or not 0 < int(ref[:20]) < 2**63:
        raise NothingFoundError(what, ref)
    return int(ref[:20])


def letter_number(ref: str) -> int:
    """An event's id, or minus the letter's for `d` and a number; raises NothingFoundError."""
    try:
        number = row_number(ref.removeprefix("d"), "dead letter")
    except NothingFoundError:
        raise NothingFoundError("dead letter", ref) from None
    return -number if ref.startswith("d") else number


def behind_group_ref(ref: str) -> str | None:
    """The id that `group_ref` made this of; None for any other text."""
    try:
        id_ = urlsafe_b64decode(ref.removeprefix(ENCODED).encode("ascii") + b"==").decode()
    except (ValueError, UnicodeError):
        return None
    return id_ if group_ref(id_) == ref and "\0" not in id_ else None


def group_known_as(ref: str) -> str:
    """The id of a group as tables have it, by either form that is shown of it."""
    return behind_group_ref(ref) or ref


def edge_id(connection: str, group: str, user: str) -> str:
    """A membership; the length of the group's key keeps pairs apart."""
    return f"{connection}:{len(group)}:{group}:{user}"


def address_id(account: str, address: str) -> str:
    """An address of an account, in the form in which two addresses are the same."""
    return f"{account}:{normalise_address(address)}"


def when_settled(user: str) -> str:
    """Wait key: the subject with this id changed."""
    return f"s:{user}"


def when_user_seen(user: str) -> str:
    """Wait key: the subject with this id got a person."""
    return f"u:{user}"


def when_group_seen(group: str) -> str:
    """Wait key: the group with this id was described."""
    return f"g:{group}"


def when_free(address: str) -> str:
    """Wait key: the address with this id was given up, or its holder was suspended."""
    return f"a:{address}"
