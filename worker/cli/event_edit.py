"""`rosterd event edit-and-replay`: another event of a dead one, by a JSON patch (G8)."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from domain.errors import UsageError
from worker.cli.options import EventNumber
from worker.cli.output import AsJSON, DryRun, Yes, as_json, ask, out
from worker.cli.reasons import Reason
from worker.cli.session import asker, container, narrowed
from worker.services.replay import Prediction

Account = Annotated[str | None, typer.Option(help="Account by name or id.")]


def edit_and_replay(
    event: EventNumber,
    patch: Annotated[
        str, typer.Option(help="JSON patch (RFC 6902): a file, - for standard input, or itself.")
    ],
    reason: Reason = "",
    account: Account = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    json_: AsJSON = False,
) -> None:
    """Make another event of a dead one, and try it; the original stays as it came."""
    operations, use = _patch(patch), container().replays.edits
    who = asker(narrowed(account, None)[0])
    foreseen = use.plan(event, operations, who, reason=reason)
    if not json_:
        out.print(_told(foreseen))
    if dry_run:
        if json_:
            print(as_json({"original": event, **_as_dict(foreseen)}))
        return
    if not json_:
        ask("replay it so?", yes=yes)
    made = use.run(event, operations, who, reason=reason)
    container().ringer.stop()
    if json_:
        print(as_json({"original": event, "event": made, **_as_dict(foreseen)}))
    else:
        out.print(f"event {made} was made of {event}: rosterd event show {made}")


def _patch(text: str) -> list[dict[str, Any]]:
    """The operations, wherever they stand; raises UsageError."""
    if text == "-":
        text = sys.stdin.read()
    elif not text.lstrip().startswith("["):
        try:
            text = Path(text).read_text(encoding="utf-8")
        except (OSError, UnicodeError) as error:
            raise UsageError(f"--patch {text!r} cannot be read: {error}") from error
    try:
        told = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise UsageError(f"--patch is no JSON: {error}") from error
    if not isinstance(told, list) or not all(isinstance(one, dict) for one in told):
        raise UsageError('--patch is a list of operations: [{"op": "replace", ..}]')
    return told


def _told(foreseen: Prediction | None) -> str:
    if foreseen is None:
        return "what would become of it cannot be told now"
    because = f"; {foreseen.result.detail}" if foreseen.result.detail else ""
    does = f" ({foreseen.does})" if foreseen.does else ""
    return f"would be {foreseen.outcome}{does}{because}"


def _as_dict(foreseen: Prediction | None) -> dict[str, object]:
    if foreseen is None:
        return {"would_be": None}
    reason = foreseen.result.reason
    return {
        "would_be": foreseen.outcome,
        "reason": reason.value if reason is not None else None,
        "detail": foreseen.result.detail,
        "does": foreseen.does,
    }
