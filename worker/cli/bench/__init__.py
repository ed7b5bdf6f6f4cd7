"""`rosterd bench`: measurements, each beside what it is compared with, in the same run."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from domain.errors import UsageError
from domain.replays import parse_rate
from worker.cli.bench.breaker import Flood, beside, flooded
from worker.cli.bench.claims import among_people, claim_times
from worker.cli.bench.cold import cold_start
from worker.cli.bench.drain import applied
from worker.cli.bench.ingest import ingest as ingested
from worker.cli.bench.isolation import NUISANCES, quiet_latencies
from worker.cli.bench.latency import suspensions
from worker.cli.bench.memory import resident
from worker.cli.bench.noop import noops
from worker.cli.bench.outbound import told_after
from worker.cli.bench.pages import page_times
from worker.cli.bench.reconcile import reconciled
from worker.cli.bench.replay import beside_replays
from worker.cli.bench.report import Series, percentile, tell
from worker.cli.bench.scim import group_changes, lookups, mixes, peer_mixes
from worker.cli.bench.sources import NAMES, taken
from worker.cli.output import out
from worker.settings import load_settings

app = typer.Typer(no_args_is_help=True, help="Measurements, each beside its comparison.")

Rounds = Annotated[int, typer.Option(help="Medians are over so many.")]


def _with_driver(url: str | None) -> str | None:
    return load_settings(database_url=url).database if url else None


DatabaseURL = Annotated[
    str | None,
    typer.Option(
        help="A PostgreSQL server; scratch databases are made. Default: SQLite.",
        callback=_with_driver,
    ),
]
BrokerURL = Annotated[str | None, typer.Option(help="Default: embedded Valkey.")]
JSON = Annotated[bool, typer.Option("--json")]


def register(root: typer.Typer) -> None:
    """Add the command."""
    root.add_typer(app, name="bench")


def _rounds(
    rounds: int, series: Sequence[Series], measured: Callable[[Path], Iterable[float]]
) -> Sequence[Series]:
    """Measure so many times; each value goes to its series, in order."""
    for _ in range(rounds):
        with _folder() as folder:
            for one, value in zip(series, measured(folder), strict=True):
                one.values.append(value)
    return series


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="rosterd-bench-") as name:
        yield Path(name)


def _on(database_url: str | None, broker_url: str | None = "-") -> str:
    parts = ["PostgreSQL" if database_url else "SQLite"]
    if broker_url != "-":
        scheme = (broker_url or "embedded Valkey").partition(":")[0]
        parts.append({"amqp": "RabbitMQ", "redis": "Redis"}.get(scheme, scheme))
    return " + ".join(parts)


@app.command("drain")
def drain(
    events: Annotated[int, typer.Option(help="Events a round.")] = 5000,
    rounds: Rounds = 3,
    database_url: DatabaseURL = None,
    broker_url: BrokerURL = None,
    json_: JSON = False,
) -> None:
    """Events applied a second, with every rule on, against a bare Celery no-op task."""

    def measured(folder: Path) -> Iterator[float]:
        yield applied(database_url, folder, events)
        yield noops(broker_url, folder, min(events, 3000))

    series = [Series("events applied", "/s"), Series("Celery no-op tasks", "/s")]
    setting = _on(database_url, broker_url)
    tell("drain", _rounds(rounds, series, measured), json_=json_, setting=setting)


@app.command("batches")
def batches(
    events: Annotated[int, typer.Option(help="Events a round.")] = 2000,
    rounds: Rounds = 3,
    database_url: DatabaseURL = None,
    json_: JSON = False,
) -> None:
    """The same by size of batch, against one transaction for each event."""
    sizes = (500, 50, 1)

    def measured(folder: Path) -> Iterator[float]:
        return (applied(database_url, folder, events, batch=size) for size in sizes)

    series = [Series(f"batches of {size}", "/s") for size in sizes]
    tell("batches", _rounds(rounds, series, measured), json_=json_, setting=_on(database_url))


@app.command("processes")
def processes(
    events: Annotated[int, typer.Option(help="Events a round.")] = 20_000,
    rounds: Rounds = 3,
    database_url: DatabaseURL = None,
    json_: JSON = False,
) -> None:
    """Several draining processes on this machine, against one."""
    counts = (4, 2, 1)

    def measured(folder: Path) -> Iterator[float]:
        return (applied(database_url, folder, events, processes=count) for count in counts)

    series = [Series(f"{count} processes", "/s") for count in counts]
    tell("processes", _rounds(rounds, series, measured), json_=json_, setting=_on(database_url))


@app.command("sources")
def sources(
    requests: Annotated[int, typer.Option(help="Of each source, a round.")] = 2_000,
    rounds: Rounds = 3,
    database_url: DatabaseURL = None,
    json_: JSON = False,
) -> None:
    """Requests of 1 KB a second, proven, split and stored by one process, of each source."""
    series = [Series(name, "/s") for name in NAMES]
    _rounds(rounds, series, lambda folder: taken(database_url, folder, requests))
    tell("sources", series, json_=json_, setting=_on(database_url), against=0)


@app.command("ingest")
def ingest(
    requests: Annotated[int, typer.Option(help="Requests a round.")] = 10_000,
    in_flight: Annotated[int, typer.Option(help="Providers' connections that send at once.")] = 256,
    rounds: Rounds = 3,
    database_url: DatabaseURL = None,
    json_: JSON = False,
) -> None:
    """Durable 2xx a second, against the same server answering 202 and storing nothing."""
    series = [Series("durable answers", "/s"), Series("empty answers", "/s")]
    _rounds(rounds, series, lambda folder: ingested(database_url, folder, requests, in_flight))
    setting = f"{_on(database_url)}, {in_flight} requests in flight"
    tell("ingest", series, json_=json_, setting=setting)


@app.command("latency")
def latency(
    backlog: Annotated[int, typer.Option(help="Events that wait in the standard lane.")] = 100_000,
    count: Annotated[int, typer.Option(help="Suspensions.")] = 200,
    rounds: Rounds = 3,
    database_url: DatabaseURL = None,
    broker_url: BrokerURL = None,
    json_: JSON = False,
) -> None:
    """Receipt of a suspension to its commit behind a backlog, against an idle rosterd."""

    def measured(folder: Path) -> Iterator[float]:
        for name, waiting in (("busy", backlog), ("idle", 0)):
            place = folder / name
            place.mkdir()
            found = suspensions(database_url, broker_url, place, backlog=waiting, count=count)
            yield percentile(found, 0.5)
            yield percentile(found, 0.99)

    names = ["behind it: p50", "behind it: p99", "idle: p50", "idle: p99"]
    series = _rounds(rounds, [Series(name, "ms") for name in names], measured)
    setting = f"{_on(database_url, broker_url)}, backlog {backlog:,}"
    tell("suspension latency", series, json_=json_, setting=setting, against=2)


@app.command("outbound")
def outbound(
    backlog: Annotated[int, typer.Option(help="Events that wait in the standard lane.")] = 100_000,
    count: Annotated[int, typer.Option(help="Suspensions.")] = 50,
    rounds: Rounds = 3,
    database_url: DatabaseURL = None,
    broker_url: BrokerURL = None,
    json_: JSON = False,
) -> None:
    """Receipt of a suspension to the application's receipt behind a backlog, against idle."""

    def measured(folder: Path) -> Iterator[float]:
        for name, waiting in (("busy", backlog), ("idle", 0)):
            place = folder / name
            place.mkdir()
            found = told_after(database_url, broker_url, place, backlog=waiting, count=count)
            yield percentile(found, 0.5)
            yield percentile(found, 0.99)

    names = ["behind it: p50", "behind it: p99", "idle: p50", "idle: p99"]
    series = _rounds(rounds, [Series(name, "ms") for name in names], measured)
    setting = f"{_on(database_url, broker_url)}, backlog {backlog:,}"
    tell("suspension to application", series, json_=json_, setting=setting, against=2)


