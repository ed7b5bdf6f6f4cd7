"""A marker as every kind of secret, then a look into everything that is written down anywhere.

Looked through: a dump of every table, the files of the database, the logs of real processes at
debug, metrics, health, what commands print, a backup without keys, and the broker.
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import urllib.request
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.error import HTTPError

import pytest
import redis
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from sqlalchemy.engine import make_url

from domain.policy import Scope, ScopeRule
from tests.conftest import missing
from tests.harness import Rosterd
from tests.marked import Hunt, Start, processes
from tests.receiver import Receiver, receiver
from tests.servers import RedisServer, await_true, free_port
from worker.adapters.db import rows
from worker.adapters.db.scim_rows import scim_resources
from worker.cli.sender import Hook, Sender, Sent, send
from worker.web.signin.session import COOKIE

pytestmark = pytest.mark.every_database

#: Stored in clear, each with why. The hunt must find them, or it would find nothing at all.
IN_CLEAR = {
    "profile": "people's profiles are what the directory is for",
    "address": "as are their addresses",
    "external_id": "the provider's own name for a person: events are looked up by it",
    "token_prefix": "twelve characters of `rst_..` name a token in lists; 208 bits stay unknown",
    "reason": "an operator's words for the audit",
    "endpoint_url": "where an application listens; a secret does not belong into an address",
}
#: What these print is the secret itself, this once.
SHOWN_ONCE = (
    *("feed rotate", "operator link", "token add", "keys new"),
    *("endpoint add", "endpoint rotate"),
)


@dataclass
class Marked:
    """A rosterd in which every secret is marked, and where its processes are reached."""

    rosterd: Rosterd
    broker: RedisServer
    hunt: Hunt
    control: Hunt
    start: Start
    logs: Path
    environment: dict[str, str]
    url: str
    app: Receiver
    hooks: dict[str, Hook] = field(default_factory=dict)
    endpoints: dict[str, str] = field(default_factory=dict)
    printed: dict[str, bytes] = field(default_factory=dict)
    scim: str = ""

    def command(self, *words: str, code: int = 0) -> str:
        """Run a command; what it prints is looked through, unless it is the secret itself."""
        done = self.rosterd.cli(*words, **self.environment)
        assert done.returncode == code, (words, done.stderr)
        told = " ".join(words)
        is_secret = told.startswith(SHOWN_ONCE)
        self.printed[told] = ("" if is_secret else done.stdout).encode() + done.stderr.encode()
        return done.stdout

    def ask(self, path: str, method: str = "GET", **headers: str) -> tuple[int, str, str]:
        """Status, body and cookie; the body is looked through."""
        request = urllib.request.Request(self.url + path, method=method, headers=headers)
        opener = urllib.request.build_opener(_Stay)
        try:
            with opener.open(request, timeout=10) as answer:
                status, text, cookie = answer.status, answer.read(), answer.headers["set-cookie"]
        except HTTPError as error:
            status, text, cookie = error.code, error.read(), error.headers["set-cookie"]
        self.printed[f"{method} {path.partition('?')[0][:14]}"] = text
        return status, text.decode(), cookie or ""


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


@pytest.fixture
def refusing_mail_server(hunt: Hunt) -> Iterator[str]:
    """Asks for a password and takes none."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    controller = Controller(
        object(),
        hostname="127.0.0.1",
        port=port,
        authenticator=lambda *_: AuthResult(success=False, handled=False),
        auth_require_tls=False,
    )
    controller.start()
    yield f"smtp://rosterd:{hunt.secret('smtp-password')}@127.0.0.1:{port}"
    controller.stop()


@pytest.fixture
def hunt() -> Hunt:
    return Hunt()


