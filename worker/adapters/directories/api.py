"""One request to an IdP's directory: proven, within a deadline, and believed only when it is whole.

Whatever is no answer is a DirectoryError: a redirect, another content type, half a page, garbage.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from types import MappingProxyType
from typing import Any
from urllib.parse import urlencode

import orjson

from domain.directories import DirectoryError, Read, ReadMembership, UnaskableError
from domain.ports import UnparseableError
from worker.adapters.directories.proofs import Proof
from worker.adapters.outbound_http import Answer, OutboundError, OutboundHTTP
from worker.adapters.sources.strict_json import read_json
from worker.adapters.webhook import retry_after

#: Of a page: two hundred people with all that an organisation may keep of each.
MAX_BYTES = 16 * 1024 * 1024
#: An answer was true a second before it says that it was made: `Date` has whole seconds (D2).
DATE_IS_LATE = timedelta(seconds=1)
OK, UNPROVEN, FORBIDDEN, MISSING, TOO_MANY, FAULTS = 200, 401, 403, 404, 429, 500
CREATED, DONE, BAD, TWICE, GONE = 201, 204, 400, 409, 410
ANSWERS = (OK, MISSING)
_NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Told:
    """What came back. is_missing: 404, of which the document says more. at: when it was true."""

    document: Any
    headers: Mapping[str, str]
    at: datetime
    is_missing: bool = False
    status: int = OK


class DirectoryAPI:
    """The reading side of one IdP's API. base: the address that all paths are below.

    seconds: for one request, whatever the other side does. clock: this process's, for answers that
    bear no `Date`.
    """

    def __init__(
        self,
        http: OutboundHTTP,
        base: str,
        proof: Proof,
        *,
        seconds: float,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._seconds = seconds
        self._http = http
        self._base = base.rstrip("/")
        self._proof = proof
        self._clock = clock

    def get(
        self,
        path: str,
        query: Mapping[str, str | Sequence[str]] | None = None,
        *,
        headers: Mapping[str, str] = _NOTHING,
        takes: Collection[int] = ANSWERS,
    ) -> Told:
        """Ask; statuses in `takes` are answers. Raises DirectoryError for everything else.

        A token that was taken back early is fetched anew, once.
        """
        url = f"{self._base}{path}" + (f"?{urlencode(query, doseq=True)}" if query else "")
        return self._told("GET", url, headers, b"", takes)

    def send(
        self, method: str, path: str, document: object = None, *, takes: Collection[int]
    ) -> Told:
        """Ask for something to be done; like `get`."""
        body = b"" if document is None else orjson.dumps(document)
        headers = {"Content-Type": "application/json"} if body else _NOTHING
        return self._told(method, f"{self._base}{path}", headers, body, takes)

    def _told(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes,
        takes: Collection[int],
    ) -> Told:
        began, header = self._clock(), self._proof.header()
        answer = self._sent(method, url, headers, body, header)
        if answer.status == UNPROVEN and self._proof.refused(header):
            answer = self._sent(method, url, headers, body, self._proof.header())
        told_at = _date(answer.headers.get("date"))
        at = began if told_at is None else told_at - DATE_IS_LATE
        status = answer.status
        if status not in takes:
            raise self._refusal(answer, told_at or began)
        document = None if status == DONE else _document(answer)
        return Told(document, answer.headers, at, is_missing=status == MISSING, status=status)

    def now(self) -> datetime:
        """This process's clock."""
        return self._clock()

    def _sent(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes, proof: str
    ) -> Answer:
        given = {"Accept": "application/json", "Authorization": proof, **headers}
        try:
            return self._http.send(
                method, url, headers=given, body=body, seconds=self._seconds, max_bytes=MAX_BYTES
            )
        except OutboundError as error:
            raise DirectoryError(str(error), needs_operator=error.is_refused) from error

    def _refusal(self, answer: Answer, now: datetime) -> DirectoryError:
        status = answer.status
        if status == UNPROVEN:
            why = "it does not know rosterd's credentials (401): give it others"
            return DirectoryError(why, needs_operator=True)
        if status == FORBIDDEN:
            why = "rosterd's credentials may not read that (403): give them the permission"
            return DirectoryError(why, needs_operator=True)
        asked = _asked(answer.headers, now)
        if status == TOO_MANY:
            return DirectoryError("it asks for fewer requests (429)", retry_after=asked)
        why = f"it answered {status}"
        return DirectoryError(why, retry_after=asked, needs_operator=status < FAULTS)


class NoMemberships:
    """For a `Directory` whose API has no request for one membership."""

    def membership(self, group: str, user: str) -> Read[ReadMembership]:  # noqa: ARG002
        """See the port."""
        raise UnaskableError("its API cannot be asked for one membership", needs_operator=True)


def _document(answer: Answer) -> Any:
    kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" and not kind.endswith("+json"):
        told = kind or "nothing"
        raise DirectoryError(f"it answered {answer.status} with {told} instead of JSON")
    try:
        return read_json(answer.body)
    except UnparseableError:
        # Whatever it was is kept out of the message.
        raise DirectoryError(f"it answered {answer.status} with broken JSON") from None


def _date(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        told = parsedate_to_datetime(text)
    except ValueError:
        return None
    return told if told.tzinfo is not None else told.replace(tzinfo=UTC)


def _asked(headers: Mapping[str, str], now: datetime) -> timedelta | None:
    """How long it wants to be left alone: `Retry-After`, or the end of a window that Okta names."""
    told = retry_after(headers.get("retry-after"), now)
    reset = headers.get("x-rate-limit-reset", "")
    if told is not None or not (reset.isascii() and reset.isdecimal()):
        return told
    # Whole seconds: a moment earlier the window is still the old one.
    left = int(reset[:12]) - int(now.timestamp()) + 1
    return timedelta(seconds=max(left, 0))


def as_list(value: object, what: str) -> list[Any]:
    """A page's items; raises DirectoryError."""
    if not isinstance(value, list):
        raise DirectoryError(f"its list of {what} is no list")
    return value


def as_text(value: object, what: str) -> str:
    """A text that has to be there; raises DirectoryError."""
    if not isinstance(value, str) or not value:
        raise DirectoryError(f"it tells no {what}")
    return value


def texts(profile: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, str]:
    """Attributes by their name here; names: theirs -> ours. What is no text is not told."""
    found = {ours: profile.get(theirs) for theirs, ours in names.items()}
    return {name: value for name, value in found.items() if isinstance(value, str) and value}
