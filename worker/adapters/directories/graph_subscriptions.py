"""Microsoft Graph's subscriptions to all users and all groups of a tenant.

learn.microsoft.com/graph: api/subscription-post-subscriptions, subscription-update,
change-notifications-lifecycle-events. Graph asks our address for its token while it makes one.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

from domain.directories import DirectoryError
from domain.subscribing import Made
from worker.adapters.directories.api import (
    BAD,
    CREATED,
    DONE,
    MISSING,
    OK,
    TWICE,
    DirectoryAPI,
    Told,
    as_list,
    as_text,
)
from worker.adapters.sources import fields

#: Of users and groups Graph takes 41,760 minutes; its clock need not be ours.
LONGEST = timedelta(minutes=41_760)
ASKED = LONGEST - timedelta(hours=1)
#: A creation and a soft deletion come as `updated`, too.
_CHANGES = "created,updated,deleted"
_KEY = re.compile(r"[A-Za-z0-9-]{1,100}")


class GraphSubscriptions:
    """`Subscriber` of one tenant. Topics are Graph's resources."""

    topics = ("users", "groups")
    can_renew = True

    def __init__(self, api: DirectoryAPI) -> None:
        self._api = api

    def subscribe(self, topic: str, *, url: str, secret: str) -> Made:
        """See the port.

        Graph may refuse a second one of an application for the same resource: then the former one
        that leads here goes first. What happens in between is found by the delta query.
        """
        wanted = {
            "changeType": _CHANGES,
            "notificationUrl": url,
            "lifecycleNotificationUrl": url,
            "resource": topic,
            "expirationDateTime": self._end(),
            "clientState": secret,
        }
        told = self._asked(wanted)
        if told.status == TWICE:
            self._make_room(topic, url)
            told = self._asked(wanted)
        if told.status != CREATED:
            raise _refused(told)
        return _made(told)

    def renew(self, made: Made) -> Made | None:
        """See the port; it counts as a new authorisation, too."""
        end = {"expirationDateTime": self._end()}
        told = self._api.send("PATCH", _path(made), end, takes=(OK, MISSING))
        return None if told.is_missing else _made(told)

    def unsubscribe(self, made: Made) -> None:
        """See the port."""
        self._api.send("DELETE", _path(made), takes=(DONE, MISSING))

    def _asked(self, wanted: dict[str, str]) -> Told:
        return self._api.send("POST", "/subscriptions", wanted, takes=(CREATED, BAD, TWICE))

    def _make_room(self, topic: str, url: str) -> None:
        told = self._api.get("/subscriptions")
        for item in as_list(fields.peek(told.document, "value"), "subscriptions"):
            resource = fields.peek_text(item, "resource").strip("/").casefold()
            if resource == topic and fields.peek_text(item, "notificationUrl") == url:
                self.unsubscribe(_made_of(item))

    def _end(self) -> str:
        return (self._api.now() + ASKED).astimezone(UTC).isoformat().replace("+00:00", "Z")


def _path(made: Made) -> str:
    if _KEY.fullmatch(made.key) is None:
        raise DirectoryError("the id of a subscription is none of Graph's", needs_operator=True)
    return f"/subscriptions/{made.key}"


def _made(told: Told) -> Made:
    return _made_of(told.document)


def _made_of(item: Any) -> Made:
    ends_at: datetime | None = fields.moment(fields.peek(item, "expirationDateTime"))
    if ends_at is None:
        raise DirectoryError("it does not tell when a subscription ends")
    return Made(as_text(fields.peek(item, "id"), "id of a subscription"), ends_at)


def _refused(told: Told) -> DirectoryError:
    if told.status == TWICE:
        return DirectoryError(
            "the same application has subscribed for another address (409): give rosterd an "
            "application of its own",
            needs_operator=True,
        )
    code = fields.peek_text(told.document, "error", "code")[:80] or "400"
    return DirectoryError(
        f"Graph made no subscription ({code}): it asks ROSTERD_PUBLIC_URL for a token first; is "
        "that https, with a certificate that everybody trusts, and reached from the internet?",
        needs_operator=True,
    )
