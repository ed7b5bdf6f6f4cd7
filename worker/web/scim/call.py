"""One request and one answer, as the handlers of SCIM see them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.datastructures import QueryParams

from domain.resources import Speaker
from worker.adapters.scim.asks import STRICT
from worker.bootstrap import Container
from worker.web.scim.together import Together

MEDIA_TYPE = "application/scim+json"
READ, WRITE = "scim:read", "scim:write"
#: The setting that shows the state of people without being asked for it.
STATE_SHOWN, ALWAYS = "scim_state", "always"


@dataclass(frozen=True, slots=True)
class Call:
    """A request that is authentic. path: parts after the base; base: the service's own address.

    body: decoded, without passwords; raw: as it came. headers: names in lower case.
    """

    parts: Container
    together: Together
    speaker: Speaker
    method: str
    path: tuple[str, ...]
    base: str
    query: QueryParams
    headers: Mapping[str, str]
    body: Any = None
    raw: bytes = b""
    is_cut: bool = False

    @property
    def is_strict(self) -> bool:
        """Whether the connection asks for the letter of the RFC."""
        return self.speaker.settings.get(STRICT) == "on"

    @property
    def place(self) -> str:
        """The path as it is told in events and errors."""
        return "/" + "/".join(self.path)


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer. body: an object to be written as JSON, or pieces of JSON text that stream."""

    status: int = 200
    body: Mapping[str, Any] | Iterator[bytes] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
