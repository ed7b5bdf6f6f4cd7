"""`rosterd connection set`: what a connection is told about its people (D18)."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from domain.addressing import check_rule
from domain.connecting import check_settings
from domain.errors import UsageError
from domain.intake import StoredEvent
from domain.policy import CONNECTION_SETTINGS
from worker.adapters.db.setup_settings import settings_of
from worker.adapters.sources.registry import SOURCES
from worker.cli import readdress
from worker.cli.output import AsJSON, DryRun, Yes, as_json, ask, out, show
from worker.cli.own_words import ring
from worker.cli.reasons import Reason
from worker.cli.session import setup


def parse_pairs(given: list[str] | None) -> dict[str, str]:
    """`name=value` words as a mapping; raises UsageError."""
    pairs = [text.partition("=") for text in given or []]
    wrong = [name for name, equals, _ in pairs if not equals]
    if wrong:
        raise UsageError(f"a setting is told as name=value, not {wrong[0]!r}")
    return {name: value for name, _, value in pairs}


def checked(given: list[str] | None, source: Any) -> dict[str, str]:
    """Settings for a connection of this source; raises UsageError."""
    told = check_settings(parse_pairs(given))
    if "address" in told:
        check_rule(told["address"], source.addresses, source.name)
    _check_tenant(told, source)
    return told


def _check_tenant(told: dict[str, str], source: Any) -> None:
    if told.get("tenant") and not source.tells_tenant:
        raise UsageError(f"tenant={told['tenant']!r}: source {source.name} speaks for one customer")


def set_(
    connection: str,
    settings: Annotated[list[str] | None, typer.Argument(help="name=value ..")] = None,
    reason: Reason = "",
    yes: Yes = False,
    dry_run: DryRun = False,
    json_: AsJSON = False,
) -> None:
    """Change settings from the next event on; without any, list them with what they mean.

    Another address=.. changes the addresses of whom it is known of, and shows first whom it mails.
    """
    changed = check_settings(parse_pairs(settings))
    with setup() as use:
        found = use.connection(connection)
    _check_tenant(changed, SOURCES[found["source"]])
    before = settings_of(found)
    if not changed:
        show(_all(before), ["name", "value", "default", "rule", "says"], as_json_=json_)
        return
    if not reason.strip() and not dry_run:
        raise UsageError("a change of settings needs a --reason for the audit")
    told = _tell(found, before, changed, is_quiet=json_)
    if not dry_run:
        if not json_:
            ask("change that?", yes=yes)
        ring(_change(connection, changed, reason), found["id"])
    elif not json_:
        out.print("nothing was changed")
    if json_:
        print(as_json({"before": before, "changed": changed, **told}))


def _tell(
    connection: dict[str, Any], before: dict[str, str], changed: dict[str, str], *, is_quiet: bool
) -> dict[str, object]:
    """What would change; for an address rule: whose, and whom it mails (E9)."""
    for name, value in sorted(changed.items()):
        if not is_quiet:
            was = before.get(name, CONNECTION_SETTINGS[name].default)
            out.print(f"{name}: {was} -> {value}", markup=False)
    if "address" not in changed:
        return {}
    anew, forecasts = readdress.foreseen(connection, changed["address"])
    if not is_quiet:
        readdress.tell(anew, forecasts)
    return {"addresses": readdress.as_dicts(anew, forecasts)}


def _change(connection: str, changed: dict[str, str], reason: str) -> list[StoredEvent]:
    with setup() as use:
        found = use.connection(connection)
        use.change_settings(found, changed, reason=reason)
        if "address" not in changed:
            return []
        anew = use.read_anew(found, changed["address"])
        return use.change_addresses(found, anew.new, reason=reason)


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
