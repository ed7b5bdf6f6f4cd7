"""What follows from a change of a person: links, mails and the audit row (E2, E3, E6, U4)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from domain.model import Person, PersonState
from domain.ports import Effect


class LinkKind(StrEnum):
    """What a member's single-use link is good for."""

    INVITATION = "invitation"
    EMAIL_CHANGE = "email_change"


class NoticeKind(StrEnum):
    """What a mail tells its reader."""

    INVITATION = "invitation"
    EMAIL_CHANGE = "email_change"
    EMAIL_CHANGE_NOTE = "email_change_note"
    OPERATOR_ALERT = "operator_alert"


@dataclass(frozen=True, slots=True)
class LinkWanted:
    """The one link that a person should have open now."""

    kind: LinkKind
    address: str


@dataclass(frozen=True, slots=True)
class Consequence:
    """The net effect of a batch on one person's links.

    wanted None: whatever is open dies, nothing replaces it. note_to: the address in force
    that hears of a change to another one (E2).
    """

    person: Person
    wanted: LinkWanted | None
    note_to: str | None = None


def link_of(person: Person | None) -> LinkWanted | None:
    """The link that a person's state calls for."""
    if person is None:
        return None
    if person.state is PersonState.INVITED:
        return LinkWanted(LinkKind.INVITATION, person.email)
    if person.state is PersonState.ACTIVE and person.pending is not None:
        return LinkWanted(LinkKind.EMAIL_CHANGE, person.pending)
    return None


def consequences(effects: Iterable[Effect]) -> list[Consequence]:
    """Net effect per person: a batch that suspends and brings back mails nobody."""
    first: dict[str, Person | None] = {}
    last: dict[str, Person] = {}
    for effect in effects:
        first.setdefault(effect.after.id, effect.before)
        last[effect.after.id] = effect.after
    found = [follows(before, last[key]) for key, before in first.items()]
    return [consequence for consequence in found if consequence is not None]


def follows(before: Person | None, after: Person) -> Consequence | None:
    """What becomes of a person's links; None where they stay as they are."""
    wanted = link_of(after)
    if wanted == link_of(before):
        return None
    changes = wanted is not None and wanted.kind is LinkKind.EMAIL_CHANGE
    return Consequence(after, wanted, after.email if changes else None)


def audit_view(person: Person | None) -> dict[str, str | bool | None] | None:
    """A person as an audit row shows it."""
    if person is None:
        return None
    return {
        "email": person.email,
        "requested_email": person.requested,
        "state": person.state.value,
        "managed": person.is_managed,
        "external_id": person.user,
        **{f"profile.{name}": value for name, value in sorted(person.profile.items())},
    }
