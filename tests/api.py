"""An application that asks `/api/v1` with a token of its own."""

from __future__ import annotations

from typing import Any

from tests.harness import Rosterd
from worker.web.api.problems import KINDS, MEDIA_TYPE, TYPES


class Client:
    """An application with a token."""

    def __init__(
        self, rosterd: Rosterd, *scopes: str, account: str | None = "acme", days: int = 1
    ) -> None:
        words = [word for scope in scopes for word in ("--scope", scope)]
        words += ["--days", str(days)]
        if account is not None:
            words += ["--account", account]
        done = rosterd.cli("token", "add", "app", *words)
        assert done.returncode == 0, done.stderr
        self.token = done.stdout.strip()
        self._rosterd = rosterd

    def ask(self, method: str, path: str, **more: Any) -> Any:
        headers = {"Authorization": f"Bearer {self.token}", **more.pop("headers", {})}
        return self._rosterd.http.request(method, f"/api/v1{path}", headers=headers, **more)

    def post(self, path: str, body: Any = None, status: int = 200, **headers: str) -> Any:
        """What a write answers; headers by name, with `_` for `-`."""
        return self.write("POST", path, body, status, **headers)

    def write(
        self, method: str, path: str, body: Any = None, status: int = 200, **headers: str
    ) -> Any:
        more = {"headers": {name.replace("_", "-"): value for name, value in headers.items()}}
        told = self.ask(method, path, **more, **({} if body is None else {"json": body}))
        assert told.status_code == status, told.text
        return told.json() if told.content else None

    def get(self, path: str, **params: Any) -> Any:
        told = self.ask("GET", path, params=params)
        assert told.status_code == 200, told.text
        return told.json()

    def all(self, path: str, **params: Any) -> list[dict[str, Any]]:
        """Every item, page by page."""
        page = self.get(path, **params)
        found = page["items"]
        while page["next"] is not None:
            page = self.get(path, **{**params, "cursor": page["next"]})
            found += page["items"]
        return list(found)


def is_problem(told: Any, status: int, code: str) -> None:
    assert told.status_code == status, told.text
    assert told.headers["content-type"] == MEDIA_TYPE
    body = told.json()
    assert (body["code"], body["status"]) == (code, status)
    assert body["type"] == TYPES + code
    assert body["title"] == KINDS[code].title
    assert body["detail"]
    assert body["request_id"] == told.headers["x-request-id"]
