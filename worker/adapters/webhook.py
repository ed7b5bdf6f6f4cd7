"""Announcements as Standard Webhooks requests: composed, signed with every live secret, sent."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import orjson

from domain.dispatches import DeliveryError, Dispatch, Endpoint, Reply
from worker.adapters.outbound_http import OutboundError, OutboundHTTP

SECRET = "whsec_"  # noqa: S105 - how a secret begins
#: Of an answer only the status counts; a longer one is cut off.
LONGEST_ANSWER = 64 * 1024


def body_of(dispatch: Dispatch) -> bytes:
    """The same bytes however often it is sent."""
    data = {**orjson.loads(dispatch.data), "sequence": dispatch.sequence}
    return orjson.dumps({"type": dispatch.type, "timestamp": dispatch.made_at, "data": data})


def signed(endpoint: Endpoint, message_id: str, body: bytes, now: datetime) -> dict[str, str]:
    """Headers of a request; all live secrets sign, so that a rotation needs no moment of its own.

    now: of this try, for whoever receives it refuses old ones.
    """
    stamp = str(int(now.timestamp()))
    content = f"{message_id}.{stamp}.".encode() + body
    return {
        "content-type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": stamp,
        "webhook-signature": " ".join(_mark(secret, content) for secret in endpoint.secrets),
    }


def _mark(secret: str, content: bytes) -> str:
    key = base64.b64decode(secret.removeprefix(SECRET))
    return f"v1,{base64.b64encode(hmac.digest(key, content, hashlib.sha256)).decode()}"


class WebhookPoster:
    """`Poster` over the guarded client. clock: the process's, which other machines' compare."""

    def __init__(
        self, http: OutboundHTTP, *, clock: Callable[[], datetime], seconds: float
    ) -> None:
        self._http = http
        self._clock = clock
        self._seconds = seconds

    def compose(self, endpoint: Endpoint, dispatch: Dispatch) -> tuple[Mapping[str, str], bytes]:
        """Headers and body of one try."""
        body = body_of(dispatch)
        return signed(endpoint, dispatch.message_id, body, self._clock()), body

    def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """See the port."""
        try:
            answer = self._http.send(
                "POST",
                url,
                headers=headers,
                body=body,
                seconds=self._seconds,
                max_bytes=LONGEST_ANSWER,
            )
        except OutboundError as error:
            raise DeliveryError(str(error)) from error
        return Reply(answer.status, retry_after(answer.headers.get("retry-after"), self._clock()))


def retry_after(text: str | None, now: datetime) -> timedelta | None:
    """Seconds or a date (RFC 9110, 10.2.3); None for what is neither."""
    if text is None:
        return None
    if text.strip().isdecimal() and text.isascii():
        return timedelta(seconds=min(int(text), 10**7))
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return max(moment - now, timedelta(0))