@app.command("isolation")
def isolation(
    size: Annotated[
        int,
        typer.Option(help="Events of the loud connection; a hundredth where they are poisoned."),
    ] = 20_000,
    count: Annotated[int, typer.Option(help="Events of the quiet connection.")] = 300,
    rounds: Rounds = 3,
    database_url: DatabaseURL = None,
    broker_url: BrokerURL = None,
    json_: JSON = False,
) -> None:
    """Receipt to commit of a quiet connection's events beside a nuisance, against none."""

    def measured(folder: Path) -> Iterator[float]:
        for nuisance in NUISANCES:
            place = folder / nuisance.replace(" ", "-")
            place.mkdir()
            found = quiet_latencies(
                database_url, broker_url, place, nuisance=nuisance, size=size, count=count
            )
            yield percentile(found, 0.99)

    series = [Series(f"p99 beside {nuisance}", "ms") for nuisance in NUISANCES]
    setting = f"{_on(database_url, broker_url)}, {size:,} events"
    tell("isolation", _rounds(rounds, series, measured), json_=json_, setting=setting)


@app.command("breaker")
def breaker(
    people: Annotated[int, typer.Option(help="Of the account.")] = 20_000,
    leave: Annotated[int, typer.Option(help="Of them, all at once.")] = 10_000,
    count: Annotated[int, typer.Option(help="Creates, and suspensions of another.")] = 100,
    database_url: DatabaseURL = None,
    broker_url: BrokerURL = None,
    json_: JSON = False,
) -> None:
    """Many suspended at once: held beyond the limit; creates and others beside it; approved."""
    found: dict[bool, Flood] = {}
    for has_breaker in (True, False):
        with _folder() as folder:
            found[has_breaker] = flooded(
                database_url,
                broker_url,
                folder,
                people=people,
                leave=leave,
                count=count,
                has_breaker=has_breaker,
            )
    setting = f"{_on(database_url, broker_url)}, {leave:,} of {people:,} suspended at once"
    if not json_:
        for text in found[True].told():
            out.print(text, markup=False)
    for one in beside(found[True], found[False]):
        tell("breaker", one, json_=json_, setting=setting)


