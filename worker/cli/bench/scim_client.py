"""An identity provider's side of a measurement: requests over kept-alive connections, timed."""

from __future__ import annotations

import asyncio
import json
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from domain.errors import RefusedError

USER = "urn:ietf:params:scim:schemas:core:2.0:User"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
_MEDIA = "application/scim+json"


@dataclass(frozen=True, slots=True)
class Service:
    """Where SCIM or the API is spoken. base: path in front of /Users. cookie: for a token."""

    port: int
    base: str
    token: str
    cookie: str = ""


@dataclass(slots=True)
class Times:
    """Milliseconds of each request, by what it was."""

    of: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    @property
    def count(self) -> int:
        """Requests."""
        return sum(map(len, self.of.values()))


class Line:
    """One connection, one request after the other."""

    def __init__(self, service: Service, times: Times) -> None:
        self._service = service
        self._times = times

    async def __aenter__(self) -> Self:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._service.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()

    async def ask(self, what: str, method: str, path: str, body: Any = None) -> Any:
        """The answer's JSON, None for an empty one; raises RefusedError unless it is 2xx."""
        answer = await self._exchange(what, method, path, body)
        return json.loads(answer) if answer else None

    async def look(self, what: str, path: str) -> bytes:
        """A page as it came; raises RefusedError unless it is 2xx."""
        return await self._exchange(what, "GET", path, None)

    async def _exchange(self, what: str, method: str, path: str, body: Any) -> bytes:
        sent = b"" if body is None else json.dumps(body).encode()
        cookie, token = self._service.cookie, self._service.token
        proof = f"cookie: {cookie}" if cookie else f"authorization: Bearer {token}"
        head = (
            f"{method} {self._service.base}{path} HTTP/1.1\r\nhost: localhost\r\n"
            f"{proof}\r\ncontent-type: {_MEDIA}\r\n"
            f"content-length: {len(sent)}\r\n\r\n"
        )
        began = time.perf_counter()
        self._writer.write(head.encode() + sent)
        told = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        answer = await self._body(told)
        self._times.of[what].append((time.perf_counter() - began) * 1000)
        if not told.startswith("HTTP/1.1 2"):
            raise RefusedError(f"{what}: {told.splitlines()[0]} {answer[:300]!r}")
        return answer

    async def _body(self, head: str) -> bytes:
        lines = [line.lower() for line in head.split("\r\n")]
        length = next((int(x[15:]) for x in lines if x.startswith("content-length:")), 0)
        if "transfer-encoding: chunked" not in lines:
            return await self._reader.readexactly(length)
        whole = b""
        while True:
            size = int((await self._reader.readline()).strip(), 16)
            whole += (await self._reader.readexactly(size + 2))[:-2]
            if not size:
                return whole


async def mix(service: Service, *, people: int, lines: int) -> tuple[float, Times]:
    """Requests a second, and how long each took: people are hired, moved, grouped and let go.

    For each person: create, change of address, into a group, out of it, suspension. A group for
    each ten.
    """
    times = Times()
    began = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for number in range(lines):
            mine = range(number, people, lines)
            tasks.create_task(_share(service, times, mine, name=f"{lines}-{number}"))
    return times.count / (time.perf_counter() - began), times


async def _share(service: Service, times: Times, numbers: Sequence[int], *, name: str) -> None:
    async with Line(service, times) as line:
        group = ""
        for place, number in enumerate(numbers):
            if place % 10 == 0:
                team = {"schemas": [GROUP], "displayName": f"Team {name} {place}", "members": []}
                group = (await line.ask("group", "POST", "/Groups", team))["id"]
            await _life(line, f"u{name}-{number}", group)


async def _life(line: Line, who: str, group: str) -> None:
    body = person(who)
    id_ = (await line.ask("create", "POST", "/Users", body))["id"]
    path = f"/Users/{id_}"
    value = [{"value": id_}]
    await line.ask("e-mail", "PUT", path, {**person(who, f"{who}.new@example.com"), "id": id_})
    await line.ask("add", "PATCH", f"/Groups/{group}", patch("add", "members", value))
    await line.ask(
        "remove", "PATCH", f"/Groups/{group}", patch("remove", f'members[value eq "{id_}"]')
    )
    await line.ask("suspend", "PATCH", path, patch("replace", None, {"active": False}))


def person(who: str, email: str | None = None) -> dict[str, Any]:
    """A user as Okta and Entra send one."""
    address = email or f"{who}@example.com"
    return {
        "schemas": [USER, ENTERPRISE],
        "userName": address,
        "externalId": who,
        "name": {"givenName": "Ana", "familyName": "Silva", "formatted": "Ana Silva"},
        "displayName": "Ana Silva",
        "title": "Engineer",
        "emails": [{"primary": True, "value": address, "type": "work"}],
        "active": True,
        ENTERPRISE: {"department": "Research"},
    }


def patch(op: str, path: str | None, value: Any = None) -> dict[str, Any]:
    """A PATCH of one operation."""
    told = {"op": op, "path": path, "value": value}
    part = {name: one for name, one in told.items() if one is not None}
    return {"schemas": [PATCH], "Operations": [part]}
