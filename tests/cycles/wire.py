"""What a provider sends, counted phase by phase with what became of it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.harness import Rosterd

MEDIA_TYPE = "application/scim+json"
PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"

Object = dict[str, Any]


@dataclass
class Phase:
    """One part of a cycle. seconds: wall time of its requests and their application."""

    name: str
    requests: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    faults: list[str] = field(default_factory=list)


@dataclass
class Wire:
    """A SCIM client. agent: its User-Agent, if it has one."""

    rosterd: Rosterd
    token: str
    agent: str | None = None
    phases: list[Phase] = field(default_factory=list)

    @contextmanager
    def phase(self, name: str) -> Iterator[Phase]:
        """Count what is sent until it ends, and what the inbox made of it."""
        found, before, began = Phase(name), self._outcomes(), time.perf_counter()
        self.phases.append(found)
        yield found
        found.seconds = time.perf_counter() - began
        found.outcomes = self._outcomes() - before

    def _outcomes(self) -> Counter[str]:
        return Counter(row["outcome"] or row["state"] for row in self.rosterd.events())

    def send(self, method: str, path: str, body: Object | None = None) -> Any:
        """The answer; statuses are counted, and what is an error is a fault of the phase."""
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": MEDIA_TYPE}
        if self.agent is not None:
            headers["User-Agent"] = self.agent
        more: Object = {} if body is None else {"json": body}
        answer = self.rosterd.http.request(method, f"/scim/v2{path}", headers=headers, **more)
        phase = self.phases[-1]
        phase.requests[method] += 1
        phase.statuses[answer.status_code] += 1
        if answer.status_code >= 400:
            phase.faults.append(f"{method} {path.partition('?')[0]}: {answer.text[:200]}")
        return answer

    def read(self, path: str, **query: str | int) -> Object:
        """What a GET answers, which must be 200."""
        asked = "&".join(f"{name}={_quoted(str(value))}" for name, value in query.items())
        found: Object = self.send("GET", f"{path}?{asked}" if asked else path).json()
        return found

    def patch(self, path: str, *operations: Object) -> Any:
        return self.send("PATCH", path, {"schemas": [PATCH], "Operations": list(operations)})


def _quoted(text: str) -> str:
    return text.replace("%", "%25").replace(" ", "%20").replace('"', "%22").replace("&", "%26")
