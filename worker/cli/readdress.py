"""What `rosterd connection set NAME address=..` shows before it does it (E9)."""

from __future__ import annotations

from collections import Counter
from typing import Any

from domain.addressing import check_rule
from worker.adapters.db.setup_addresses import ReadAnew
from worker.adapters.sources.registry import source_named
from worker.cli.output import out
from worker.cli.session import container, setup
from worker.services.readdress import Forecast

#: How many people are named; --json names all.
NAMED = 20


def foreseen(connection: dict[str, Any], rule: str) -> tuple[ReadAnew, list[Forecast]]:
    """What another rule would do; raises UsageError for one that the source does not tell."""
    source = source_named(connection["source"])
    check_rule(rule, source.addresses, source.name)
    with setup() as use:
        anew = use.read_anew(connection, rule)
    readdress = container().readdress
    return anew, readdress.foresee(connection["id"], connection["account_id"], anew.new)


def tell(anew: ReadAnew, forecasts: list[Forecast]) -> None:
    """Numbers first, then whom it mails."""
    mails = [mail for one in forecasts for mail in one.mails]
    out.print(f"{len(anew.new)} people get another address, {len(mails)} mails go out")
    for kind, count in sorted(Counter(kind for _, kind in mails).items()):
        out.print(f"  {count} {kind}")
    for result, count in sorted(Counter(one.result for one in forecasts).items()):
        out.print(f"  {count} would end as {result}")
    for one in forecasts[:NAMED]:
        to = ", ".join(f"{kind} to {address}" for address, kind in one.mails) or "nobody mailed"
        change = f"{one.change.user}: {one.change.before} -> {one.change.after}"
        out.print(f"  {change}; {to}; {one.detail or one.result}", markup=False)
    if len(forecasts) > NAMED:
        out.print(f"  and {len(forecasts) - NAMED} more: --json names all")
    if anew.lacking:
        shown = ", ".join(anew.lacking[:NAMED])
        more = len(anew.lacking) - NAMED
        out.print(
            f"{len(anew.lacking)} people have no such attribute in what was told so far; they keep "
            f"their address until it is: {shown}{f' and {more} more' if more > 0 else ''}",
            markup=False,
        )


def as_dicts(anew: ReadAnew, forecasts: list[Forecast]) -> dict[str, object]:
    """For programs: everybody."""
    return {
        "lacking": anew.lacking,
        "changes": [
            {
                "external_id": one.change.user,
                "before": one.change.before,
                "after": one.change.after,
                "would_be": one.result,
                "detail": one.detail,
                "mails": [{"to": to, "kind": kind} for to, kind in one.mails],
            }
            for one in forecasts
        ],
    }