@pytest.fixture
def marked(
    database_url: str, tmp_path: Path, hunt: Hunt, refusing_mail_server: str
) -> Iterator[Marked]:
    if shutil.which("redis-server") is None:
        missing("redis", "there is no redis-server to start")
    url = make_url(database_url)
    if url.get_backend_name() == "postgresql":
        url = url.set(password=hunt.secret("database-password"))
    broker = RedisServer(tmp_path / "redis")
    broker.start()
    password = hunt.secret("broker-password")
    with redis.Redis.from_url(broker.url) as client:
        client.config_set("requirepass", password)
    settings = {
        "secret_keys": f"{hunt.key('key')},{hunt.key('older-key')}",
        "smtp_url": refusing_mail_server,
        "metrics_token": hunt.secret("metrics-token"),
    }
    with_password = broker.url.replace("//", f"//:{password}@")
    rosterd = Rosterd(
        url.render_as_string(hide_password=False), tmp_path, broker_url=with_password, **settings
    )
    port = free_port()
    environment = {
        "ROSTERD_DATA_DIR": str(tmp_path),
        "ROSTERD_DATABASE_URL": rosterd.settings.database,
        "ROSTERD_BROKER_URL": with_password,
        "ROSTERD_PUBLIC_URL": f"http://127.0.0.1:{port}",
        "ROSTERD_SWEEP_SECONDS": "0.5",
        "ROSTERD_OUTBOUND_ALLOW": "127.0.0.1",
        "ROSTERD_LOG_LEVEL": "debug",
        "ROSTERD_LOG_FORMAT": "json",
        **{f"ROSTERD_{name.upper()}": value for name, value in settings.items()},
    }
    with processes(tmp_path / "logs") as start, receiver() as app:
        yield Marked(
            rosterd,
            broker,
            hunt,
            Hunt(),
            start,
            tmp_path / "logs",
            environment,
            f"http://127.0.0.1:{port}",
            app,
        )
    rosterd.close()
    broker.stop()


def set_up(marked: Marked) -> None:
    """Three sources with marked secrets and tokens, and an operator."""
    control, hunt = marked.control, marked.hunt
    secrets = {"standard": None, "okta": hunt.secret("okta"), "workos": hunt.secret("workos")}
    scopes = {"okta": Scope(ScopeRule.ASSIGNMENT, frozenset({"app"}))}
    with marked.rosterd.setup() as use:
        for source, secret in secrets.items():
            account = use.add_account(
                source, owner=None, domains=["example.com"], parent=None, several=False
            )
            made = use.add_connection(
                use.account(account),
                name=source,
                source=source,
                scope=scopes.get(source, Scope()),
                settings={},
                secret=secret or _standard_secret(hunt),
                observe=False,
            )
            marked.hooks[source] = Hook(f"{marked.url}/hooks/{made.feed}", made.signing_secret)
    marked.command("account", "add", "scim", "--domain", "example.com")
    with marked.rosterd.setup() as use:
        made = use.add_connection(
            use.account("scim"),
            name="scim",
            source="scim",
            scope=Scope(),
            settings={},
            secret="",
            observe=False,
        )
    marked.scim = made.bearer_token
    hunt.secret("scim bearer", made.bearer_token[12:])
    token = marked.command("token", "add", "t", "--scope", "metrics").strip()
    hunt.secret("bearer", token[12:])
    control.secret("token_prefix", token[:12])
    marked.command("operator", "add", "op@example.com")
    rotated = json.loads(marked.command("feed", "rotate", _feed(marked, "workos"), "--json"))
    hunt.secret("rotated", rotated["signing_secret"])
    marked.command("keys", "new")
    _set_up_directory(marked)
    _set_up_endpoints(marked)


