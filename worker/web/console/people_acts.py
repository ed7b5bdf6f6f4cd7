"""What operators do to people on their pages, as by the command line, with a reason (U3-U9)."""

from __future__ import annotations

from collections.abc import Callable

from starlette.responses import Response
from starlette.routing import Route

from domain.errors import NothingFoundError, UsageError
from domain.model import Override, Person, Role
from domain.moments import parse_ahead
from domain.permissions import Permission
from worker.adapters.db.people_pages import one_person
from worker.web.console.call import Call
from worker.web.console.frame import Frame

#: Does it to a person of an account; what is told of it.
Act = Callable[[Call, Person, str], str]


def routes(frame: Frame) -> list[Route]:
    """One form for each."""
    writes, erases = Permission.DIRECTORY_WRITE, Permission.ERASE
    acts: dict[str, Act] = {
        "suspend": _suspend,
        "reactivate": _reactivate,
        "role": _role,
        "break-glass": _break_glass,
        "override": _override,
        "end-override": _end_override,
        "resend": _resend,
        "revoke-invitation": _revoke,
    }
    return [
        *(frame.form(f"/people/{{id}}/{name}", _form(act), writes) for name, act in acts.items()),
        frame.form("/people/{id}/delete", _delete, erases),
    ]


def _form(act: Act) -> Callable[[Call], Response]:
    def done(call: Call) -> Response:
        person, reason = _known(call), call.reason()
        return call.done(f"/people/{person.id}", act(call, person, reason))

    return done


def _known(call: Call) -> Person:
    """The person, if they are there for whoever asks; raises NothingFoundError."""
    id_ = call.part("id")
    with call.reading() as connection:
        person = one_person(connection, id_)
    call.asker.check_account("person", id_, person.account if person else None)
    if person is None:
        raise NothingFoundError("person", id_)
    return person


def _suspend(call: Call, person: Person, reason: str) -> str:
    call.parts.people.suspend(
        person.id, actor=call.asker.name, reason=reason, account=person.account
    )
    return "Suspended: out at once."


def _reactivate(call: Call, person: Person, reason: str) -> str:
    after = call.parts.people.reactivate(
        person.id, actor=call.asker.name, reason=reason, account=person.account
    )
    return f"Brought back: {after.state.value} now."


def _role(call: Call, person: Person, reason: str) -> str:
    told = call.text("role")
    if told not in tuple(Role):
        raise UsageError(f"role is one of {', '.join(Role)}, not {told!r}")
    call.parts.people.set_role(
        person.id, Role(told), actor=call.asker.name, reason=reason, account=person.account
    )
    return f"The role is {told} now."


def _break_glass(call: Call, person: Person, reason: str) -> str:
    is_on = call.text("is_on") == "yes"
    call.parts.people.set_break_glass(
        person.id, is_on=is_on, actor=call.asker.name, reason=reason, account=person.account
    )
    return f"Break-glass is {'on' if is_on else 'off'}."


def _override(call: Call, person: Person, reason: str) -> str:
    wanted = call.text("wanted")
    if wanted not in tuple(Override):
        raise UsageError(f"an override is one of {', '.join(Override)}, not {wanted!r}")
    until = parse_ahead(call.text("until"), call.now())
    call.parts.overrides.begin(
        person.id,
        Override(wanted),
        until=until,
        actor=call.asker.name,
        reason=reason,
        account=person.account,
    )
    call.parts.ring_notices()
    return f"Kept {wanted} until {until:%Y-%m-%d %H:%M} UTC, whatever the provider says."


def _end_override(call: Call, person: Person, reason: str) -> str:
    after = call.parts.overrides.end(
        person.id, actor=call.asker.name, reason=reason, account=person.account
    )
    call.parts.ring_notices()
    return f"The override is over: {after.state.value}, as without it."


def _resend(call: Call, person: Person, reason: str) -> str:
    call.parts.members.resend(person.id, actor=call.asker.name, reason=reason)
    call.parts.ring_notices()
    return "A fresh link is on its way; the old one is dead."


def _revoke(call: Call, person: Person, reason: str) -> str:
    call.parts.members.revoke(
        person.id, actor=call.asker.name, reason=reason, account=person.account
    )
    return "The open link is dead; another can be sent."


def _delete(call: Call) -> Response:
    person, reason = _known(call), call.reason()
    proof = call.parts.people.delete(
        person.id, actor=call.asker.name, reason=reason, account=person.account
    )
    told = f"Deleted for good. The proof is {proof}: rosterd erasure verify {proof} doubts it."
    return call.done(call.link("/people", account=person.account), told)
