"""Lines of an import: what each asks for, and what becomes of it. Only ever adds.

What is there already and says the same is unchanged, what says otherwise is refused: so the same
file read twice changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from domain.connecting import check_address
from domain.display import JOINERS, has_hidden
from domain.errors import RefusedError, UsageError
from domain.model import Person, PersonState, Role
from domain.own_groups import (
    OwnGroup,
    check_group_name,
    insist_by_hand,
    insist_joinable,
    is_built_in_name,
)
from domain.values import domain_of, normalise_address

PROFILE = ("given_name", "family_name", "display_name")
LONGEST_NAME = 255
#: RFC 5321: the part before the @.
LONGEST_LOCAL = 64
#: What a line may hold, as `directory export` prints it and as the header of a CSV file names it.
KNOWN = frozenset(
    {
        *PROFILE,
        "connection",
        "effective",
        "email",
        "external_id",
        "group",
        "kind",
        "managed",
        "name",
        "requested_email",
        "role",
        "state",
        "user",
    }
)
#: States in which somebody may come in: that an address was proven is the operator's word.
STATES = (
    PersonState.INVITED,
    PersonState.ACTIVE,
    PersonState.SUSPENDED,
    PersonState.INVITED_SUSPENDED,
)


class RefusedLineError(Exception):
    """A line that is not taken. code: for programs; the message: for whoever mends the file."""

    def __init__(self, code: str, why: str) -> None:
        super().__init__(why)
        self.code = code


class Kind(StrEnum):
    """What a line is about."""

    USER = "user"
    GROUP = "group"
    MEMBERSHIP = "membership"


@dataclass(frozen=True, slots=True)
class Entry:
    """What a line asks for. role, profile: only what it says. group: of whom it tells, "" if none.

    A line about a user may also name a group, which they are to be in.
    """

    kind: Kind
    email: str = ""
    group: str = ""
    role: Role | None = None
    state: PersonState = PersonState.INVITED
    profile: Mapping[str, str] = field(default_factory=dict)


class Known(Protocol):
    """What is there, with what the lines before this one added."""

    def holder(self, email: str) -> Person | None:
        """Who has the address, in force or pending."""
        ...

    def group(self, name: str) -> OwnGroup | None:
        """The group of that name, whoever made it."""
        ...

    def is_member(self, group: OwnGroup, person: Person) -> bool:
        """Whether the person was put into the group by hand."""
        ...

    def allows(self, email: str) -> bool:
        """Whether the account takes addresses of that domain (E4)."""
        ...


@dataclass(frozen=True, slots=True)
class Additions:
    """What a line adds; nothing where all of it was there."""

    person: Person | None = None
    group: OwnGroup | None = None
    member: tuple[OwnGroup, Person] | None = None

    @property
    def is_nothing(self) -> bool:
        """Whether the line changes nothing."""
        return self.person is None and self.group is None and self.member is None


def entry_of(fields: Mapping[str, object]) -> Entry:
    """What a decoded line asks for; raises RefusedLineError."""
    unknown = sorted(set(fields) - KNOWN)
    if unknown:
        known = ", ".join(sorted(KNOWN))
        raise RefusedLineError("unknown_field", f"{unknown[0]!r} is unknown; there are: {known}")
    if fields.get("connection") or fields.get("managed") is True:
        raise RefusedLineError(
            "managed", "this comes from an identity provider, which tells of it itself"
        )
    kind = _kind(fields)
    if kind is Kind.GROUP:
        return Entry(kind, group=_group_name(fields, "name", "group"))
    email = _address(fields, *(("email",) if kind is Kind.USER else ("user", "email")))
    if kind is Kind.MEMBERSHIP:
        return Entry(kind, email, _group_name(fields, "group", "name"))
    return Entry(
        kind,
        email,
        _group_name(fields, "group") if fields.get("group") else "",
        _role(fields),
        _state(fields),
        _profile(fields),
    )


def _kind(fields: Mapping[str, object]) -> Kind:
    word = _text(fields, "kind") or Kind.USER.value
    if word not in list(Kind):
        raise RefusedLineError("bad_kind", f"kind {word!r}: one of {', '.join(Kind)}")
    return Kind(word)


def _text(fields: Mapping[str, object], name: str) -> str:
    value = fields.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise RefusedLineError("malformed", f"{name} is no text")
    if has_hidden(value, allowed=JOINERS):
        raise RefusedLineError(
            "bad_text", f"{name}: it holds a character that nobody sees, or that turns text around"
        )
    return value.strip()


def _first(fields: Mapping[str, object], names: tuple[str, ...]) -> str:
    return next((text for name in names if (text := _text(fields, name))), "")


def _group_name(fields: Mapping[str, object], *names: str) -> str:
    text = _first(fields, names)
    if is_built_in_name(text):
        return text
    try:
        return check_group_name(text)
    except UsageError as error:
        raise RefusedLineError("bad_group", str(error)) from error


def _address(fields: Mapping[str, object], *names: str) -> str:
    text = _first(fields, names)
    try:
        email = check_address(text)
    except UsageError as error:
        told = "" if "@" in text or not text else "; groups hold people, and no groups"
        raise RefusedLineError("bad_address", f"{error}{told}") from error
    if not email.isprintable() or len(email.rpartition("@")[0]) > LONGEST_LOCAL:
        raise RefusedLineError("bad_address", f"no mail reaches {email!r}")
    if not domain_of(email).isascii() or any(c.isspace() for c in email):
        raise RefusedLineError("bad_address", f"no mail reaches {email!r}")
    return email


def _role(fields: Mapping[str, object]) -> Role | None:
    word = _text(fields, "role")
    if word and word not in list(Role):
        raise RefusedLineError("bad_role", f"role {word!r}: one of {', '.join(Role)}")
    return Role(word) if word else None


def _state(fields: Mapping[str, object]) -> PersonState:
    word = _text(fields, "state")
    if word and word not in STATES:
        raise RefusedLineError("bad_state", f"state {word!r}: one of {', '.join(STATES)}")
    return PersonState(word) if word else PersonState.INVITED


def _profile(fields: Mapping[str, object]) -> dict[str, str]:
    found = {name: text for name in PROFILE if (text := _text(fields, name))}
    for name, text in found.items():
        if len(text) > LONGEST_NAME:
            raise RefusedLineError("bad_text", f"{name}: {LONGEST_NAME} characters at most")
    return found


def additions(
    entry: Entry, known: Known, *, account: str, new_user: str, new_group: str
) -> Additions:
    """What an entry adds to what is known; raises RefusedLineError.

    new_user, new_group: ids for whom or what it makes.
    """
    try:
        if entry.kind is Kind.GROUP:
            return _for_group(entry, known, account, new_group)
        if entry.kind is Kind.USER:
            return _for_user(entry, known, account, new_user)
        return Additions(member=_for_member(entry, known, known.holder(entry.email)))
    except RefusedError as error:
        raise RefusedLineError(error.code, str(error)) from error


def _for_group(entry: Entry, known: Known, account: str, new_group: str) -> Additions:
    found = known.group(entry.group)
    if found is not None:
        if not found.is_built_in:
            insist_by_hand(found)
        return Additions()
    if is_built_in_name(entry.group):
        raise RefusedLineError("bad_group", f"{entry.group!r} is the name of a built-in group (G5)")
    return Additions(group=OwnGroup(new_group, account, entry.group))


def _for_user(entry: Entry, known: Known, account: str, new_user: str) -> Additions:
    holder = known.holder(entry.email)
    if holder is not None:
        _insist_same(entry, holder)
        return Additions(member=_for_member(entry, known, holder) if entry.group else None)
    if not known.allows(entry.email):
        raise RefusedLineError(
            "domain_not_allowed",
            f"domain {domain_of(entry.email)} is not on the account's list (E4): "
            "`rosterd domain allow`, or --any-domain",
        )
    made = Person(
        id=new_user,
        account=account,
        email=entry.email,
        requested=entry.email,
        state=entry.state,
        is_accepted=entry.state in (PersonState.ACTIVE, PersonState.SUSPENDED),
        role=entry.role or Role.MEMBER,
        profile=entry.profile,
    )
    member = _for_member(entry, known, made) if entry.group else None
    return Additions(person=made, member=member)


def _insist_same(entry: Entry, holder: Person) -> None:
    """The address is this person's, and nothing that the line says is otherwise."""
    if normalise_address(holder.email) != normalise_address(entry.email):
        raise RefusedLineError(
            "address_taken", f"{entry.email} waits for the yes of person {holder.id} (E8)"
        )
    if holder.is_managed:
        raise RefusedLineError(
            "address_taken",
            f"{entry.email} belongs to person {holder.id}, whom connection {holder.connection} "
            "governs (E8)",
        )
    said = {**entry.profile, **({"role": entry.role.value} if entry.role is not None else {})}
    has = {**holder.profile, "role": holder.role.value}
    other = [name for name, value in said.items() if has.get(name) != value]
    if other:
        raise RefusedLineError(
            "differs",
            f"person {holder.id} has another {', '.join(other)}: an import changes nobody",
        )


def _for_member(
    entry: Entry, known: Known, person: Person | None
) -> tuple[OwnGroup, Person] | None:
    group = known.group(entry.group)
    if group is None:
        raise RefusedLineError("unknown_group", f"there is no group {entry.group!r}")
    if person is None:
        raise RefusedLineError("unknown_user", f"nobody has the address {entry.email}")
    insist_joinable(group, person)
    return None if known.is_member(group, person) else (group, person)