@app.command("claims")
def claims(
    ended: Annotated[int, typer.Option(help="Events that have ended.")] = 1_000_000,
    rounds: Rounds = 3,
    database_url: DatabaseURL = None,
    json_: JSON = False,
) -> None:
    """The time of a claim beside many ended events, against an empty table."""
    series = [Series(f"beside {ended:,} ended", "ms"), Series("empty table", "ms")]
    _rounds(rounds, series, lambda folder: claim_times(database_url, folder, ended))
    tell("claims of 500", series, json_=json_, setting=_on(database_url))


@app.command("pages")
def pages(
    ended: Annotated[int, typer.Option(help="Events that ended.")] = 1_000_000,
    dead: Annotated[int, typer.Option(help="Dead letters.")] = 100_000,
    rounds: Rounds = 1,
    database_url: DatabaseURL = None,
    json_: JSON = False,
) -> None:
    """p95 of each list of the API and each page of the console, over so many events."""
    series: dict[str, Series] = {}
    for _ in range(rounds):
        with _folder() as folder:
            for name, value in page_times(database_url, folder, ended=ended, dead=dead).items():
                series.setdefault(name, Series(name, "ms")).values.append(value)
    tell("pages", list(series.values()), json_=json_, setting=_on(database_url), against=0)


@app.command("scale")
def scale(
    few: int = 10_000,
    many: int = 1_000_000,
    events: Annotated[int, typer.Option(help="Events a round.")] = 5000,
    rounds: Rounds = 3,
    database_url: DatabaseURL = None,
    json_: JSON = False,
) -> None:
    """Events applied a second in a large directory, against a small one."""

    def measured(folder: Path) -> Iterable[float]:
        return among_people(database_url, folder, few=few, many=many, events=events)

    series = [Series(f"{many:,} people", "/s"), Series(f"{few:,} people", "/s")]
    tell("scale", _rounds(rounds, series, measured), json_=json_, setting=_on(database_url))


@app.command("reconcile")
def reconcile(
    people: Annotated[int, typer.Option(help="In the identity provider's directory.")] = 100_000,
    few: Annotated[int, typer.Option(help="The same of so many.")] = 10_000,
    database_url: DatabaseURL = None,
    json_: JSON = False,
) -> None:
    """A directory read and compared: time a person, memory of the process; against a small one."""
    series = []
    for count in (people, few):
        with _folder() as folder:
            found = reconciled(database_url, folder, count)
        series.append(Series(f"{count:,} people: each", "us", [found.each]))
        series.append(Series(f"{count:,} people: memory", "MiB", [found.most]))
    tell("reconcile", series, json_=json_, setting=_on(database_url), against=2)


@app.command("scim")
def scim(
    people: Annotated[int, typer.Option(help="A round and number of connections.")] = 300,
    rounds: Rounds = 3,
    peer: Annotated[
        Path | None,
        typer.Option(help="Where npm installed @boxyhq/saml-jackson, to be measured beside."),
    ] = None,
    database_url: DatabaseURL = None,
    json_: JSON = False,
) -> None:
    """SCIM requests a second: create, e-mail, group, add, remove, suspend; one and eight lines."""
    if peer is not None and database_url is None:
        raise UsageError("--peer is measured on PostgreSQL: name --database-url")

    def measured(folder: Path) -> Iterator[float]:
        yield from (rate for rate, _ in mixes(database_url, folder, people))
        if peer is not None and database_url is not None:
            yield from (rate for rate, _ in peer_mixes(database_url, peer, people))

    names = ["one connection", "eight connections"]
    theirs = [f"saml-jackson: {name}" for name in names] if peer is not None else []
    series = [Series(name, "/s") for name in [*names, *theirs]]
    _rounds(rounds, series, measured)
    setting = f"{_on(database_url)}, {people} people"
    tell("scim", series, json_=json_, setting=setting, against=len(theirs))


