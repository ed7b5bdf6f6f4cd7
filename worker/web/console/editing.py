"""Edit and replay: a patch beside the untouched original, tried first and then done (G8)."""

from __future__ import annotations

import json
from typing import Any

from starlette.responses import Response
from starlette.routing import Route

from domain.errors import UsageError
from domain.permissions import Permission
from worker.adapters.db.event_queries import event_story
from worker.web.console.bodies import shown_body
from worker.web.console.call import Call
from worker.web.console.frame import Frame

#: Of a patch, as it is written.
LONGEST = 20_000
EXAMPLE = '[{"op": "replace", "path": "/data/email", "value": "ana@example.com"}]'


def routes(frame: Frame) -> list[Route]:
    """The page with the body and the patch, and what is done with it."""
    edits = Permission.EDIT_EVENT
    return [
        frame.page("/events/{id}/edit", _page, edits),
        frame.form("/events/{id}/edit", _edit, edits),
    ]


def _shown(call: Call, **more: object) -> Response:
    number = call.id("event")
    with call.reading() as connection:
        story = event_story(connection, number, vault=call.parts.vault, with_body=True)
    call.asker.check_account("event", str(number), story["account_id"])
    body, _ = shown_body(str(story.get("body", "")))
    told: dict[str, Any] = {"patch": EXAMPLE, "reason": "", "is_tried": False, **more}
    return call.render("edit.html", event=story, body=body, **told)


def _page(call: Call) -> Response:
    return _shown(call)


def _edit(call: Call) -> Response:
    """Tried unless the button says that it is to be done."""
    number, text = call.id("event"), call.text("patch", longest=LONGEST)
    patch, edits = _read(text), call.parts.replays.edits
    if call.text("do") != "it":
        found = edits.plan(number, patch, call.asker, reason=call.text("reason"))
        return _shown(call, patch=text, reason=call.text("reason"), found=found, is_tried=True)
    made = edits.run(number, patch, call.asker, reason=call.reason())
    return call.done(f"/events/{made}", f"Made of event {number}, which is kept as it came.")


def _read(text: str) -> list[dict[str, Any]]:
    try:
        patch = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"the patch is no JSON: {error}") from error
    if not isinstance(patch, list) or not all(isinstance(one, dict) for one in patch):
        raise UsageError(f"a patch is a list of operations: {EXAMPLE}")
    return patch