def _set_up_directory(marked: Marked) -> None:
    """A token for a directory, handed over in a file that is deleted afterwards."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "token"
        file.write_text(marked.hunt.secret("directory token"), encoding="utf-8")
        told = ("--kind", "okta", "--url", "https://example.okta.com", "--secret-file", str(file))
        marked.command("connection", "access", "workos", *told, "--reason", "x")
    marked.command("connection", "access", "workos")


def _set_up_endpoints(marked: Marked) -> None:
    """One that takes what it is told, and was rotated; one that refuses; one that is gone."""
    marked.app.answers = lambda told: 500 if "refuse" in told.path else 204
    path = marked.control.secret("endpoint_url")
    for name in ("taking", "refusing", "removed"):
        url = f"{marked.app.url}/{path}-{name.replace('refusing', 'refuse')}"
        made = json.loads(marked.command("endpoint", "add", url, "--account", "standard", "--json"))
        _hunt_signing(marked.hunt, f"endpoint {name}", made["signing_secret"])
        marked.endpoints[name] = made["id"]
    rotated = json.loads(marked.command("endpoint", "rotate", marked.endpoints["taking"], "--json"))
    _hunt_signing(marked.hunt, "endpoint rotated", rotated["signing_secret"])
    gone = ("endpoint", "remove", marked.endpoints["removed"], "--reason", "x", "--yes")
    marked.command(*gone)


def _hunt_signing(hunt: Hunt, name: str, secret: str) -> None:
    """As it is shown, and the key that it spells."""
    text = secret.removeprefix("whsec_")
    hunt.secret(name, text)
    hunt.secret(f"{name}, its bytes", b64decode(text))


def _standard_secret(hunt: Hunt) -> str:
    from worker.adapters.sources.registry import SOURCES

    secret = SOURCES["standard"].new_secret()
    hunt.secret("standard", secret.removeprefix("whsec_"))
    return secret


def _feed(marked: Marked, source: str) -> str:
    return marked.hooks[source].url.rpartition("/")[2]


def speak(marked: Marked) -> None:
    """Each source tells of somebody, with passwords and credentials wherever they can stand."""
    hunt, control = marked.hunt, marked.control
    name = control.secret("profile")
    note, password = hunt.secret("body"), hunt.secret("password-in-body")
    person = {
        "id": control.secret("external_id"),
        "email": f"{control.secret('address')}@example.com",
        "given_name": name,
        "password": password,
        "credentials": {"newPassword": {"value": password}, "note": note},
    }
    told = {source: Sender(hook) for source, hook in marked.hooks.items()}
    assert told["standard"].standard("user.upserted", person) == 200
    assert told["workos"].workos(
        "dsync.user.created",
        {
            "id": "w1",
            "state": "active",
            "emails": [{"primary": True, "value": "w1@example.com"}],
            "raw_attributes": {"note": note, "passwordHash": password},
        },
    ) in (200, 202)
    target = {"id": "o1", "type": "User", "alternateId": "o1@example.com", "detailEntry": note}
    assert told["okta"].okta("user.session.start", {**target, "password": password}) == 200
    # Authentic, and not understood: dead letters with an error that tells of it.
    for body in (
        b"{%s" % note.encode(),
        json.dumps({"type": "user.upserted", "data": note}).encode(),
    ):
        assert told["standard"].standard_bytes(body) == 200
    assert (
        told["standard"].standard("user.upserted", {"id": "u2", "email": f"{note} {name}"}) == 200
    )
    for source, sender in told.items():
        _with_credentials(marked, source, sender.sent[0])
    _provision(marked)


def _provision(marked: Marked) -> None:
    """SCIM: passwords in every place that can hold one, a wrong token, a token in the path."""
    hunt, password = marked.hunt, marked.hunt.secret("password-in-scim")
    right = {"Authorization": f"Bearer {marked.scim}", "Content-Type": "application/scim+json"}
    more = {
        "Cookie": f"{COOKIE}={hunt.secret('scim cookie')}",
        "X-Api-Key": hunt.secret("scim key"),
    }
    url = f"{marked.url}/scim/v2/Users"
    enterprise = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
    person = {
        "userName": "s1@example.com",
        "password": password,
        enterprise: {"Password": password},
    }
    assert send(Sent(url, {**right, **more}, json.dumps(person).encode())) == 201
    refused = {"userName": "s1@other.example", "externalId": "s2", "password": password}
    assert send(Sent(url, {**right, **more}, json.dumps(refused).encode())) == 400
    urn = "urn:ietf:params:scim:schemas:core:2.0:User:password"
    parts = [
        {"op": "replace", "path": "password", "value": password},
        {"op": "replace", "path": urn, "value": password},
        {"op": "replace", "value": {"password": password, "title": "Boss"}},
    ]
    (found,) = marked.rosterd.table(scim_resources)
    sent = Sent(f"{url}/{found['id']}", right, json.dumps({"Operations": parts}).encode())
    send(replace(sent, url=f"{sent.url}?token={hunt.secret('scim query')}"))
    wrong = {**right, "Authorization": f"Bearer rst_{hunt.secret('scim authorization')}"}
    assert send(Sent(url, wrong, b"{}")) == 401
    assert send(Sent(f"{url}/{hunt.secret('scim path')}/x", right, b"{}")) == 404


def _with_credentials(marked: Marked, source: str, sent: Sent) -> None:
    """The same request with more in it; once as it was signed, once with other proofs."""
    hunt = marked.hunt
    more = {
        "Cookie": f"{COOKIE}={hunt.secret(f'{source} cookie')}",
        "X-Api-Key": hunt.secret(f"{source} header"),
        "Proxy-Authorization": hunt.secret(f"{source} proxy"),
    }
    url = f"{sent.url}?token={hunt.secret(f'{source} query')}"
    assert send(replace(sent, url=url, headers={**more, **sent.headers})) in (200, 202)
    wrong = {**more, "Authorization": f"Bearer {hunt.secret(f'{source} authorization')}"}
    assert send(replace(sent, url=url, headers=wrong)) == 401
    assert send(replace(sent, url=f"{marked.url}/hooks/{wrong['Cookie'][-12:]}")) == 401


def _upset_the_broker(marked: Marked) -> None:
    """Another program's message lies in our queue."""
    secret = marked.hunt.secret("foreign message")
    with redis.Redis.from_url(marked.rosterd.settings.broker) as client:
        client.lpush("rosterd:standard", secret)


