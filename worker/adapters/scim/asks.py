"""What a write asks of one resource: the same whether it is answered at once or later."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import orjson

from domain.changes import Change, DeleteGroup, SuspendUser
from domain.resources import Ask, Composed, Document, Resource, ResourceKind, Speaker
from worker.adapters.scim.asking import asked
from worker.adapters.scim.errors import SCIMError
from worker.adapters.scim.patching import patched
from worker.adapters.scim.writing import created, replaced, told_members
from worker.adapters.tracing import HEADER

#: The setting that asks for the letter of the RFC.
STRICT = "scim_strict"
KEPT_HEADERS = ("content-type", "user-agent", "if-match", HEADER)
_VERSION = re.compile(r'(?:W/)?"([^"]*)"')

Compose = Callable[[Resource | None], Composed]


@dataclass(frozen=True, slots=True)
class Write:
    """A request that writes. place: its path below the service's address.

    body: without passwords; raw: as it came, if it came by itself. resource: id, of all but POST.
    """

    speaker: Speaker
    method: str
    kind: ResourceKind
    place: str
    resource: str | None = None
    body: Any = None
    raw: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    is_cut: bool = False

    @property
    def is_strict(self) -> bool:
        """Whether the connection asks for the letter of the RFC."""
        return self.speaker.settings.get(STRICT) == "on"


def ask_of(write: Write) -> Ask:
    """What the use case is asked; raises SCIMError 405 for a method that writes nothing."""
    build = _COMPOSED.get(write.method)
    if build is None:
        raise SCIMError(405, None, f"{write.place[:200]} takes {', '.join(_COMPOSED)}")
    match = write.headers.get("if-match")
    raw = write.raw if write.raw is not None else orjson.dumps(write.body)
    return Ask(
        speaker=write.speaker,
        kind=write.kind,
        method=write.method,
        path=write.place,
        told=write.body,
        compose=build(write),
        describe=_describe,
        resource=write.resource,
        versions=None if match is None else versions_in(match),
        headers={name: write.headers[name] for name in KEPT_HEADERS if name in write.headers},
        digest=sha256(raw).digest(),
        is_cut=write.is_cut,
    )


def _create(write: Write) -> Compose:
    """POST."""

    def compose(_before: Resource | None) -> Composed:
        document = created(write.kind.value, write.body, strict=write.is_strict)
        return _composed(None, document, members=_members(write))

    return compose


def _replace(write: Write) -> Compose:
    """PUT."""

    def compose(before: Resource | None) -> Composed:
        known = before.document if before is not None else {}
        document = replaced(write.kind.value, dict(known), write.body, strict=write.is_strict)
        return _composed(before, document, members=_members(write))

    return compose


def _patch(write: Write) -> Compose:
    """PATCH: all operations or none."""

    def compose(before: Resource | None) -> Composed:
        known = before.document if before is not None else {}
        done = patched(write.kind.value, dict(known), write.body, strict=write.is_strict)
        return _composed(
            before,
            done.document,
            added=tuple(done.members_added),
            removed=tuple(done.members_removed),
            members=None if done.members_replaced is None else tuple(done.members_replaced),
        )

    return compose


def _delete(write: Write) -> Compose:
    """DELETE: a person is suspended, never removed (U3); a group goes. Then the id is 404."""

    def changes(key: str) -> Sequence[Change]:
        return (SuspendUser(key),) if write.kind is ResourceKind.USER else (DeleteGroup(key),)

    return lambda _before: Composed(None, changes)


_COMPOSED: Mapping[str, Callable[[Write], Compose]] = {
    "POST": _create,
    "PUT": _replace,
    "PATCH": _patch,
    "DELETE": _delete,
}


def _members(write: Write) -> tuple[str, ...] | None:
    if write.kind is not ResourceKind.GROUP:
        return None
    return told_members(write.body, strict=write.is_strict)


def _composed(
    before: Resource | None,
    document: Document,
    *,
    added: tuple[str, ...] = (),
    removed: tuple[str, ...] = (),
    members: tuple[str, ...] | None = None,
) -> Composed:
    """Only what differs from what SCIM last told is asked for (D2)."""
    told = before.document if before is not None and before.is_told else None
    return Composed(document, lambda key: asked(told, document, key), added, removed, members)


def _describe(document: Document, key: str) -> Sequence[Change]:
    return asked(None, document, key)


def versions_in(header: str) -> frozenset[str]:
    """Numbers of the versions in If-Match; `*` for any."""
    if header.strip() == "*":
        return frozenset("*")
    return frozenset(found.partition(".")[0] for found in _VERSION.findall(header))