@app.command("scim-groups")
def scim_groups(
    members: Annotated[int, typer.Option(help="Of the large group.")] = 100_000,
    rounds: Rounds = 3,
    database_url: DatabaseURL = None,
    json_: JSON = False,
) -> None:
    """Adding or removing one member of a large group, against one of ten; a PUT of all others."""
    if database_url is None:
        raise UsageError("people by the ten thousand are made on PostgreSQL: name --database-url")
    sizes = [Series(f"group of {members:,}", "ms"), Series("group of ten", "ms")]
    put = [Series("PUT of the whole group", "s"), Series("web process grows by", "MiB")]
    url = database_url
    _rounds(rounds, [*sizes, *put], lambda folder: group_changes(url, folder, members))
    tell("one member more or less", sizes, json_=json_, setting=_on(database_url))
    tell("PUT", put, json_=json_, setting=_on(database_url), against=0)


@app.command("scim-lookups")
def scim_lookups(
    few: int = 10_000,
    many: int = 1_000_000,
    rounds: Rounds = 1,
    database_url: DatabaseURL = None,
    json_: JSON = False,
) -> None:
    """The p99 of `filter=userName eq` among many people, against few."""
    if database_url is None:
        raise UsageError("people by the ten thousand are made on PostgreSQL: name --database-url")
    url = database_url
    series = [Series(f"p99 among {count:,}", "ms") for count in (many, few)]
    _rounds(rounds, series, lambda folder: (lookups(url, folder, count) for count in (many, few)))
    tell("scim lookups", series, json_=json_, setting=_on(database_url))


@app.command("replay")
def replay(
    events: Annotated[int, typer.Option(help="Dead letters of each replay.")] = 50_000,
    rate: Annotated[str, typer.Option(help="Of the first; the second has none.")] = "500/s",
    live: Annotated[int, typer.Option(help="Requests without a replay.")] = 1_500,
    database_url: DatabaseURL = None,
    broker_url: BrokerURL = None,
    json_: JSON = False,
) -> None:
    """Live latency beside a replay at a set rate and at full rate, against none; the rate kept.

    And beside a process of the same priority that only computes: what any work would cost here.
    """
    interval = parse_rate(rate).total_seconds()
    with _folder() as folder:
        found = beside_replays(
            database_url, broker_url, folder, events=events, rate=rate, live=live
        )
    ways = {
        f"beside {rate}": found.paced,
        "beside full rate": found.full,
        "beside a process that only computes": found.neighbour,
        "alone": found.alone,
    }
    setting = f"{_on(database_url, broker_url)}, {events:,} dead letters"
    for share in (0.5, 0.99):
        series = [
            Series(f"live p{share * 100:.0f} {way}", "ms", [percentile(values, share)])
            for way, values in ways.items()
        ]
        tell("replay", series, json_=json_, setting=setting)
    rates = [Series("kept", "/s", [found.kept]), Series("asked for", "/s", [1 / interval])]
    tell("rate", rates, json_=json_, setting=setting)
    full = [Series("full rate", "/s", [found.full_rate])]
    tell("full rate", full, json_=json_, setting=setting, against=0)


@app.command("memory")
def memory(
    events: Annotated[int, typer.Option(help="In all.")] = 1_000_000,
    database_url: DatabaseURL = None,
    broker_url: BrokerURL = None,
    json_: JSON = False,
) -> None:
    """Resident memory of the largest pool child at the end, against its first tenth."""
    with _folder() as folder:
        found = list(resident(database_url, broker_url, folder, events))
    tenth = max(1, len(found) // 10)
    last, first = (
        Series("last tenth", "MiB", found[-tenth:]),
        Series("first tenth", "MiB", found[:tenth]),
    )
    setting = f"{_on(database_url, broker_url)}, {events:,} events"
    tell("memory", [last, first], json_=json_, setting=setting)


@app.command("cold")
def cold(rounds: Rounds = 5, json_: JSON = False) -> None:
    """`rosterd up` from nothing to ready, against `celery --version`."""
    ready, version = Series("rosterd up: ready", "s"), Series("celery --version", "s")
    for _ in range(rounds):
        mine, theirs = cold_start()
        ready.values.append(mine)
        version.values.append(theirs)
    tell("cold start", [ready, version], json_=json_, setting="embedded")
