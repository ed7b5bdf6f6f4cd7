"""Alerts as signed requests (Standard Webhooks), beside the mails to operators."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import orjson

from domain.dispatches import Endpoint
from domain.notices import DueNotice, MailError
from worker.adapters.outbound_http import OutboundError, OutboundHTTP
from worker.adapters.webhook import signed

TYPE = "operator.alert"
SECONDS = 15.0


class AlertHook:
    """Posts one alert; the same bytes and id however often. clock: the process's."""

    def __init__(self, http: OutboundHTTP, secret: str, clock: Callable[[], datetime]) -> None:
        self._http = http
        self._secret = secret
        self._clock = clock

    def send(self, notice: DueNotice) -> None:
        """Raises MailError for whatever is not taken; the wait for another try is the outbox's."""
        data = {
            "account": notice.concerns or None,
            "headline": notice.headline,
            "details": list(notice.details),
        }
        body = orjson.dumps({"type": TYPE, "data": data})
        to = Endpoint(TYPE, "", notice.address, (self._secret,))
        headers = signed(to, notice.id, body, self._clock())
        try:
            answer = self._http.send(
                "POST", notice.address, headers=headers, body=body, seconds=SECONDS
            )
        except OutboundError as error:
            raise MailError(f"the alert hook: {error}") from error
        if not 200 <= answer.status < 300:  # noqa: PLR2004 - success
            raise MailError(f"the alert hook answered {answer.status}")