def members_and_operators(marked: Marked) -> None:
    """A member opens a link and says yes, an operator signs in; others guess."""
    hunt, rosterd = marked.hunt, marked.rosterd

    def waiting() -> list[dict[str, Any]]:
        found = rosterd.table(rows.notices)
        return [row for row in found if row["secret"] and row["attempts"]]

    notices = await_true(waiting, name="a mail that was refused")
    assert "refuses us (535)" in notices[0]["last_error"], "refused for its password"
    tokens = [rosterd.parts.vault.open(row["secret"]).decode() for row in notices]
    for number, token in enumerate(tokens):
        hunt.secret(f"member link {number}", token)
    assert marked.ask(f"/invitations/{tokens[0]}")[0] == 200
    assert marked.ask(f"/invitations/{tokens[0]}", "POST")[0] == 200
    link = marked.command("operator", "link", "op@example.com").strip().rpartition("/")[2]
    hunt.secret("operator link", link)
    assert marked.ask(f"/sign-in/{link}")[0] == 200
    status, _, cookie = marked.ask(f"/sign-in/{link}", "POST")
    assert status == 303
    session = cookie.partition("=")[2].partition(";")[0]
    hunt.secret("session", session)
    assert marked.ask("/", Cookie=f"{COOKIE}={session}")[0] == 200
    unused = marked.command("operator", "link", "op@example.com").strip().rpartition("/")[2]
    hunt.secret("unused operator link", unused)
    for path in ("/invitations/", "/email-changes/", "/sign-in/"):
        assert marked.ask(path + hunt.secret(f"guess at {path}"))[0] in (404, 410)


