"""A rosterd whose account has an application that listens."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlalchemy import update

from tests.command import Done
from tests.harness import Feed, Rosterd
from tests.receiver import Receiver
from worker.adapters.db.outbound_rows import dispatches, endpoints

HERE = "127.0.0.1"


class Listening(Rosterd):
    """A rosterd that may reach this machine, whose account has an application that listens."""

    app: Receiver
    endpoint: str
    secret: str

    def cli(self, *words: str, **environment: str) -> Done:
        return super().cli(*words, **{"ROSTERD_OUTBOUND_ALLOW": HERE, **environment})

    def done(self, *words: str) -> Any:
        """What a command that succeeds prints as JSON."""
        done = self.cli(*words, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def listen(self, *words: str, account: str = "acme") -> dict[str, Any]:
        """A further endpoint of the application."""
        found: dict[str, Any] = self.done(
            "endpoint", "add", self.app.url, "--account", account, *words
        )
        return found

    def begin(self, *words: str, **account: Any) -> Feed:
        """An account with a connection and an endpoint."""
        feed = self.account(**account)
        found = self.listen(*words)
        self.endpoint, self.secret = found["id"], found["signing_secret"]
        return feed

    def deliver(self) -> dict[str, int]:
        """What workers do with announcements that are due."""
        # Waits are drawn up to a bound: here they are the bound, longer than a slow machine takes.
        return replace(self.parts.deliver, random=lambda: 1.0).run()

    def types(self) -> list[str]:
        """Deliver; all that was told so far."""
        self.deliver()
        return self.app.types()

    def let_waits_end(self) -> None:
        """As if the time had come for whatever waits: next tries, leases, an endpoint's rest."""
        with self.parts.database.begin() as connection:
            past = self.at(0)
            waiting = dispatches.c.due_at.is_not(None)
            connection.execute(update(dispatches).where(waiting).values(due_at=past))
            connection.execute(update(endpoints).values(rests_until=None))
            connection.commit()

    def heard(self, feed: Feed, type_: str, data: dict[str, Any], **more: Any) -> list[str]:
        """What the application is told because of this."""
        before = len(self.app.told)
        self.tell(feed, type_, data, **more)
        return self.types()[before:]


@contextmanager
def listening_on(database_url: str, folder: Path, app: Receiver) -> Iterator[Listening]:
    """Over HTTP, and with leave to reach this machine."""
    harness = Listening(database_url, folder, outbound_allow=HERE)
    harness.app = app
    with harness.serving():
        yield harness
    harness.close()
