"""A resource as it is answered: what SCIM told, under what the directory knows (U10, E2)."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import quote

from domain.model import Person, PersonState
from domain.resources import Named, Resource, ResourceKind
from worker.adapters.db.scim_reading import Seen
from worker.adapters.scim.schemas import STATE
from worker.adapters.scim.showing import shown
from worker.web.scim.call import ALWAYS, STATE_SHOWN, Call

_IN = (PersonState.ACTIVE, PersonState.INVITED)
_WAITING = "waiting"


def presented(
    call: Call,
    resource: Resource,
    seen: Seen,
    members: Sequence[Named] | None = None,
    *,
    is_whole: bool = True,
) -> dict[str, Any]:
    """The resource for this request's `attributes` and `excludedAttributes`.

    members: of a group, None where nobody asked for them. is_whole: whether these are all.
    """
    return shown(
        resource.document,
        location=location_of(call, resource),
        version=version_of(resource, seen, members if is_whole else None),
        overlay=overlay_of(call, resource, seen, members),
        attributes=listed(call, "attributes"),
        excluded=listed(call, "excludedAttributes"),
        with_state=call.speaker.settings.get(STATE_SHOWN) == ALWAYS,
    )


def listed(call: Call, name: str) -> tuple[str, ...]:
    """The names in a parameter of the query."""
    found = next((v for k, v in call.query.multi_items() if k.lower() == name.lower()), "")
    return tuple(part.strip() for part in found.split(",") if part.strip())


def location_of(call: Call, resource: Resource) -> str:
    """Where the resource is."""
    return f"{call.base}/{resource.kind.value}s/{resource.id}"


def version_of(resource: Resource, seen: Seen, members: Sequence[Named] | None = None) -> str:
    """What the ETag holds: the number of SCIM's own write, and what else is shown.

    members: all of a group; None where they were not read, and then nothing is said of them. Other
    feeds change them, too, and who leaves SCIM leaves them. If-Match compares the number only: that
    somebody accepted an invitation is no lost update.
    """
    person = seen.person
    shown_too: tuple[object, ...] = ()
    if person is not None:
        shown_too = (person.state, person.email, person.pending, person.override, seen.groups)
    elif seen.groups:
        shown_too = (seen.groups,)
    elif members is not None:
        shown_too = (seen.name, *members)
    if not shown_too:
        return str(resource.version)
    return f"{resource.version}.{zlib.crc32(repr(shown_too).encode()):08x}"


def overlay_of(
    call: Call, resource: Resource, seen: Seen, members: Iterable[Named] | None
) -> dict[str, Any]:
    """What is written over the document."""
    overlay: dict[str, Any] = {
        "id": resource.id,
        "meta": {
            "created": _moment(resource.created_at),
            "lastModified": _moment(resource.modified_at),
        },
    }
    if resource.kind is ResourceKind.USER:
        overlay |= _of_user(call, resource, seen)
    else:
        if seen.name is not None:
            overlay["displayName"] = seen.name
        if members is not None:
            overlay["members"] = [_member(call, one) for one in members]
    return overlay


def _of_user(call: Call, resource: Resource, seen: Seen) -> dict[str, Any]:
    person = seen.person
    told = bool(resource.document.get("active", True))
    overlay: dict[str, Any] = {
        "active": told if person is None else person.state in _IN,
        STATE: _state(call, seen),
    }
    if seen.groups:
        overlay["groups"] = [_group(call, one) for one in seen.groups]
    return overlay


def _state(call: Call, seen: Seen) -> dict[str, Any]:
    """The extension of our own (U10)."""
    person, is_observing = seen.person, call.speaker.state == "observing"
    if person is None:
        waits_for = "scope" if seen.is_described and call.speaker.is_scoped else "address"
        state: dict[str, Any] = {
            "state": _WAITING,
            "waitsFor": "going live" if is_observing else waits_for,
            "isManaged": False,
        }
    else:
        state = _of_person(person)
    if is_observing:
        state["isObserving"] = True
    return state


def _of_person(person: Person) -> dict[str, Any]:
    state: dict[str, Any] = {
        "state": person.state.value,
        "emailInForce": person.email,
        "isManaged": person.is_managed,
    }
    if person.pending is not None:
        state["pendingEmail"] = person.pending
    if person.override is not None:
        state["override"] = person.override.value
    return state


def _member(call: Call, member: Named) -> dict[str, str]:
    return {
        "value": member.id,
        "$ref": f"{call.base}/Users/{quote(member.id, safe='')}",
        "type": "User",
    }


def _group(call: Call, group: Named) -> dict[str, str]:
    return {
        "value": group.id,
        "$ref": f"{call.base}/Groups/{group.id}",
        "display": group.name,
        "type": "direct",
    }


def _moment(moment: datetime) -> str:
    """As exact as filters compare."""
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


__all__: Sequence[str] = ("listed", "location_of", "presented", "version_of")
