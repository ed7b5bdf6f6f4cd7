"""`/v1/users`, the writing part: people by hand, and what is open of anybody (U1-U6, E1-E3)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import Field, StringConstraints
from sqlalchemy import Connection
from starlette.responses import Response

from domain.connecting import check_address
from domain.errors import UsageError
from domain.model import Person, Role
from domain.values import normalise_address
from worker.adapters.db.deliverability import note_bounce
from worker.adapters.db.people_pages import one_person
from worker.services.admit import PeopleByHand
from worker.services.amend import Amendment, amend
from worker.web.api.answers import reading
from worker.web.api.asking import Asking
from worker.web.api.problems import responses
from worker.web.api.shapes import User, users_of
from worker.web.api.texts import Shown, Text, person_ref
from worker.web.api.users import found_person
from worker.web.api.writing import Told, Write, Writes

router = APIRouter(tags=["users"], responses=responses(400, 404, 409, 413, 415))
PROFILE = ("given_name", "family_name", "display_name")
Who = Annotated[str, Path(description="Id of the person.")]


class NewUser(Asking):
    """Somebody whom no identity provider makes."""

    email: Shown
    role: Role = Role.MEMBER
    given_name: Shown | None = None
    family_name: Shown | None = None
    display_name: Shown | None = None
    active: bool = Field(False, description="No mail: you vouch for it; say why in X-Reason.")
    account: Text | None = Field(
        None, description="Id of the account; needed with a token that is for all of them."
    )


class Amended(Asking):
    """What is to be changed: whatever is left out stays, null takes an attribute away."""

    role: Role | None = None
    given_name: Shown | None = None
    family_name: Shown | None = None
    display_name: Shown | None = None


class NewEmail(Asking):
    """Another address."""

    email: Shown


class Bounce(Asking):
    """A mail that came back."""

    why: Annotated[Text, StringConstraints(min_length=1)] = Field(
        description="As the mail server put it."
    )
    email: Text | None = Field(
        None, description="To which address; left out: the pending one, else the one in force."
    )


@router.post("/users", status_code=201, response_model=User)
def invite(asked: NewUser, write: Writes) -> Response:
    """U1: somebody whom no identity provider makes, invited by mail."""
    account = write.caller.one_account(asked.account)
    profile = {name: value for name in PROFILE if (value := getattr(asked, name))}
    reason = write.because() if asked.active else write.reason
    return write.answered(
        lambda database: write.parts.people_on(database).add(
            account,
            check_address(asked.email),
            role=asked.role,
            profile=profile,
            is_active=asked.active,
            actor=write.caller.actor,
            reason=reason,
        ),
        _told(201),
    )


@router.patch("/users/{user}", response_model=User)
def change(user: Who, asked: Amended, write: Writes) -> Response:
    """Role of anybody (U6), profile of somebody whom no identity provider governs."""
    given = asked.model_dump(exclude_unset=True)
    role = given.pop("role", None)
    if role is None and "role" in asked.model_fields_set:
        raise UsageError("role: nobody is without one")
    return write.answered(
        lambda database: amend(
            write.parts.people_on(database).store,
            person_ref(user),
            Amendment(role, given or None),
            actor=write.caller.actor,
            reason=write.reason,
            account=_owner(user, write),
        ),
        _told(200),
    )


@router.put("/users/{user}/email", response_model=User)
def change_email(user: Who, asked: NewEmail, write: Writes) -> Response:
    """E1-E3: in force once the new address accepts; `managed_by_idp` for the provisioned."""
    return write.answered(
        lambda database: write.parts.people_on(database).change_email(
            person_ref(user),
            check_address(asked.email),
            actor=write.caller.actor,
            reason=write.reason,
            account=_owner(user, write),
        ),
        _told(200),
    )


@router.post("/users/{user}/suspend", response_model=User)
def suspend(user: Who, write: Writes) -> Response:
    """U3 by hand: out; an open link dies. `managed_by_idp` for the provisioned."""
    return _one(user, write, PeopleByHand.suspend)


@router.post("/users/{user}/reactivate", response_model=User)
def reactivate(user: Who, write: Writes) -> Response:
    """U4 by hand: back; who never accepted is invited anew."""
    return _one(user, write, PeopleByHand.reactivate)


@router.post("/users/{user}/bounce", response_model=User)
def bounce(user: Who, asked: Bounce, write: Writes) -> Response:
    """E7: mail to an address of theirs came back; operators are shown it."""
    with reading(write.parts) as connection:
        person = found_person(connection, write.caller, user)
    address = asked.email or person.pending or person.email
    held = {normalise_address(one) for one in (person.email, person.pending) if one}
    if normalise_address(address) not in held:
        raise UsageError(f"email: {address!r} is no address of {person.id}")
    return write.answered(
        lambda database: database.change(
            lambda connection: note_bounce(
                connection,
                address,
                account=person.account,
                actor=write.caller.actor,
                reason=asked.why,
            )
        ),
        lambda connection, _ids: _told(200)(connection, person),
    )


@router.post("/users/{user}/resend", response_model=User)
def resend(user: Who, write: Writes) -> Response:
    """E6: what is open is mailed anew; the old link is dead."""
    person = _known(user, write)
    answer = write.answered(
        lambda database: write.parts.members_on(database).resend(
            person, actor=write.caller.actor, reason=write.reason
        ),
        _told(200),
    )
    write.parts.ring_notices()
    return answer


@router.post("/users/{user}/accept", response_model=User)
def accept(user: Who, write: Writes) -> Response:
    """D18: what is open is accepted without mail, for whoever vouches for it: say why."""
    person, reason = _known(user, write), write.because()
    return write.answered(
        lambda database: write.parts.members_on(database).vouch(
            person, actor=write.caller.actor, reason=reason
        ),
        _told(200),
    )


@router.delete("/users/{user}", status_code=204, response_model=None)
def delete_user(user: Who, write: Writes) -> Response:
    """U5: somebody suspended is deleted for good. Say why."""
    reason = write.because()
    return write.answered(
        lambda database: write.parts.people_on(database).delete(
            person_ref(user),
            actor=write.caller.actor,
            reason=reason,
            account=_owner(user, write),
        ),
        lambda _connection, _nothing: (204, None),
    )


def _one(user: str, write: Write, act: Callable[..., Person]) -> Response:
    return write.answered(
        lambda database: act(
            write.parts.people_on(database),
            person_ref(user),
            actor=write.caller.actor,
            reason=write.reason,
            account=_owner(user, write),
        ),
        _told(200),
    )


def _owner(user: str, write: Write) -> str | None:
    """C4: the account of the person, where a parent's token works on a child's; else its own."""
    with reading(write.parts) as connection:
        person = one_person(connection, person_ref(user))
    if person is None or not write.caller.may_see(person.account):
        return write.caller.account
    return person.account


def _known(user: str, write: Write) -> str:
    with reading(write.parts) as connection:
        return found_person(connection, write.caller, user).id


def _told(status: int) -> Told:
    def told(connection: Connection, person: Person) -> tuple[int, User]:
        return status, users_of(connection, [person])[0]

    return told
