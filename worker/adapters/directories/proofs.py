"""What an IdP's directory is shown before it answers: a token that stands, or one that is fetched.

Tokens are fetched by Authlib (client credentials, RFC 6749 4.4) through the guarded client.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from hmac import compare_digest
from typing import Any, Protocol
from urllib.parse import urlencode

import orjson
from authlib.common.errors import AuthlibBaseError
from authlib.oauth2.client import OAuth2Client

from domain.directories import DirectoryError
from worker.adapters.outbound_http import Answer, OutboundError, OutboundHTTP
from worker.adapters.webhook import retry_after

#: Of a token's life, so much at its end is left alone: a request may take a while.
LEEWAY_SECONDS = 30.0
#: A token whose life is not told is used for so long.
UNTOLD_SECONDS = 300.0
MAX_BYTES = 64 * 1024
_ERRORS = 400
_FAULTS = 500
_TOO_MANY = 429


class Proof(Protocol):
    """What goes into `Authorization`."""

    def header(self) -> str:
        """The value; raises DirectoryError where none can be had."""
        ...

    def refused(self, header: str) -> bool:
        """This value was answered with 401; whether another one may be had."""
        ...


class StandingToken:
    """A token that an administrator made, under the scheme that the vendor names."""

    def __init__(self, scheme: str, token: str) -> None:
        self._header = f"{scheme} {token}"

    def header(self) -> str:
        """See `Proof`."""
        return self._header

    def refused(self, header: str) -> bool:  # noqa: ARG002
        """There is no other."""
        return False


class FetchedToken:
    """Access tokens of one client, each kept until shortly before its end. For all threads.

    client: makes an Authlib client over a session, with its own way to prove itself. seconds: for
    one request.
    """

    def __init__(
        self,
        http: OutboundHTTP,
        url: str,
        client: Callable[[Any], OAuth2Client],
        *,
        seconds: float,
        monotonic: Callable[[], float],
    ) -> None:
        self._url = url
        self._client = client(TokenSession(http, seconds))
        self._monotonic = monotonic
        self._kept: tuple[str, float] | None = None
        self._lock = threading.Lock()

    def header(self) -> str:
        """See `Proof`. Blocks while a token is fetched, which one thread does for all."""
        with self._lock:
            if self._kept is None or self._monotonic() >= self._kept[1]:
                self._kept = self._fetched()
            return self._kept[0]

    def refused(self, header: str) -> bool:
        """Let go of it; the next one is fetched."""
        with self._lock:
            kept = self._kept[0] if self._kept is not None else ""
            if compare_digest(kept.encode(), header.encode()):
                self._kept = None
        return True

    def _fetched(self) -> tuple[str, float]:
        try:
            token = self._client.fetch_token(self._url, grant_type="client_credentials")
            value, seconds = str(token["access_token"]), _seconds(token.get("expires_in"))
        except AuthlibBaseError as error:
            why = f"the token endpoint refused rosterd's client: {error.error}"
            raise DirectoryError(why, needs_operator=True) from error
        except (ValueError, KeyError, TypeError) as error:
            raise DirectoryError("the token endpoint's answer is no token") from error
        return f"Bearer {value}", self._monotonic() + seconds


def _seconds(told: object) -> float:
    life = float(told) if isinstance(told, int | float) else UNTOLD_SECONDS
    return max(life - LEEWAY_SECONDS, life / 2)


class TokenSession:
    """The guarded client as Authlib expects one: it posts to the token endpoint, nothing else."""

    def __init__(self, http: OutboundHTTP, seconds: float) -> None:
        self._http = http
        self._seconds = seconds

    def post(
        self, url: str, *, data: Mapping[str, str], headers: Mapping[str, str], auth: Any
    ) -> _TokenAnswer:
        """A form, with the client's own proof; raises DirectoryError where nothing comes back."""
        return self._sent(*auth.prepare("POST", url, dict(headers), urlencode(data)))

    def request(
        self,
        method: str,  # noqa: ARG002 - always POST
        url: str,
        *,
        data: Mapping[str, str],
        withhold_token: bool,  # noqa: ARG002 - there is none yet
    ) -> _TokenAnswer:
        """A form that holds its own proof, an assertion; raises as `post` does."""
        headers = {
            "Accept": "application/json",
            "Content-Type": "application/x-www-form-urlencoded;charset=UTF-8",
        }
        return self._sent(url, headers, urlencode(data))

    def _sent(self, url: str, headers: Mapping[str, str], body: str) -> _TokenAnswer:
        try:
            answer = self._http.send(
                "POST",
                url,
                headers=headers,
                body=body.encode(),
                seconds=self._seconds,
                max_bytes=MAX_BYTES,
            )
        except OutboundError as error:
            why = f"the token endpoint: {error}"
            raise DirectoryError(why, needs_operator=error.is_refused) from error
        return _TokenAnswer(answer)


class _TokenAnswer:
    """An answer as Authlib reads one."""

    def __init__(self, answer: Answer) -> None:
        self.status_code = answer.status
        self._answer = answer
        if answer.status == _TOO_MANY:
            self.raise_for_status()

    def json(self) -> Any:
        """Raises ValueError for what is no JSON object; DirectoryError for an error without one."""
        try:
            told = orjson.loads(self._answer.body)
        except orjson.JSONDecodeError:
            told = None
        if isinstance(told, dict):
            return told
        self.raise_for_status()
        raise ValueError("no JSON object")

    def raise_for_status(self) -> None:
        """Raises DirectoryError for what is no success."""
        status = self.status_code
        if status < _ERRORS:
            return
        asked: timedelta | None = retry_after(
            self._answer.headers.get("retry-after"), datetime.now(UTC)
        )
        is_ours = status < _FAULTS and status != _TOO_MANY
        why = f"the token endpoint answered {status}"
        raise DirectoryError(why, retry_after=asked, needs_operator=is_ours)
