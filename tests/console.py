"""Somebody who sits before the console: signed in by a link, who follows links and fills forms."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from html import unescape
from threading import Thread
from typing import Any

from granian.constants import Interfaces
from granian.server.embed import Server
from playwright.sync_api import Browser, Page

from tests.harness import Rosterd
from tests.servers import await_true
from worker.bootstrap import Container
from worker.web.app import build_web
from worker.web.signin.session import COOKIE

_CSRF = re.compile(r'name="csrf" value="([0-9a-f]+)"')
#: No page is heavier (bytes, as sent).
HEAVIEST = 100_000


class Operator:
    """An operator with a browser of their own."""

    def __init__(
        self, rosterd: Rosterd, role: str = "admin", *, account: str | None = None, name: str = ""
    ) -> None:
        self.rosterd = rosterd
        self.email = f"{name or role}@example.com"
        owner = None
        if account is not None:
            with rosterd.setup() as use:
                owner = use.account(account)["id"]
        token = rosterd.session(rosterd.operator(self.email, role, account=owner))
        self.cookie = f"{COOKIE}={token}"

    def ask(self, path: str, **more: Any) -> Any:
        """The answer to a GET, not followed."""
        headers = {"Cookie": self.cookie, **more.pop("headers", {})}
        told = self.rosterd.http.get(path, headers=headers, follow_redirects=False, **more)
        self.rosterd.http.cookies.clear()
        return told

    def page(self, path: str, status: int = 200) -> str:
        """The text of a page, which is light, without scripts or styles in it, and not kept."""
        told = self.ask(path)
        assert told.status_code == status, (path, told.status_code, told.text[:2000])
        assert len(told.content) < HEAVIEST, path
        assert told.headers["cache-control"] == "no-store"
        policy = told.headers["content-security-policy"]
        assert "unsafe-inline" not in policy
        text: str = told.text
        assert " style=" not in text, path
        assert not re.search(r"<script(?! src=\"/static/)", text), path
        assert not re.search(r"<[^>]*\son\w+=", re.sub(r'"[^"]*"', '""', text)), path
        return text

    def post(self, path: str, *, at: str = "/", csrf: str | None = None, **fields: str) -> Any:
        """What a form of the page at `at` is answered."""
        if csrf is None:
            found = _CSRF.search(self.page(at))
            assert found is not None, at
            csrf = found.group(1)
        told = self.rosterd.http.post(
            path,
            data={"csrf": csrf, **fields},
            headers={"Cookie": self.cookie},
            follow_redirects=False,
        )
        self.rosterd.http.cookies.clear()
        return told

    def did(self, path: str, *, at: str = "/", **fields: str) -> str:
        """Do it; what the page that follows says was done."""
        told = self.post(path, at=at, **fields)
        assert told.status_code == 303, told.text[:3000]
        cookies = f"{self.cookie}; {told.headers['set-cookie'].partition(';')[0]}"
        followed = self.ask(told.headers["location"], headers={"Cookie": cookies})
        assert followed.status_code == 200, followed.text[:3000]
        said = re.search(r'<p class="said" role="status">(.*?)</p>', followed.text, re.DOTALL)
        assert said is not None
        return unescape(said.group(1))


@contextmanager
def hosted(rosterd: Rosterd) -> Iterator[str]:
    """The address of its application, streams included, served by a thread of this process."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    application = build_web(Container(rosterd.settings))
    loop = asyncio.new_event_loop()
    server = Server(
        application, port=port, interface=Interfaces.ASGI, websockets=False, log_enabled=False
    )
    thread = Thread(target=loop.run_until_complete, args=[server.serve()])
    thread.start()
    try:
        await_true(lambda: _listens(port), name="the server")
        yield f"http://127.0.0.1:{port}"
    finally:
        loop.call_soon_threadsafe(server.stop)
        thread.join()
        loop.close()


def _listens(port: int) -> bool:
    with socket.create_connection(("127.0.0.1", port)):
        return True


@contextmanager
def window(host: str, browser: Browser, of: Operator, **more: Any) -> Iterator[Page]:
    """A browser's window in which somebody is signed in."""
    context = browser.new_context(base_url=host, **more)
    name, _, value = of.cookie.partition("=")
    context.add_cookies([{"name": name, "value": value, "url": host}])
    yield context.new_page()
    context.close()
