"""Edit and replay: a JSON patch beside the untouched original makes a new event (G8).

The new event bears the time of the fact that the original tells, so that no edit of old news
outranks newer news.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from domain.changes import Change, kind_of
from domain.editing import Edit, Original, Patch
from domain.errors import RefusedError, UsageError
from domain.inbox import Kind, Lane
from domain.intake import NewEvent, digest_of, printable
from domain.permissions import Asker, Permission
from domain.ports import DrainWork, Request, Ringer, Source, UnparseableError
from worker.services.receive import cut_passwords
from worker.services.replay import Prediction

#: Operations of one patch, at most.
MOST_OPERATIONS = 100


class EditStore(Protocol):
    """Edits of the database."""

    def original(self, event: int, *, within: Collection[str] | None = None) -> Original:
        """A dead event; raises NothingFoundError, RefusedError for one that is not dead."""
        ...

    def store(self, edit: Edit) -> int:
        """Keep the new event, give the original up, link them, audit it; the new event's id.

        One transaction; raises RefusedError where the original is not dead any more.
        """
        ...

    def store_in(self, work: DrainWork, edit: Edit) -> int:
        """Keep the new event within a drain's transaction, for a dry run that is undone."""
        ...


PredictMade = Callable[[Callable[[DrainWork], Sequence[int]]], Prediction | None]


@dataclass(frozen=True, slots=True)
class EditAndReplay:
    """The use case. apply: a patch to a document; raises UsageError where it does not fit."""

    store: EditStore
    source_named: Callable[[str], Source]
    apply: Callable[[object, Patch], object]
    ringer: Ringer
    predict: PredictMade

    def plan(self, event: int, patch: Patch, asker: Asker, *, reason: str) -> Prediction | None:
        """What would become of the edited event, decided for real and undone."""
        edit = self._edit(event, patch, asker, reason)
        return self.predict(lambda work: [self.store.store_in(work, edit)])

    def run(self, event: int, patch: Patch, asker: Asker, *, reason: str) -> int:
        """Make the new event and try it, in the bulk lane; its id.

        Raises NotPermittedError, UsageError, NothingFoundError, RefusedError.
        """
        if not reason.strip():
            raise UsageError("say why with --reason; it stands in the audit")
        edit = self._edit(event, patch, asker, reason)
        number = self.store.store(edit)
        self.ringer.ring(edit.event.kind, Lane.BULK.value, connection="", event_ids=[number])
        return number

    def _edit(self, event: int, patch: Patch, asker: Asker, reason: str) -> Edit:
        asker.check(Permission.EDIT_EVENT)
        if not 0 < len(patch) <= MOST_OPERATIONS:
            raise UsageError(f"a patch has 1 to {MOST_OPERATIONS} operations")
        original = self.store.original(event, within=asker.accounts)
        body = self._patched(original, patch)
        made = _read(self.source_named(original.source), original, body)
        return Edit(original, made, body, patch, asker.name, reason)

    def _patched(self, original: Original, patch: Patch) -> bytes:
        try:
            document = json.loads(original.body)
        except (ValueError, RecursionError):
            raise RefusedError(
                f"the body of event {original.id} is no JSON, which a patch could be made to",
                code="not_editable",
            ) from None
        patched = self.apply(document, patch)
        try:
            text = json.dumps(patched, ensure_ascii=False)
            # As it is written: of values, true is 1 and 1.0.
            is_same = _written(patched) == _written(document)
        except RecursionError:
            raise UsageError("the patch nests too deeply") from None
        if is_same:
            raise UsageError("the patch changes nothing")
        # A lone half of a character is no text; the source says so when it reads it.
        return cut_passwords(text.encode("utf-8", "surrogatepass"))[0]


def _written(document: object) -> str:
    return json.dumps(document, sort_keys=True)


def _read(source: Source, original: Original, body: bytes) -> NewEvent:
    """The event at the original's place in the edited body; raises UsageError."""
    try:
        document = source.read(body)
        changes = source.parse(document, original.ordinal).changes
    except UnparseableError as error:
        raise UsageError(f"with this patch it cannot be read: {error}") from error
    except (IndexError, KeyError) as error:
        raise UsageError("with this patch the event is not in the body any more") from error
    type_, subject = _told(source, original, body, document, changes)
    name = f"{original.external_id}#edit{original.edits + 1}"
    return NewEvent(
        digest=digest_of(f"{original.id} {name}"),
        content=digest_of(body.decode(errors="replace")),
        external_id=printable(name),
        type=printable(type_),
        subject=printable(subject),
        kind=kind_of(changes) if changes else Kind.SORT,
        occurred_at=original.occurred_at,
    )


def _told(
    source: Source,
    original: Original,
    body: bytes,
    document: object,
    changes: Sequence[Change],
) -> tuple[str, str]:
    """Type and subject as the source tells them now, else as it told them of the original."""
    try:
        told = source.split(document, Request("POST", {}, body))[original.ordinal]
    except (UnparseableError, IndexError, KeyError):
        return original.type, _subject(changes) or original.subject
    return told.type, told.subject


def _subject(changes: Sequence[Change]) -> str | None:
    """Whom the first change is about."""
    named = (getattr(change, name, None) for change in changes for name in ("user", "group"))
    return next((str(key) for key in named if key), None)