def look_around(marked: Marked) -> None:
    """Everything that tells of the state of things, and a backup without keys."""
    token = marked.rosterd.settings.metrics_token
    assert token is not None
    assert marked.ask("/metrics", Authorization=f"Bearer {token.get_secret_value()}")[0] == 200
    for path in ("/health", "/livez", "/readyz"):
        assert marked.ask(path)[0] == 200
    marked.command("doctor", code=1)  # the mail server takes no password
    for words in (
        ("status", "--json"),
        ("account", "list", "--json"),
        ("connection", "list", "--json"),
        ("connection", "show", "standard", "--json"),
        ("feed", "list", "standard", "--json"),
        ("token", "list", "--json"),
        ("operator", "list", "--json"),
        ("user", "list", "--json"),
        ("event", "list", "--json"),
        ("event", "show", "1", "--json"),
        ("dead", "list", "--json"),
        ("dead", "groups", "--json"),
        *(("directory", "export", "--account", source) for source in marked.hooks),
        ("migrate", "--check"),
        ("keys", "rotate", "--json"),
        ("token", "revoke", "rst_00000000", "--reason", "x"),
    ):
        marked.command(*words, code=3 if "revoke" in words else 0)
    for name in ("taking", "refusing"):
        endpoint = marked.endpoints[name]
        marked.command("endpoint", "test", endpoint, code=0 if name == "taking" else 1)
        marked.command("endpoint", "show", endpoint, "--json")
    marked.command("endpoint", "list", "--json")
    (letter,) = [row["id"] for row in marked.rosterd.dead() if row["event_id"] is None]
    marked.command("dead", "show", f"d{letter}", "--json")
    marked.command("user", "add", "new@example.com", "--account", "standard")
    marked.command("connection", "pause", "okta", "--reason", marked.control.secret("reason"))
    marked.command("backup", str(marked.logs.parent / "backup"), "--no-keys")


def stored(marked: Marked) -> dict[str, bytes]:
    """Whatever is in a file, in the database, or in the broker."""
    rosterd = marked.rosterd
    url = make_url(rosterd.settings.database)
    found = {
        f"table {table.name}": repr(rosterd.table(table)).encode()
        for table in rows.metadata.sorted_tables
    }
    if rosterd.parts.database.is_postgres:
        plain = url.set(drivername="postgresql").render_as_string(hide_password=False)
        dump = subprocess.run(["pg_dump", plain], capture_output=True, check=True)
        found["pg_dump"] = dump.stdout
    found |= {
        str(path.relative_to(marked.logs.parent)): path.read_bytes()
        for path in marked.logs.parent.rglob("*")
        if path.is_file() and "redis" not in path.parts
    }
    with redis.Redis.from_url(rosterd.settings.broker) as client:
        found["broker"] = b"".join(
            repr(
                client.lrange(key, 0, -1) if client.type(key) == b"list" else client.dump(key)
            ).encode()
            for key in client.scan_iter()
        )
    return found


@pytest.mark.timeout(240)
def test_no_secret_of_any_kind_is_in_clear_anywhere(marked: Marked) -> None:
    hunt = marked.hunt
    set_up(marked)
    port = marked.url.rpartition(":")[2]
    web = marked.start("web", "web", "--port", port, **marked.environment)
    worker = marked.start("worker", "worker", "--concurrency", "1", **marked.environment)
    await_true(lambda: marked.ask("/readyz")[0] == 200, name="the web process")
    speak(marked)
    _upset_the_broker(marked)
    worker.await_said("notice_handled")
    await_true(lambda: marked.rosterd.parts.collect_dead()["collected"], name="the message")
    members_and_operators(marked)
    await_true(lambda: {told.path[-3:] for told in marked.app.told} >= {"ing", "use"}, name="told")
    look_around(marked)
    places = {**stored(marked), **marked.printed}
    assert hunt.found_in(places) == []
    assert web.said()
    assert worker.said()
    seen = {line.split(" in ")[0] for line in marked.control.found_in(stored(marked))}
    assert seen == set(IN_CLEAR), "or the hunt would not find what is there"
    assert len(hunt.secrets) > 45
