"""Which attribute of a person is the address (E9): read from changes, and from what is known."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from domain.changes import (
    AssignUser,
    Change,
    ChangeEmail,
    ProvisionUser,
    SuspendUser,
    UpdateProfile,
)
from domain.errors import UsageError
from domain.model import UserFacts
from domain.ports import UnparseableError
from domain.values import is_mailable

#: The source's own address, whatever it calls it.
DEFAULT = "default"
#: Any attribute that a person may have: `attributes.work_email`.
FREE = "attributes."
#: Where the source's own address is kept, among the attributes, while another one is the rule.
TOLD = "address_told"


@dataclass(frozen=True, slots=True)
class NewAddress:
    """The address that another rule gives a subject. before: what the IdP asked for last."""

    user: str
    before: str
    after: str


def check_rule(rule: str, offered: Collection[str], source: str) -> None:
    """Raise UsageError unless the source tells this attribute; `attributes.` offers any name."""
    is_free = rule.startswith(FREE)
    if rule == DEFAULT or (FREE in offered and rule != FREE if is_free else rule in offered):
        return
    known = ", ".join([DEFAULT, *(f"{FREE}NAME" if one == FREE else one for one in offered)])
    raise UsageError(f"address={rule!r}: source {source} tells {known}")


def attribute_of(rule: str) -> str:
    """Under which name of a profile the rule's attribute is kept."""
    return TOLD if rule == DEFAULT else rule.removeprefix(FREE)


def readdressed(changes: tuple[Change, ...], rule: str) -> tuple[Change, ...]:
    """The changes with the address that the rule names; raises UnparseableError for none.

    An attribute that an event does not tell leaves the address as it is (D15).
    """
    if rule == DEFAULT:
        return changes
    return tuple(part for change in changes for part in _parts(change, rule))


def _parts(change: Change, rule: str) -> tuple[Change, ...]:
    """Another value of the attribute alone changes the address, too."""
    name = attribute_of(rule)
    if not isinstance(change, UpdateProfile) or change.profile.get(name) is None:
        return (_readdressed(change, rule),)
    email = _address(change.profile, rule, is_out=False)
    return (change, ChangeEmail(change.user, email, is_read_anew=True))


def _readdressed(change: Change, rule: str) -> Change:
    match change:
        case ProvisionUser():
            profile = {**change.profile, TOLD: change.email or None}
            email = _address(profile, rule, is_out=change.active is False)
            return ProvisionUser(change.user, email, profile, change.active, change.user_type)
        case ChangeEmail() if not change.is_read_anew:
            return UpdateProfile(change.user, {TOLD: change.email})
        case AssignUser():
            profile = {**change.profile, TOLD: change.email}
            return AssignUser(change.user, change.app, None, profile)
        case _:
            return change


def _address(profile: Mapping[str, str | None], rule: str, *, is_out: bool) -> str:
    """The address, or "" where it is not told; a suspension does not fail for want of one (D10)."""
    told = profile.get(attribute_of(rule))
    if told is not None and is_mailable(told):
        return told.strip()
    if told is None or is_out:
        return ""
    raise UnparseableError(rule, "not an e-mail address")


def as_known(change: Change) -> tuple[Change, ...]:
    """A description without an address, as what is known of somebody."""
    if not isinstance(change, ProvisionUser) or change.email:
        return (change,)
    known = UpdateProfile(change.user, change.profile)
    return (known, SuspendUser(change.user)) if change.active is False else (known,)


def read_anew(facts: UserFacts, rule: str) -> str | None:
    """The address that what is known of a subject gives by another rule; None where none is."""
    register = facts.profile.get(attribute_of(rule))
    told = register[1] if register is not None else None
    return told.strip() if told is not None and is_mailable(told) else None
