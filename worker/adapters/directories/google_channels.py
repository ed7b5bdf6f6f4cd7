"""Google's notification channels: one for each kind of change of users, one for each log.

developers.google.com: admin-sdk/directory/v1/guides/push, admin-sdk/reports/v1/guides/push. A
channel lives for six hours at most and is never given more: another is opened before its end.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode
from uuid import uuid4

from domain.directories import DirectoryError
from domain.subscribing import Made
from worker.adapters.directories.api import DONE, MISSING, OK, DirectoryAPI, Told, as_text
from worker.adapters.sources import fields
from worker.adapters.sources.google_events import APPLICATIONS

LONGEST = timedelta(hours=6)
_DIGITS = 16
#: Of users; whether somebody is an administrator is nothing that the directory here knows.
STATES = ("add", "update", "delete", "undelete")
_USERS, _LOGS = "users", "activities"
_WATCH = {
    _USERS: "/admin/directory/v1/users/watch",
    _LOGS: "/admin/reports/v1/activity/users/all/applications/{}/watch",
}
_STOP = {_USERS: "/admin/directory_v1/channels/stop", _LOGS: "/admin/reports_v1/channels/stop"}


class GoogleChannels:
    """`Subscriber` of one customer. Topics: `users STATE` and `activities APPLICATION`."""

    topics = (
        *(f"{_USERS} {state}" for state in STATES),
        *(f"{_LOGS} {name}" for name in APPLICATIONS),
    )
    can_renew = False

    def __init__(self, api: DirectoryAPI, customer: str) -> None:
        self._api = api
        self._customer = customer

    def subscribe(self, topic: str, *, url: str, secret: str) -> Made:
        """See the port; Google sends a first message, which tells nothing, before it answers."""
        end = int((self._api.now() + LONGEST).timestamp() * 1000)
        wanted = {
            "id": str(uuid4()),
            "type": "web_hook",
            "address": url,
            "token": secret,
            "expiration": str(end),
        }
        told = self._api.send("POST", self._path(topic), wanted, takes=(OK,))
        return _made(told, topic)

    def renew(self, made: Made) -> Made | None:  # noqa: ARG002
        """See the port: never."""
        return None

    def unsubscribe(self, made: Made) -> None:
        """See the port."""
        kind, _, resource = made.detail.partition(" ")
        known = {"id": made.key, "resourceId": resource}
        self._api.send("POST", _STOP[kind], known, takes=(OK, DONE, MISSING))

    def _path(self, topic: str) -> str:
        kind, _, what = topic.partition(" ")
        path = _WATCH[kind].format(what)
        query = {"customer": self._customer, "event": what}
        return f"{path}?{urlencode(query)}" if kind == _USERS else path


def _made(told: Told, topic: str) -> Made:
    """detail: which service has it, and its own id of what is watched."""
    key = as_text(fields.peek(told.document, "id"), "id of a channel")
    resource = as_text(fields.peek(told.document, "resourceId"), "id of what a channel watches")
    return Made(key, _end(told), f"{topic.partition(' ')[0]} {resource}")


def _end(told: Told) -> datetime:
    """Milliseconds, as a text or a number."""
    text = str(fields.peek(told.document, "expiration"))
    millis = int(text) if text.isascii() and text.isdigit() and len(text) < _DIGITS else None
    found = fields.epoch(millis, 1000)
    if found is None:
        raise DirectoryError("it does not tell when a channel ends")
    return found.astimezone(UTC)
