"""`rosterd connection set`: what a connection is told about its people (D18)."""

from __future__ import annotations

from typing import Annotated

import typer

from domain.connecting import check_settings
from domain.errors import UsageError
from domain.policy import CONNECTION_SETTINGS
from worker.adapters.db.setup_settings import settings_of
from worker.cli.output import AsJSON, DryRun, Yes, ask, out, show
from worker.cli.session import setup

Why = Annotated[str, typer.Option("--reason", help="For the audit.")]


def parse_pairs(given: list[str] | None) -> dict[str, str]:
    """`name=value` words as a mapping; raises UsageError."""
    pairs = [text.partition("=") for text in given or []]
    wrong = [name for name, equals, _ in pairs if not equals]
    if wrong:
        raise UsageError(f"a setting is told as name=value, not {wrong[0]!r}")
    return {name: value for name, _, value in pairs}


def set_(
    connection: str,
    settings: Annotated[list[str] | None, typer.Argument(help="name=value ..")] = None,
    reason: Why = "",
    yes: Yes = False,
    dry_run: DryRun = False,
    json_: AsJSON = False,
) -> None:
    """Change settings from the next event on; without any, list them with what they mean."""
    changed = check_settings(parse_pairs(settings))
    with setup() as use:
        before = settings_of(use.connection(connection))
    if not changed:
        show(_all(before), ["name", "value", "default", "rule", "says"], as_json_=json_)
        return
    if not reason.strip() and not dry_run:
        raise UsageError("a change of settings needs a --reason for the audit")
    for name, value in sorted(changed.items()):
        was = before.get(name, CONNECTION_SETTINGS[name].default)
        out.print(f"{name}: {was} -> {value}", markup=False)
    if dry_run:
        out.print("nothing was changed")
        return
    ask("change that?", yes=yes or not out.is_terminal)
    with setup() as use:
        use.change_settings(use.connection(connection), changed, reason=reason)


def _all(told: dict[str, str]) -> list[dict[str, str]]:
    return [
        {
            "name": name,
            "value": told.get(name, setting.default),
            "default": setting.default,
            "rule": setting.rule,
            "says": setting.says,
        }
        for name, setting in sorted(CONNECTION_SETTINGS.items())
    ]
