"""A rosterd with access to a directory whose webhooks say too little."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from domain.directory_access import DirectoryAccess
from tests.fakes.google import FakeGoogle
from tests.fakes.idp import FakeIDP
from tests.fakes.keycloak import REALM, FakeKeycloak
from tests.fakes.okta import FakeOkta
from tests.fakes.onelogin import FakeOnelogin
from tests.fakes.pingone import FakePingone
from tests.harness import Feed, Rosterd
from worker.adapters.db.directory_rows import accesses, reads
from worker.cli.sender import Sent


@contextmanager
def reading(database_url: str, folder: Path, **settings: object) -> Iterator[Rosterd]:
    """A rosterd that may ask servers of this machine, and waits two seconds for each."""
    told: dict[str, Any] = {"outbound_allow": "127.0.0.1", "directory_seconds": 2, **settings}
    rosterd = Rosterd(database_url, folder, **told)
    with rosterd.serving():
        yield rosterd
    rosterd.close()


def access_to(idp: FakeIDP) -> DirectoryAccess:
    """As an operator tells of this server."""
    match idp:
        case FakeOkta():
            return DirectoryAccess("okta", idp.url, {}, idp.token)
        case FakeKeycloak():
            details = {"realm": REALM, "client_id": idp.client}
            return DirectoryAccess("keycloak", idp.url, details, idp.secret)
        case FakePingone():
            told = {"environment": idp.environment, "client_id": idp.client}
            return DirectoryAccess("pingone", idp.url, told, idp.secret)
        case FakeOnelogin():
            return DirectoryAccess("onelogin", idp.url, {"client_id": idp.client}, idp.secret)
        case FakeGoogle():
            return DirectoryAccess("google", idp.url, {"subject": idp.subject}, idp.key_file)
    raise AssertionError(idp)


def give_access(rosterd: Rosterd, feed: Feed, idp: FakeIDP) -> None:
    with rosterd.setup() as use:
        use.give_access(use.connection(feed.connection), access_to(idp), reason="a test")


def hook(rosterd: Rosterd, feed: Feed, *events: dict[str, Any]) -> int:
    """One request of Okta's event hook."""
    body = json.dumps({"data": {"events": events}}).encode()
    headers = {"content-type": "application/json", "authorization": feed.secret}
    return rosterd.post(Sent(feed.path, headers, body))


def person(key: str, login: str = "") -> dict[str, Any]:
    """A user as an event names them: by id and login."""
    return {"id": key, "type": "User", "alternateId": login or f"{key}@example.com"}


def group(key: str, name: str) -> dict[str, Any]:
    return {"id": key, "type": "UserGroup", "displayName": name, "alternateId": "unknown"}


def settle(rosterd: Rosterd) -> None:
    """Drain, with the questions that wait a moment to be told from those before them."""
    for _ in range(5):
        rosterd.drain()
        let_rest_end(rosterd)


def let_rest_end(rosterd: Rosterd) -> None:
    """As if the time had passed that IdPs and questions are left alone for."""
    with rosterd.parts.database.begin() as sql:
        now = rosterd.now()
        sql.execute(accesses.update().values(rests_until=None, next_at=None))
        waits = reads.c.due_at.is_not(None) & reads.c.leased_until.is_(None)
        sql.execute(reads.update().where(waits).values(due_at=now))
        sql.commit()
