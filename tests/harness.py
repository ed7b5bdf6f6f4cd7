"""A rosterd in the test's own process, driven only through what its users have."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import select
from starlette.testclient import TestClient

from domain.connecting import parse_scope
from domain.inbox import Kind, Lane, Reason
from domain.sign_in import Visitor
from tests.command import Done, run_command
from worker.adapters.db import rows
from worker.adapters.db.engine import translated
from worker.adapters.db.export import export_lines
from worker.adapters.db.replay_rows import replays
from worker.adapters.db.setup import SQLSetup
from worker.adapters.db.uow import database_now
from worker.adapters.sources.registry import SOURCES
from worker.bootstrap import Container
from worker.bootstrap_operators import ITSELF
from worker.cli.sender import Sent
from worker.cli.signing import standard_headers
from worker.settings import Settings, load_settings
from worker.web.app import build_web

_LINK = re.compile(r"https?://[^/\s]+(/(?:invitations|email-changes)/\S+)")
_CSRF = re.compile(r'name="csrf" value="(\w+)"')
START = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Feed:
    """Where and how one feed is spoken to."""

    id: str
    connection: str
    secret: str

    @property
    def path(self) -> str:
        return f"/hooks/{self.id}"


class Rosterd:
    """Accounts, hooks, drains and what came of them."""

    def __init__(
        self, database_url: str, folder: Path, *, broker_url: str | None = None, **more: object
    ) -> None:
        self.settings: Settings = load_settings(
            data_dir=folder,
            database_url=database_url,
            broker_url=broker_url or f"redis+socket://{folder}/no-broker.sock",
            **{
                "feed_cache_seconds": 0.0,
                "api_rate": 1e6,
                "wrong_links_per_minute": 1e6,
                **more,
            },
        )
        self.parts = Container(self.settings)
        self.account_id = ""
        self._told = 0
        self._first = datetime.now(UTC) - timedelta(hours=1)

    @contextmanager
    def serving(self) -> Iterator[TestClient]:
        """The HTTP application, started and stopped."""
        with TestClient(build_web(self.parts), raise_server_exceptions=False) as client:
            self.http = client
            yield client

    def close(self) -> None:
        self.parts.close()

    # -- setting up --------------------------------------------------------------------

    @contextmanager
    def setup(self) -> Iterator[SQLSetup]:
        with self.parts.database.begin() as connection:
            yield SQLSetup(connection, self.parts.vault, actor="test")
            connection.commit()

    def account(
        self,
        *domains: str,
        source: str = "standard",
        scope: str | None = None,
        several: bool = False,
        name: str = "acme",
        owner: str | None = None,
        secret: str | None = None,
        **settings: str,
    ) -> Feed:
        """An account with one connection."""
        with self.setup() as use:
            self.account_id = use.add_account(
                name,
                owner=owner,
                domains=list(domains or ("example.com",)),
                parent=None,
                several=several,
            )
        return self.connect(name, source=source, scope=scope, secret=secret, **settings)

    def connect(
        self,
        account: str,
        *,
        source: str = "standard",
        scope: str | None = None,
        name: str | None = None,
        secret: str | None = None,
        **settings: str,
    ) -> Feed:
        """A further connection. secret: as it is stored; default: one is made."""
        adapter = SOURCES[source]
        with self.setup() as use:
            made = use.add_connection(
                use.account(account),
                name=name or source,
                source=source,
                scope=parse_scope(scope, needs_scope=adapter.needs_scope, source=source),
                settings=settings,
                secret=secret or adapter.new_secret(),
                observe=False,
            )
        return Feed(made.feed, made.id, made.signing_secret)

    def feed(self, feed: Feed, source: str = "standard", secret: str | None = None) -> Feed:
        """A further feed of the same connection."""
        secret = secret or SOURCES[source].new_secret()
        with self.setup() as use:
            found = use.add_feed(self.account_id, feed.connection, source=source, secret=secret)
        return Feed(found, feed.connection, secret)

    def allow(self, domain: str) -> None:
        with self.setup() as use:
            use.allow_domain(self.account_id, domain)

    # -- speaking ----------------------------------------------------------------------

    def at(self, second: float) -> datetime:
        """A moment of the story, an hour ago and some seconds on."""
        return self._first + timedelta(seconds=second)

    def request(
        self,
        feed: Feed,
        type_: str,
        data: Mapping[str, Any],
        *,
        at: float | None = None,
        id_: str | None = None,
    ) -> Sent:
        """A signed request of the `standard` source."""
        self._told += 1
        when = self.at(self._told if at is None else at)
        body = json.dumps({"type": type_, "timestamp": when.isoformat(), "data": data}).encode()
        return self.signed(feed, body, id_=id_ or f"msg_{self._told}")

    def signed(self, feed: Feed, body: bytes, *, id_: str) -> Sent:
        """Any body, signed as it is."""
        headers = standard_headers(feed.secret, id_, datetime.now(UTC), body)
        return Sent(feed.path, {"content-type": "application/json", **headers}, body)

    def post(self, sent: Sent) -> int:
        return self.http.post(sent.url, content=sent.body, headers=dict(sent.headers)).status_code

    def tell(
        self,
        feed: Feed,
        type_: str,
        data: Mapping[str, Any],
        *,
        at: float | None = None,
        id_: str | None = None,
        drain: bool = True,
    ) -> int:
        """Send, and apply unless told otherwise; the status."""
        status = self.post(self.request(feed, type_, data, at=at, id_=id_))
        if drain:
            self.drain()
        return status

    def hire(self, feed: Feed, key: str, email: str | None = None, **more: Any) -> None:
        at = more.pop("at", None)
        self.tell(
            feed,
            "user.upserted",
            {"id": key, "email": email or f"{key}@example.com", **more},
            at=at,
        )

    def drain(self) -> dict[str, int]:
        """What workers do, until nothing is due."""
        total: dict[str, int] = {}
        for _ in range(20):
            if self._has_replays():
                self.parts.replays.conduct.run()
            claimed = self._read_at_idps()
            for lane, kind in self._due():
                tally, _ = self.parts.drain.run(lane=lane, kind=kind, budget=timedelta(seconds=30))
                claimed += tally.claimed
                for name, count in tally.as_dict().items():
                    total[name] = total.get(name, 0) + count
            if not claimed:
                return total
        return total

    def _read_at_idps(self) -> int:
        """How many questions were asked; whether any is, events tell, from the first schema on."""
        if not self.events(rows.events.c.reason == Reason.READING.value):
            return 0
        return sum(self.parts.directories.hydrate.run().values())

    def _has_replays(self) -> bool:
        """Asked of what was there from the first schema on."""
        with translated(), self.parts.database.read() as connection:
            return connection.execute(select(replays.c.id).limit(1)).first() is not None

    def _due(self) -> list[tuple[str, Kind]]:
        """The lanes and kinds of what is due, urgent ones first."""
        events = rows.events
        due = select(events.c.lane, events.c.kind).where(events.c.due_at <= datetime.now(UTC))
        with translated(), self.parts.database.read() as connection:
            found = {(row.lane, row.kind) for row in connection.execute(due.distinct())}
        order = [(lane.value, kind) for lane in Lane for kind in Kind]
        return [(lane, kind) for lane, kind in order if (lane, kind.value) in found]

    def cli(self, *words: str, typed: str = "", **environment: str) -> Done:
        """A command as a script runs it. typed: what it reads."""
        return run_command(words, {**self._environment, **environment}, typed=typed)

    def answering(self, answer: str, *words: str) -> Done:
        """A command as an operator types it, who answers what they are asked."""
        return run_command(words, self._environment, typed=f"{answer}\n", is_attended=True)

    @property
    def _environment(self) -> dict[str, str]:
        return {
            "ROSTERD_DATA_DIR": str(self.settings.data_dir),
            "ROSTERD_DATABASE_URL": self.settings.database,
            "ROSTERD_BROKER_URL": self.settings.broker,
            "NO_COLOR": "1",
        }

    def json(self, *words: str) -> Any:
        """What a listing says with `--json`; it must succeed."""
        done = self.cli(*words, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def now(self) -> datetime:
        """The database's clock."""
        with self.parts.database.read() as connection:
            return database_now(connection)

    # -- looking -----------------------------------------------------------------------

    def export(self, account: str | None = None) -> list[dict[str, Any]]:
        with self.parts.database.read() as connection:
            lines = export_lines(connection, account or self.account_id)
            return [line.model_dump() for line in lines]

    def users(self) -> list[dict[str, Any]]:
        return [line for line in self.export() if line["kind"] == "user"]

    def user(self, key: str | None) -> dict[str, Any] | None:
        found = [line for line in self.users() if line["external_id"] == key]
        assert len(found) <= 1, found
        return found[0] if found else None

    def table(self, table: Any, *where: Any) -> list[dict[str, Any]]:
        with self.parts.database.read() as connection:
            asked = select(table).where(*where).order_by(*table.primary_key.columns)
            found = connection.execute(asked).mappings()
            return [dict(row) for row in found]

    def events(self, *where: Any) -> list[dict[str, Any]]:
        return sorted(self.table(rows.events, *where), key=lambda row: row["id"])

    def outcome(self, id_: str) -> tuple[str | None, str | None]:
        (row,) = self.events(rows.events.c.external_id == id_)
        return row["outcome"] or row["state"], row["reason"]

    def dead(self) -> list[dict[str, Any]]:
        return self.table(rows.dead_letters, rows.dead_letters.c.state == "open")

    # -- members -----------------------------------------------------------------------

    def mails(self) -> list[str]:
        """Send what is due; the texts of all mails so far, oldest first."""
        self.parts.notify.run()
        folder = Path(self.settings.data_dir) / "mail"
        found = sorted(folder.glob("*.eml"), key=lambda path: path.stat().st_mtime_ns)
        return [path.read_text().replace("=\n", "") for path in found]

    def link(self, address: str) -> str:
        """The path of the newest link mailed to an address."""
        mine = [text for text in self.mails() if f"To: {address}" in text and _LINK.search(text)]
        assert mine, f"no link was mailed to {address}"
        found = _LINK.search(mine[-1])
        assert found is not None
        return found.group(1)

    def accept(self, address: str) -> int:
        """The member presses the button."""
        return self.http.post(self.link(address)).status_code

    # -- operators ---------------------------------------------------------------------

    def operator(self, email: str, role: str = "viewer", *, account: str | None = None) -> str:
        """An operator of all, or of one account by its id; the address."""
        self.parts.operators.appoint.add(ITSELF, email, role, account=account)
        return email

    def sign_in_link(self, email: str) -> str:
        """The token of a link for one sign-in."""
        return self.parts.operators.appoint.link(ITSELF, email)

    def session(self, email: str) -> str:
        """The token of a new session of an operator, in a browser of its own."""
        link = self.sign_in_link(email)
        token = self.parts.operators.sign_in.by_link(link, Visitor("192.0.2.1", "a test"))
        assert token is not None
        return token

    def csrf(self) -> str:
        """What forms of the browser's session carry."""
        found = _CSRF.search(self.http.get("/sign-out").text)
        return found.group(1) if found else ""
