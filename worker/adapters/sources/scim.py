"""SCIM's writes as events: what was asked, with the changes that were made of it.

They are stored by the SCIM interface in the transaction that applies them; nothing is posted to a
hook. A replay finds the changes as they were resolved then (`worker/services/provision.py`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson

from domain import changes as kinds
from domain.addressing import FREE
from domain.changes import Change
from domain.errors import UsageError
from domain.inbox import Reason
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

NAME = "scim"
#: What may be the address besides the default, and the names of a profile that tell it (E9).
ADDRESSES = ("userName", "emails[primary]", "emails[work]", "emails[home]", "emails[other]")
_TYPES: Mapping[str, Any] = {
    kind.__name__: kind
    for kind in (
        kinds.ProvisionUser,
        kinds.UpdateProfile,
        kinds.ChangeEmail,
        kinds.SuspendUser,
        kinds.ReactivateUser,
        kinds.PutGroup,
        kinds.DeleteGroup,
        kinds.AddMember,
        kinds.RemoveMember,
        kinds.ReplaceMembers,
    )
}


def envelope(
    request: Mapping[str, Any], asked: Sequence[Mapping[str, Any]], keeps: Mapping[str, Any] | None
) -> bytes:
    """The body of the delivery: the request, what it asks for, and what was not kept of it."""
    return orjson.dumps({"request": request, "changes": asked, "keeps": keeps})


def told(changes: Sequence[Change]) -> list[dict[str, Any]]:
    """Changes as objects."""
    return [{"change": type(change).__name__, **_fields(change)} for change in changes]


def _fields(change: Change) -> dict[str, Any]:
    named = ((field.name, getattr(change, field.name)) for field in dataclasses.fields(change))
    return {name: dict(value) if isinstance(value, Mapping) else value for name, value in named}


def _change(asked: Mapping[str, Any]) -> Change:
    kind = _TYPES.get(fields.peek_text(asked, "change"))
    if kind is None:
        raise UnparseableError("change", "not one of ours")
    given = {name: value for name, value in asked.items() if name != "change"}
    if "users" in given:
        given["users"] = tuple(fields.as_list(given["users"], "users"))
    try:
        change: Change = kind(**given)
    except TypeError as error:
        raise UnparseableError("change", "not of this version") from error
    return change


class ScimSource(Webhook):
    """Reads `{"request": {..}, "changes": [..]}` of our own making."""

    name = NAME
    addresses: tuple[str, ...] = (*ADDRESSES, FREE)

    def verify(
        self,
        request: Request,  # noqa: ARG002
        secrets: Sequence[SigningSecret],  # noqa: ARG002
        now: datetime,  # noqa: ARG002
    ) -> SigningSecret:
        """Raises NotAuthenticError, whatever comes: SCIM is spoken at /scim/v2, with a token."""
        raise NotAuthenticError(proofs.WRONG)

    def split(self, document: object, request: Request) -> list[SplitEvent]:  # noqa: ARG002
        """Nothing: events are stored with their deliveries."""
        return []

    def parse(self, document: object, index: int) -> Parsed:  # noqa: ARG002
        """The changes as they were resolved when the request came."""
        asked = fields.as_list(fields.peek(document, "changes"), "changes")
        if not asked:
            return Parsed(ignored=Reason.NO_DIRECTORY_CHANGE)
        changes = tuple(_change(fields.as_object(one, "changes")) for one in asked)
        keeps = fields.peek(document, "keeps")
        return Parsed(changes, keeps=keeps if isinstance(keeps, dict) else None)

    def credential(self, secret: str | None, trust: Mapping[str, str]) -> str:
        """Empty: tokens prove who asks. Raises UsageError for anything else."""
        if secret is not None or trust:
            raise UsageError("SCIM is spoken with bearer tokens: `rosterd token add` makes them")
        return ""
