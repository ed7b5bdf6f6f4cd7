"""`rosterd doctor`: what is wrong, and what to do about it."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

import typer
from rich.text import Text
from sqlalchemy import select

from domain.display import with_escapes
from domain.inbox import Lane
from domain.notices import MailError
from domain.ports import InfrastructureError
from worker.adapters.db import rows
from worker.adapters.db.engine import translated
from worker.adapters.db.gauges import Snapshot
from worker.adapters.db.schema import is_current
from worker.adapters.db.uow import database_now
from worker.adapters.key_file import KEY_FILE
from worker.adapters.mail import SMTPMailer
from worker.bootstrap import Container
from worker.cli import warnings
from worker.cli.output import AsJSON, as_json, out
from worker.cli.session import container

SKEW_SECONDS = 2.0
OUT_OF_REACH = 4
COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: ok, warn or fail, and what to do."""

    what: str
    state: str
    says: str


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command("doctor")
    def doctor(json_: AsJSON = False) -> None:
        """Check database, broker, clock, mail, keys, accounts."""
        findings = list(examine(container()))
        if json_:
            print(as_json([asdict(finding) for finding in findings]))
        else:
            for finding in findings:
                says = with_escapes(f" {finding.what:9} {finding.says}")
                out.print(Text.assemble((f"{finding.state:4}", COLOURS[finding.state]), says))
        if findings[0].state == "fail":
            raise typer.Exit(OUT_OF_REACH)
        if any(finding.state == "fail" for finding in findings):
            raise typer.Exit(1)


def examine(parts: Container) -> Iterator[Finding]:
    """All findings, the database first; without it nothing else is looked at."""
    database = _database(parts)
    yield database
    if database.state == "fail":
        return
    yield _broker(parts)
    yield _clock(parts)
    yield _mail(parts)
    yield _keys(parts)
    yield from _accounts(parts)
    yield from _groups(parts)
    yield _workers(parts.gauges.snapshot())


def _workers(seen: Snapshot) -> Finding:
    if not seen.workers:
        return Finding("workers", "warn", "none alive: start `rosterd worker`")
    left = [lane.value for lane in Lane if lane not in seen.lanes]
    if not left:
        return Finding("workers", "ok", f"{seen.workers} alive")
    of = f"none of the lane {left[0]}" if len(left) == 1 else f"none of the lanes {', '.join(left)}"
    start = f"start `rosterd worker --lanes {','.join(left)}`"
    mails = "; until then no mail leaves" if Lane.BULK.value in left else ""
    return Finding("workers", "warn", f"{seen.workers} alive, but {of}: {start}{mails}")


def _database(parts: Container) -> Finding:
    try:
        if is_current(parts.database):
            return Finding(
                "database", "ok", parts.database.url.render_as_string(hide_password=True)
            )
    except InfrastructureError as error:
        return Finding("database", "fail", f"{error}: check ROSTERD_DATABASE_URL and the server")
    return Finding("database", "fail", "schema is behind: run `rosterd migrate`")


def _broker(parts: Container) -> Finding:
    away = "out of reach: workers poll the tables, slower; check ROSTERD_BROKER_URL"
    if not parts.is_broker_answering():
        return Finding("broker", "warn", away)
    try:
        unfit = parts.broker_unfit()
    except Exception:  # noqa: BLE001 - whatever the driver raises: it went away in between
        return Finding("broker", "warn", away)
    return Finding("broker", "fail" if unfit else "ok", unfit or "answers")


def _clock(parts: Container) -> Finding:
    with translated(), parts.database.read() as connection:
        skew = abs((database_now(connection) - datetime.now(UTC)).total_seconds())
    if skew > SKEW_SECONDS:
        return Finding("clock", "warn", f"{skew:.1f} s off the database's: check NTP on both")
    return Finding("clock", "ok", f"{skew:.2f} s off the database's")


