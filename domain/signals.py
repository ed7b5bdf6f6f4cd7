"""Security signals: what an identity provider says of a person that changes no directory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from domain.announcements import Announcement, AnnouncementType
from domain.model import Person

Told = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Signal:
    """One signal. name: its last word, such as `session-revoked`; uri: its whole type.

    subject: whom the provider means, as it says it (RFC 9493). user, address: how to find them,
    "" where it tells neither. details: what it says beside.
    """

    name: str
    uri: str
    subject: Told
    user: str = ""
    address: str = ""
    details: Told = field(default_factory=dict)


def of_signal(
    signal: Signal, person: Person | None, *, account: str, connection: str, occurred_at: datetime
) -> Announcement:
    """A signal as the application hears of it, numbered among what is told of the person.

    person: None for somebody whom the directory does not know by this id or address.
    """
    user = None
    if person is not None:
        user = {"id": person.id, "external_id": person.user, "email": person.email}
    data = {
        "account": account,
        "connection": connection,
        "signal": signal.name,
        "event_type": signal.uri,
        "occurred_at": occurred_at.isoformat(),
        "subject": signal.subject,
        "user": user,
        "details": signal.details,
    }
    subject = person.id if person is not None else f"signals:{connection}"
    return Announcement(account, AnnouncementType.SECURITY_SIGNAL, subject, data)
