"""What operators are told of while it stands, and once when it is over (C5).

Each condition is one alert however often it is looked at. It is told when it begins, again after
a while if it still stands, and as "all clear" once it was gone for ten minutes: what comes and
goes is one alert, not many.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import orjson
from sqlalchemy import Connection, RowMapping, delete, func, select, update

from worker.adapters.db import bulk, rows
from worker.adapters.db.alerts import alert_id, settle_alert, tell_operators
from worker.adapters.db.engine import Database, translated
from worker.adapters.db.gauges import Gauges, Snapshot
from worker.adapters.db.mail_rows import alerts
from worker.adapters.db.uow import database_now

#: Looked at this often by all processes together.
EVERY = timedelta(seconds=30)
#: Gone for so long, it is over.
CALM = timedelta(minutes=10)
#: That it is over is forgotten after this.
FORGOTTEN_AFTER = timedelta(days=1)
GROWTH, WAITS, SILENT, ENDS = "dead.growth", "suspension.waits", "feed.silent", "credential.ends"
LAPSES = "subscription.lapses"
TOPICS = (GROWTH, WAITS, SILENT, ENDS, LAPSES)
OVER = ".over"
_MARK = "watched"
#: A credential's end is told of from the first on, and as urgent from the second.
ENDS_SOON, ENDS_NOW = timedelta(days=14), timedelta(days=2)
_WINDOW = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class WatchRule:
    """dead_per_hour: so many new dead letters of an account are told of; suspension: so old."""

    dead_per_hour: int
    suspension: timedelta


@dataclass(frozen=True, slots=True)
class Standing:
    """A condition that holds. account: its id, None for the installation's.

    remind: told again after so long.
    """

    topic: str
    subject: str
    account: str | None
    headline: str
    details: tuple[str, ...]
    remind: timedelta
    is_urgent: bool = False

    @property
    def id(self) -> str:
        """The key of its alert."""
        return alert_id(self.account, self.topic, self.subject)


class SQLWatch:
    """Looks at the state of things and keeps the alerts that tell of it."""

    def __init__(self, database: Database, gauges: Gauges, rule: WatchRule) -> None:
        self._database = database
        self._gauges = gauges
        self._rule = rule

    def run(self) -> None:
        """Look, unless somebody just did."""
        if not self._is_due():
            return
        snapshot = self._gauges.snapshot()

        def write(connection: Connection) -> None:
            now = database_now(connection)
            bulk.upsert(connection, rows.marks, [{"name": _MARK, "at": now}])
            keep(connection, now, list(standing(connection, snapshot, self._rule)))

        self._database.change(write, is_repeatable=True)

    def _is_due(self) -> bool:
        with translated(), self._database.read() as connection:
            mark = select(rows.marks.c.at).where(rows.marks.c.name == _MARK)
            looked_at = connection.execute(mark).scalar()
            return looked_at is None or database_now(connection) - looked_at >= EVERY


def standing(connection: Connection, snapshot: Snapshot, rule: WatchRule) -> Iterator[Standing]:
    """Everything that operators should be told of at this moment."""
    accounts = rows.accounts
    named = connection.execute(select(accounts.c.name, accounts.c.id))
    ids: dict[str, str] = {row.name: row.id for row in named}
    yield from _growing(connection, snapshot.at, {v: k for k, v in ids.items()}, rule)
    yield from _waiting(snapshot, ids, rule)
    yield from _silent(snapshot, ids)
    yield from _ending(snapshot)
    yield from _lapsing(snapshot, ids)


def _growing(
    connection: Connection, now: datetime, names: Mapping[str, str], rule: WatchRule
) -> Iterator[Standing]:
    """Dead letters of the last hour that nobody has settled, by account."""
    table = rows.dead_letters
    found = connection.execute(
        select(table.c.account_id, table.c.reason, func.count())
        .where(table.c.state == "open", table.c.last_at > now - _WINDOW)
        .group_by(table.c.account_id, table.c.reason)
        .order_by(func.count().desc(), table.c.reason)
    ).all()
    by_account: dict[str | None, list[tuple[str, int]]] = {}
    for account, reason, count in found:
        by_account.setdefault(account, []).append((reason, count))
    for account, reasons in by_account.items():
        total = sum(count for _, count in reasons)
        if total < rule.dead_per_hour:
            continue
        name = names.get(account or "", "no account")
        most = reasons[0][0]
        yield Standing(
            GROWTH,
            "dead letters",
            account,
            f"{name}: {total} events died within an hour, most of them {most}",
            (
                *(f"{count} x {reason}" for reason, count in reasons[:5]),
                "what they have in common: `rosterd dead groups`; then mend it and replay them",
            ),
            remind=timedelta(hours=4),
        )


def _waiting(snapshot: Snapshot, ids: Mapping[str, str], rule: WatchRule) -> Iterator[Standing]:
    """Somebody should be out and is not yet (G5)."""
    for one in snapshot.connections:
        age = snapshot.suspensions.get(one.connection_id, 0.0)
        if age > rule.suspension.total_seconds():
            yield Standing(
                WAITS,
                one.connection_id,
                ids.get(one.account),
                f"{one.account}: a suspension of {one.connection} waits to be applied",
                (
                    f"the oldest came {_span(age)} ago; whoever it is about still has access",
                    "`rosterd status`, `rosterd hold list`: a pause, a breaker, no urgent worker?",
                ),
                remind=timedelta(hours=1),
                is_urgent=True,
            )


def _silent(snapshot: Snapshot, ids: Mapping[str, str]) -> Iterator[Standing]:
    """A provider that says nothing any more (C5)."""
    for feed in snapshot.heard:
        if feed.is_silent(snapshot.at):
            yield Standing(
                SILENT,
                feed.feed,
                ids.get(feed.account),
                f"{feed.account}: {feed.connection} ({feed.source}) has fallen silent",
                (
                    f"nothing for {_span(feed.silence(snapshot.at))} from feed {feed.feed}",
                    f"more than {_span(feed.silent_after)} is too long (setting silent_after)",
                    f"try the way: `rosterd connection check {feed.connection_id}`",
                ),
                remind=timedelta(days=1),
            )


def _ending(snapshot: Snapshot) -> Iterator[Standing]:
    """A credential that will be refused soon, or is (C3)."""
    for one in snapshot.expiring:
        left = one.at - snapshot.at
        if left > ENDS_SOON:
            continue
        whose = f"token {one.of}" if one.kind == "token" else f"the old secret of feed {one.of}"
        remedy = (
            f"make another (`rosterd token add`), then `rosterd token revoke {one.id}`"
            if one.kind == "token"
            else "the provider still signs with it: give it the new one"
        )
        yield Standing(
            ENDS,
            one.id,
            one.account,
            f"{whose} {'ended' if left <= timedelta() else 'ends'} on {one.at:%d %B %Y}",
            (remedy,),
            remind=timedelta(days=7),
            is_urgent=left <= ENDS_NOW,
        )


def _lapsing(snapshot: Snapshot, ids: Mapping[str, str]) -> Iterator[Standing]:
    """What brings webhooks is about to end, and cannot be renewed; or was never made."""
    names = {one.connection_id: one for one in snapshot.connections}
    for kept in snapshot.subscribed:
        one = names.get(kept.connection_id)
        if one is None or not kept.is_endangered:
            continue
        ends = f"ends on {kept.ends_at:%d %B %Y}" if kept.ends_at is not None else "cannot be made"
        yield Standing(
            LAPSES,
            one.connection_id,
            ids.get(one.account),
            f"{one.account}: the subscription that brings the webhooks of {one.connection} {ends}",
            (
                f"{kept.failures} tries failed, the last one: {kept.why}",
                f"mend that, then `rosterd connection subscriptions {one.connection_id} --renew`",
                "until then changes are found by the provider's log only, some minutes later",
            ),
            remind=timedelta(days=1),
        )


def keep(connection: Connection, now: datetime, found: Sequence[Standing]) -> None:
    """Begin, go on with, or end the alerts of what stands."""
    theirs = alerts.c.topic.in_(TOPICS)
    known = {
        row["id"]: row
        for row in connection.execute(select(alerts).where(theirs).with_for_update()).mappings()
    }
    for one in found:
        if one.id in known:
            _go_on(connection, now, one, known[one.id])
        else:
            _begin(connection, now, one)
    stands = {one.id for one in found}
    for id_, row in known.items():
        if id_ not in stands and now - row["last_at"] >= CALM:
            _end(connection, now, row)
    old = alerts.c.topic.in_([topic + OVER for topic in TOPICS])
    is_told = alerts.c.due_at.is_(None) & (alerts.c.told_at < now - FORGOTTEN_AFTER)
    connection.execute(delete(alerts).where(old, is_told))


def _begin(connection: Connection, now: datetime, one: Standing) -> None:
    # It is back: that it was over is no news any more.
    settle_alert(connection, topic=one.topic + OVER, subject=one.subject, account=one.account)
    tell_operators(
        connection,
        now,
        topic=one.topic,
        subject=one.subject,
        headline=one.headline,
        details=one.details,
        account=one.account,
        is_urgent=one.is_urgent,
    )


def _go_on(connection: Connection, now: datetime, one: Standing, row: RowMapping) -> None:
    """As it stands now; told again when that is due, or when it became urgent."""
    is_waiting = row["due_at"] is not None
    is_overdue = row["told_at"] is not None and now - row["told_at"] >= one.remind
    is_worse = one.is_urgent and not row["is_urgent"]
    connection.execute(
        update(alerts)
        .where(alerts.c.id == one.id)
        .values(
            headline=one.headline,
            details=orjson.dumps(list(one.details)),
            is_urgent=one.is_urgent,
            last_at=now,
            due_at=row["due_at"] if is_waiting else now if is_overdue or is_worse else None,
        )
    )


def _end(connection: Connection, now: datetime, row: RowMapping) -> None:
    """Whoever was told that it began is told that it is over."""
    connection.execute(delete(alerts).where(alerts.c.id == row["id"]))
    if row["told_at"] is None:
        return
    tell_operators(
        connection,
        now,
        topic=row["topic"] + OVER,
        subject=row["subject"],
        headline=f"all clear: {row['headline']}",
        details=[f"it stood for {_span((row['last_at'] - row['first_at']).total_seconds())}"],
        account=row["account_id"],
    )


def _span(seconds: float) -> str:
    whole = timedelta(seconds=int(seconds))
    return f"{whole.days} days" if whole.days else str(whole)
