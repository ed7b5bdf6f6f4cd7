"""What the words of a SCIM feed ask of the directory: only what differs from its last ones (D2)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from domain.changes import (
    AddMember,
    Change,
    ChangeEmail,
    ProvisionUser,
    PutGroup,
    ReactivateUser,
    RemoveMember,
    ReplaceMembers,
    SuspendUser,
    UpdateProfile,
)
from domain.values import is_mailable, normalise_address
from worker.adapters.scim.schemas import ENTERPRISE, NOTE, STATE

Document = Mapping[str, Any]

_NAMES = {"givenName": "given_name", "familyName": "family_name"}
_OTHER_NAMES = ("formatted", "middleName", "honorificPrefix", "honorificSuffix")
_PLAIN = (
    "userName",
    "nickName",
    "profileUrl",
    "title",
    "userType",
    "preferredLanguage",
    "locale",
    "timezone",
)
_ENTERPRISE = ("employeeNumber", "costCenter", "organization", "division", "department")
_TYPED = ("emails", "phoneNumbers")
_LISTED = ("roles", "entitlements")
_GUEST, _MEMBER = "guest", "member"


def asked(before: Document | None, after: Document, key: str) -> tuple[Change, ...]:
    """What the change of a document asks for. before: None at first contact.

    Members of groups are asked for by `asked_members`.
    """
    if "userName" in after:
        return _described(after, key) if before is None else _differences(before, after, key)
    if before is not None and before["displayName"] == after["displayName"]:
        return ()
    return (PutGroup(key, after["displayName"]),)


def asked_members(
    group: str,
    *,
    added: Iterable[str] = (),
    removed: Iterable[str] = (),
    replaced: Iterable[str] | None = None,
) -> tuple[Change, ...]:
    """What a change of members asks for; all are subject keys. replaced: the whole list."""
    if replaced is not None:
        return (ReplaceMembers(group, tuple(replaced)),)
    gone = (RemoveMember(group, one) for one in removed)
    return (*gone, *(AddMember(group, one) for one in added))


def address(document: Document) -> str | None:
    """The address by the default rule: the first that mail can be sent to (E9).

    userName, then the primary, the work and the first of emails.
    """
    emails = [one for one in document.get("emails", ()) if "value" in one]
    primary = [one["value"] for one in emails if one.get("primary") is True]
    work = [one["value"] for one in emails if str(one.get("type")).lower() == "work"]
    candidates = [document["userName"], *primary, *work, *(one["value"] for one in emails)]
    return next((one.strip() for one in candidates if is_mailable(one)), None)


def is_guest(document: Document) -> bool:
    """S2: guests are told by userType, and by how Entra names them."""
    kind = str(document.get("userType", "")).strip().lower()
    return kind == _GUEST or "#ext#" in document["userName"].lower()


def profile(document: Document) -> dict[str, str | None]:
    """The attributes of a person as the directory keeps them, by SCIM's names.

    Names and displayName have the names that they have for every source. A value of a
    multi-valued attribute is found by its type: `phoneNumbers[mobile]`.
    """
    name, enterprise = document.get("name", {}), document.get(ENTERPRISE, {})
    found = {ours: name.get(theirs) for theirs, ours in _NAMES.items()}
    found["display_name"] = document.get("displayName") or name.get("formatted")
    found |= {one: name[one] for one in _OTHER_NAMES if one in name}
    found |= {one: document[one] for one in _PLAIN if one in document}
    found |= {one: enterprise[one] for one in _ENTERPRISE if one in enterprise}
    if NOTE in document.get(STATE, {}):
        found[NOTE] = document[STATE][NOTE]
    if "value" in enterprise.get("manager", {}):
        found["manager"] = enterprise["manager"]["value"]
    for one in _TYPED:
        found |= _typed(one, document.get(one, ()))
    found |= {one: _values(document[one]) for one in _LISTED if one in document}
    return {one: value for one, value in found.items() if value is not None}


def _typed(name: str, values: Iterable[Document]) -> dict[str, str]:
    found: dict[str, str] = {}
    for one in values:
        if "value" not in one:
            continue
        if "type" in one:
            found.setdefault(f"{name}[{one['type'].lower()}]", one["value"])
        if one.get("primary") is True:
            found[f"{name}[primary]"] = one["value"]
    return found


def _values(values: Iterable[Document]) -> str:
    return json.dumps([one["value"] for one in values if "value" in one], ensure_ascii=False)


def _described(after: Document, key: str) -> tuple[Change, ...]:
    told, active = address(after), after.get("active")
    if told is not None:
        kind = _GUEST if is_guest(after) else _MEMBER
        return (ProvisionUser(key, told, profile(after), active, kind),)
    # Nobody can be invited without an address: what was said is kept until one is told.
    known = UpdateProfile(key, profile(after))
    return (SuspendUser(key), known) if active is False else (known,)


def _differences(before: Document, after: Document, key: str) -> tuple[Change, ...]:
    told, earlier = address(after), address(before)
    if told is not None and earlier is None:
        return _described(after, key)
    changes: list[Change] = []
    was, is_now = before.get("active"), after.get("active")
    if is_now is False and was is not False:
        changes.append(SuspendUser(key))
    changes += _profile_changes(before, after, key)
    if told is not None and normalise_address(told) != normalise_address(earlier or ""):
        changes.append(ChangeEmail(key, told))
    if is_now is True and was is not True:
        changes.append(ReactivateUser(key))
    return tuple(changes)


def _profile_changes(before: Document, after: Document, key: str) -> list[Change]:
    old, new = profile(before), profile(after)
    differing = {one: new.get(one) for one in {**old, **new} if old.get(one) != new.get(one)}
    if is_guest(before) != is_guest(after):
        kind = _GUEST if is_guest(after) else _MEMBER
        return [ProvisionUser(key, "", differing, None, kind)]
    return [UpdateProfile(key, differing)] if differing else []
