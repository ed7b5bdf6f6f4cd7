"""How vendors' webhook senders try again, as their own documentation (or code) has it.

Seconds between tries, what contents them, what they give up at once. Where a vendor says nothing it
is taken to send once: whoever counts on more counts on luck.

Okta developer.okta.com/docs/concepts/event-hooks; Auth0 auth0.com/docs/customize/events; Svix
docs.svix.com/retries; WorkOS workos.com/docs/events/data-syncing/webhooks; the extension's
HttpSenderEventListenerProvider and Polis' event code; Microsoft learn.microsoft.com/graph/
change-notifications-delivery-webhooks; Google developers.google.com/workspace/admin/directory/v1/
guides/push.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

#: A status, or None where nothing came back in time.
Try = Callable[[], int | None]
_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86_400.0


def _any_2xx(status: int) -> bool:
    return 200 <= status < 300


def _fault_of_ours(status: int) -> bool:
    return status >= 500


@dataclass(frozen=True)
class Sender:
    """One vendor's rules. waits: seconds before the second try, the third, ..

    contents: statuses that it takes for a yes. again: statuses after which it tries again.
    after_silence: whether it does where nothing came back. deadline: seconds until it takes it so.
    """

    waits: tuple[float, ...] = ()
    contents: Callable[[int], bool] = _any_2xx
    again: Callable[[int], bool] = _fault_of_ours
    after_silence: bool = True
    deadline: float | None = None

    def deliver(self, send: Try, wait: Callable[[float], None] = lambda _seconds: None) -> bool:
        """Try as the vendor does; False where the event is lost to its hook."""
        for pause in (*self.waits, None):
            status = send()
            if status is not None and self.contents(status):
                return True
            is_tried_again = self.after_silence if status is None else self.again(status)
            if pause is None or not is_tried_again:
                return False
            wait(pause)
        return False


_SVIX = Sender(
    waits=(5, 5 * _MINUTE, 30 * _MINUTE, 2 * _HOUR, 5 * _HOUR, 10 * _HOUR, 10 * _HOUR),
    again=lambda _status: True,
    deadline=15,
)
_ONCE = Sender()

SENDERS: Mapping[str, Sender] = {
    "auth0": Sender(waits=(1, 2, 4)),
    "clerk": _SVIX,
    "entra": Sender(waits=(10, _MINUTE, 10 * _MINUTE, _HOUR), deadline=10),
    "fusionauth": _ONCE,
    "google": Sender(
        waits=(1, 10, _MINUTE),
        contents=lambda status: status in (102, 200, 201, 202, 204),
        again=lambda status: status in (500, 502, 503, 504),
    ),
    # What it says it does after a lost connection, its code does not do.
    "keycloak": Sender(
        waits=(0.5, 2.5, 12.5, 62.5, 180),
        again=lambda status: not _any_2xx(status),
        after_silence=False,
    ),
    "okta": Sender(waits=(0.0,), deadline=3),
    "onelogin": _ONCE,
    "pingone": Sender(waits=(_MINUTE,) * 20, contents=lambda status: status == 200),
    "polis": Sender(contents=lambda status: status == 200),
    "scalekit": _SVIX,
    "standard": _SVIX,
    "workos": Sender(waits=(_MINUTE, _HOUR, _DAY, _DAY), again=lambda _status: True),
    "zitadel": Sender(contents=lambda status: status < 400),
}


@dataclass
class Line:
    """What a sender's tries came to: an answer each, None for none."""

    answers: list[int | None] = field(default_factory=list)
    waited: float = 0.0

    def wait(self, seconds: float) -> None:
        self.waited += seconds
