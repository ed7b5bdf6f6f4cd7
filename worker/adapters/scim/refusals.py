"""Why a write was not done, as the RFC's errors tell it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from domain.inbox import Reason
from domain.resources import Answer, Refusal, Speaker
from worker.adapters.scim.errors import SCIMError, not_found

#: How long a provider is told to wait for an operator: for a hold, for a pause.
_FOR_OPERATOR = 300


def insist_open(speaker: Speaker) -> None:
    """Raise SCIMError 503 while the connection is paused (C2)."""
    if speaker.state == "paused":
        raise SCIMError(
            503,
            None,
            "provisioning is paused by an operator; nothing was done, send it again later",
            retry_after=_FOR_OPERATOR,
        )


def insist_done(answer: Answer, kind: str) -> None:
    """Raise the SCIMError that tells why a write was not done, if it was not. kind: as `User`."""
    if answer.refused is None:
        return
    build = REFUSALS.get(answer.refused)
    if build is None:
        raise SCIMError(500, None, "this is a fault of rosterd")
    raise build(answer, kind)


def _refusal(
    status: int, scim_type: str | None, says: str, *, retry_after: int | None = None
) -> Callable[[Answer, str], SCIMError]:
    """says: with {kind} and {detail}."""

    def build(answer: Answer, kind: str) -> SCIMError:
        text = says.format(kind=kind, detail=answer.detail)
        return SCIMError(status, scim_type, text, retry_after=retry_after)

    return build


REFUSALS: Mapping[Refusal | Reason, Callable[[Answer, str], SCIMError]] = {
    Refusal.NOT_FOUND: lambda _answer, kind: not_found(f"there is no such {kind}"),
    Refusal.CHANGED: _refusal(412, None, "the {kind} has changed since that version"),
    Refusal.TAKEN: _refusal(
        409, "uniqueness", "there is a {kind} with that name or externalId already"
    ),
    Refusal.BUSY: _refusal(
        503, None, "somebody whom this concerns is being changed; nothing was done", retry_after=1
    ),
    Refusal.NESTED: _refusal(
        400,
        "invalidValue",
        "members: {detail} is a group, and no group can be a member here",
    ),
    Reason.ADDRESS_TAKEN: _refusal(
        409, "uniqueness", "the address belongs to somebody else of this account"
    ),
    Reason.OWNED_ELSEWHERE: _refusal(
        409, "uniqueness", "the {kind} is governed by another connection of this account"
    ),
    Reason.GROUP_EXISTS: _refusal(
        409,
        "uniqueness",
        "the account has a group of that name that this connection does not manage",
    ),
    Reason.DOMAIN_NOT_ALLOWED: _refusal(400, "invalidValue", "{detail}"),
    Reason.NO_ADDRESS: _refusal(400, "invalidValue", "{detail}"),
    Reason.PROTECTED_USER: _refusal(
        403, None, "the last owner and break-glass people cannot be changed by provisioning"
    ),
    Reason.PROTECTED_GROUP: _refusal(403, None, "{detail}"),
    Reason.GUEST: _refusal(403, None, "guests are not provisioned"),
    Reason.OUT_OF_SCOPE: _refusal(
        403, None, "this connection does not keep the {kind}: it is outside its scope"
    ),
    Reason.BREAKER: _refusal(
        503,
        None,
        "held: too many people would lose something at once; an operator has to approve it "
        "({detail})",
        retry_after=_FOR_OPERATOR,
    ),
}
