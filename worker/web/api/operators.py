"""`/v1/operators`: who may see and do what, how they sign in, where they are signed in (C4).

Each of the caller's accounts only: an account's token neither sees nor makes operators of all.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path
from pydantic import BaseModel, Field, SecretStr
from starlette.responses import Response

from domain.connecting import check_address
from domain.errors import NothingFoundError
from domain.permissions import Role
from domain.sign_in import LINK_LIFE
from worker.adapters.db.uow import database_now
from worker.bootstrap import Container
from worker.web.api.asking import Asking
from worker.web.api.caller import Appointer, Caller, Parts
from worker.web.api.problems import responses
from worker.web.api.texts import Shown, Text
from worker.web.api.writing import Appoints

router = APIRouter(tags=["operators"], responses=responses(400, 404, 409, 413, 415))
Who = Annotated[str, Path(description="Id of the operator.")]


class Operator(BaseModel):
    """Somebody who signs in here."""

    id: str
    email: str
    role: Role
    account: str | None = Field(description="Id: that account and its children; null for all.")
    has_password: bool
    created_at: datetime
    seen_at: datetime | None


class Operators(BaseModel):
    """All that are there for the caller, by address."""

    items: list[Operator]


class NewOperator(Asking):
    """A new operator, of an account and its children, or of all."""

    email: Shown
    role: Role = Role.VIEWER
    account: Text | None = Field(None, description="Id; left out: the token's own account.")


class Appointed(Asking):
    """Another role."""

    role: Role


class NewPassword(Asking):
    """A password, which ends the operator's sessions; null for none any more."""

    password: SecretStr | None


class SignInLink(BaseModel):
    """A link that works once."""

    url: str
    seconds: int = Field(description="How long it is good for.")


class SignedIn(BaseModel):
    """One browser in which an operator is signed in."""

    id: str
    email: str
    way: str
    address: str
    agent: str
    made_at: datetime
    seen_at: datetime
    expires_at: datetime


class Sessions(BaseModel):
    """Live ones, last used first."""

    items: list[SignedIn]


@router.get("/operators")
def list_operators(caller: Appointer, parts: Parts) -> Operators:
    """Operators by address."""
    return Operators(items=[_shown(one) for one in _all(caller, parts)])


@router.post("/operators", status_code=201, response_model=Operator)
def add_operator(asked: NewOperator, write: Appoints) -> Response:
    """A new operator; they sign in by a link, a password or your identity provider."""
    account = asked.account if asked.account is not None else write.caller.account
    email = check_address(asked.email)
    return write.answered(
        lambda once: write.parts.operators.appoint_on(once).add(
            write.caller.asker, email, asked.role.value, account=account, reason=write.reason
        ),
        lambda sql, made: (201, _new(made, email, asked.role, account, database_now(sql))),
    )


@router.patch("/operators/{operator}", response_model=Operator)
def change_operator(operator: Who, asked: Appointed, write: Appoints) -> Response:
    """Another role, from their next request on."""
    known = _one(write.caller, write.parts, operator)
    return write.answered(
        lambda once: write.parts.operators.appoint_on(once).set_role(
            write.caller.asker, known["email"], asked.role.value, reason=write.reason
        ),
        lambda _sql, _was: (200, _shown({**known, "role": asked.role.value})),
    )


@router.delete("/operators/{operator}", status_code=204, response_model=None)
def remove_operator(operator: Who, write: Appoints) -> Response:
    """No operator any more: signed out at once, links and password gone. Say why."""
    known, reason = _one(write.caller, write.parts, operator), write.because()
    return write.answered(
        lambda once: write.parts.operators.appoint_on(once).remove(
            write.caller.asker, known["email"], reason=reason
        ),
        lambda _sql, _none: (204, None),
    )


@router.post("/operators/{operator}/link", response_model=SignInLink)
def link_operator(operator: Who, write: Appoints) -> Response:
    """A sign-in link that works once, for a quarter of an hour."""
    known = _one(write.caller, write.parts, operator)
    base = write.parts.settings.public_url.rstrip("/")
    seconds = int(LINK_LIFE.total_seconds())
    return write.answered(
        lambda once: write.parts.operators.appoint_on(once).link(
            write.caller.asker, known["email"], reason=write.reason
        ),
        lambda _sql, made: (200, SignInLink(url=f"{base}/sign-in/{made}", seconds=seconds)),
    )


@router.put("/operators/{operator}/password", status_code=204, response_model=None)
def set_password(operator: Who, asked: NewPassword, write: Appoints) -> Response:
    """Set or take away a password; the operator is signed out."""
    known = _one(write.caller, write.parts, operator)
    given = asked.password.get_secret_value() if asked.password is not None else None
    return write.answered(
        lambda once: write.parts.operators.appoint_on(once).set_password(
            write.caller.asker, known["email"], given, reason=write.reason
        ),
        lambda _sql, _none: (204, None),
    )


@router.get("/operators/{operator}/sessions")
def list_sessions(operator: Who, caller: Appointer, parts: Parts) -> Sessions:
    """Where an operator is signed in."""
    email = _one(caller, parts, operator)["email"]
    found = parts.operators.appoint.sessions(caller.asker, email)
    return Sessions(items=[SignedIn.model_validate(asdict(one)) for one in found])


@router.delete("/operators/{operator}/sessions", status_code=204, response_model=None)
def end_sessions(operator: Who, write: Appoints) -> Response:
    """Sign an operator out everywhere, at once."""
    email = _one(write.caller, write.parts, operator)["email"]
    return write.answered(
        lambda once: write.parts.operators.appoint_on(once).end_sessions(
            write.caller.asker, email, reason=write.reason
        ),
        lambda _sql, _count: (204, None),
    )


@router.delete("/operators/{operator}/sessions/{session}", status_code=204, response_model=None)
def end_session(operator: Who, session: str, write: Appoints) -> Response:
    """Sign an operator out of one browser."""
    email = _one(write.caller, write.parts, operator)["email"]
    return write.answered(
        lambda once: write.parts.operators.appoint_on(once).end_session(
            write.caller.asker, session, email=email, reason=write.reason
        ),
        lambda _sql, _ended: (204, None),
    )


def _all(caller: Caller, parts: Container) -> list[dict[str, Any]]:
    return parts.operators.appoint.all(caller.asker)


def _one(caller: Caller, parts: Container, id_: str) -> dict[str, Any]:
    for one in _all(caller, parts):
        if one["id"] == id_:
            return one
    raise NothingFoundError("operator", id_)


def _shown(one: dict[str, Any]) -> Operator:
    return Operator(
        id=one["id"],
        email=one["email"],
        role=one["role"],
        account=one["account_id"],
        has_password=one["has_password"],
        created_at=one["created_at"],
        seen_at=one["seen_at"],
    )


def _new(made: str, email: str, role: Role, account: str | None, now: datetime) -> Operator:
    return Operator(
        id=made,
        email=email,
        role=role,
        account=account,
        has_password=False,
        created_at=now,
        seen_at=None,
    )
