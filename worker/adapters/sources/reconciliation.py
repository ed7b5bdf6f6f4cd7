"""What rosterd says itself in a connection's name: who was missing in a list, what was read there.

Its deliveries are written by the commands that decide them (`adapters/db/own_words.py`), never
posted: the feed has no secret, so that nothing proves itself to it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from domain import changes
from domain.addressing import TOLD
from domain.inbox import Kind
from domain.ordering import LISTING, READ
from domain.ports import (
    NotAuthenticError,
    Parsed,
    Request,
    SigningSecret,
    SplitEvent,
    UnparseableError,
)
from worker.adapters.sources import fields, proofs
from worker.adapters.sources.webhook import Webhook

NAME = "reconciliation"
UNLISTED, LISTED, READ_ANEW = "user.unlisted", "user.listed", "user.address_read_anew"
DESCRIBED = "user.address_allowed"
#: What the IdP's own directory was read to say.
USER_READ, USER_READ_OUT = "user.read", "user.read_inactive"
GROUP_READ, GROUP_ABSENT = "group.read", "group.absent"
MEMBER_READ, MEMBER_ABSENT = "member.read", "member.absent"
READS = frozenset({USER_READ, USER_READ_OUT, GROUP_READ, MEMBER_READ})
KINDS: Mapping[str, Kind] = {
    UNLISTED: Kind.USERS_SUSPEND,
    LISTED: Kind.USERS_REACTIVATE,
    READ_ANEW: Kind.USERS_CHANGE_EMAIL,
    DESCRIBED: Kind.USERS_CREATE,
    USER_READ: Kind.USERS_CREATE,
    USER_READ_OUT: Kind.USERS_SUSPEND,
    GROUP_READ: Kind.GROUPS_UPSERT,
    GROUP_ABSENT: Kind.GROUPS_DELETE,
    MEMBER_READ: Kind.GROUPS_ADD_MEMBERS,
    MEMBER_ABSENT: Kind.GROUPS_REMOVE_MEMBERS,
}

Event = Mapping[str, Any]


def _read_anew(event: Event) -> tuple[changes.Change, ...]:
    """`told`: the source's own address, to be kept among the attributes from now on."""
    change = changes.ChangeEmail(event["id"], event["email"], is_read_anew=True)
    if "told" not in event:
        return (change,)
    return (changes.UpdateProfile(event["id"], {TOLD: event["told"]}), change)


def _described(event: Event) -> tuple[changes.Change, ...]:
    """All else was told before and is kept: only the address was missing. kind: of a guest."""
    kind = event.get("kind", "member")
    return (changes.ProvisionUser(event["id"], event["email"], {}, None, kind),)


def _read(event: Event) -> tuple[changes.Change, ...]:
    """A person as the IdP answered: out before anything else, in once all else is said (E5)."""
    user, email, profile = event["id"], event["email"], event["attributes"]
    told: changes.Change = changes.UpdateProfile(user, profile)
    if email:
        told = changes.ProvisionUser(user, email, profile, None, event["kind"])
    if event["active"]:
        return (told, changes.ReactivateUser(user, READ))
    return (changes.SuspendUser(user, READ), told)


_CHANGES: Mapping[str, Callable[[Event], tuple[changes.Change, ...]]] = {
    UNLISTED: lambda event: (changes.SuspendUser(event["id"], LISTING),),
    LISTED: lambda event: (changes.ReactivateUser(event["id"], LISTING),),
    READ_ANEW: _read_anew,
    DESCRIBED: _described,
    USER_READ: _read,
    USER_READ_OUT: _read,
    GROUP_READ: lambda event: (changes.PutGroup(event["id"], event["name"]),),
    GROUP_ABSENT: lambda event: (changes.DeleteGroup(event["id"]),),
    MEMBER_READ: lambda event: (changes.AddMember(event["group"], event["id"]),),
    MEMBER_ABSENT: lambda event: (changes.RemoveMember(event["group"], event["id"]),),
}


class ReconciliationSource(Webhook):
    """Reads `{"events": [{"type", "id", ..}, ..]}` of our own making."""

    name = NAME
    kept_headers: tuple[str, ...] = ()

    def verify(
        self,
        request: Request,  # noqa: ARG002
        secrets: Sequence[SigningSecret],  # noqa: ARG002
        now: datetime,  # noqa: ARG002
    ) -> SigningSecret:
        """Raises NotAuthenticError, whatever comes."""
        raise NotAuthenticError(proofs.WRONG)

    def split(self, document: object, request: Request) -> list[SplitEvent]:  # noqa: ARG002
        """Nothing: events are stored with their deliveries."""
        return []

    def parse(self, document: object, index: int) -> Parsed:
        """What the event at this index asks for."""
        event = fields.as_object(fields.nth(fields.peek(document, "events"), index), "")
        build = _CHANGES.get(fields.peek_text(event, "type"))
        if build is None:
            raise UnparseableError("type", "not one of ours")
        return Parsed(build(event))

    def new_secret(self) -> str:
        """Empty: there is nothing to prove."""
        return ""