def _mail(parts: Container) -> Finding:
    if parts.settings.smtp_url is None:
        folder = parts.settings.data_dir / "mail"
        return Finding("mail", "warn", f"no ROSTERD_SMTP_URL: mails are files in {folder}")
    try:
        SMTPMailer(
            parts.settings.smtp_url.get_secret_value(), sender=parts.settings.mail_from
        ).greet()
    except MailError as error:
        return Finding("mail", "fail", f"{error}: check ROSTERD_SMTP_URL; mails wait meanwhile")
    return Finding("mail", "ok", "the server answers, and takes us")


def _keys(parts: Container) -> Finding:
    if parts.settings.secret_keys:
        return Finding("keys", "ok", f"{len(parts.settings.secret_keys)} from ROSTERD_SECRET_KEYS")
    path = parts.settings.data_dir / KEY_FILE
    if not path.exists():
        return Finding("keys", "warn", f"none yet; {path} is made at first use. Back it up")
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        return Finding("keys", "fail", f"{path} can be read by others: chmod 600 {path}")
    return Finding("keys", "ok", f"{path}; back it up with the database")


def _paused(account: str, connection: str, held: int) -> str:
    return (
        f"{account}/{connection} is paused, {held} events are not applied: "
        "`rosterd connection resume` applies them"
    )


def _groups(parts: Container) -> Iterator[Finding]:
    """G3, G4: warnings that stand until somebody does something about them."""
    for says in warnings.standing(parts.gauges.snapshot()):
        yield Finding("group", "warn", says)


def _accounts(parts: Container) -> Iterator[Finding]:
    accounts, domains = rows.accounts, rows.domains
    with translated(), parts.database.read() as connection:
        empty = (
            connection.execute(
                select(accounts.c.name).where(accounts.c.id.not_in(select(domains.c.account_id)))
            )
            .scalars()
            .all()
        )
    for name in empty:
        says = f"{name} allows no domain, so nobody can be provisioned: rosterd domain allow"
        yield Finding("account", "warn", says)
    snapshot = parts.gauges.snapshot()
    for one in snapshot.connections:
        if snapshot.states.get(one.connection_id) == "paused":
            held = sum(b.count for b in snapshot.backlog if b.connection_id == one.connection_id)
            yield Finding("connection", "warn", _paused(one.account, one.connection, held))
        if one.connection_id in snapshot.tripped:
            says = f"{one.account}/{one.connection}: its breaker is open: rosterd hold list"
            yield Finding("connection", "warn", says)
        is_filled = one.connection_id in snapshot.backfilled
        if not is_filled and snapshot.states.get(one.connection_id) != "retired":
            says = f"{one.account}/{one.connection} is not backfilled: rosterd connection backfill"
            yield Finding("connection", "warn", says)
    yield from _read(snapshot)
    yield from _fresh(snapshot)


def _read(snapshot: Snapshot) -> Iterator[Finding]:
    """Whether directories and logs that can be read are."""
    readings = {one.connection_id: one for one in snapshot.readings}
    failing = {one.connection_id: one for one in snapshot.subscribed if one.failures}
    logs = {one.connection_id: one for one in snapshot.caught_up if one.why}
    for one in snapshot.connections:
        reading = readings.get(one.connection_id)
        if reading is not None and reading.failures:
            yield Finding("directory", "warn", warnings.gives_no_answer(one, reading))
        if (log := logs.get(one.connection_id)) is not None:
            yield Finding("directory", "warn", warnings.is_behind(one, log, snapshot.at))
        if (kept := failing.get(one.connection_id)) is not None:
            yield Finding("webhooks", "warn", warnings.is_not_renewed(one, kept))
        if one.connection_id in snapshot.unread:
            yield Finding("directory", "warn", warnings.is_unread(one))


def _fresh(snapshot: Snapshot) -> Iterator[Finding]:
    for heard in snapshot.heard:
        if snapshot.states.get(heard.connection_id) == "retired":
            continue
        if heard.at is None:
            yield Finding("feed", "warn", f"{heard.feed} ({heard.source}) was never heard")
        elif heard.is_silent(snapshot.at):
            yield Finding("feed", "warn", warnings.silent(heard, snapshot.at))
    for ending in snapshot.expiring:
        yield Finding(ending.kind, "warn", warnings.expires(ending, snapshot.at))
