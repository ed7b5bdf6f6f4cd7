"""`rosterd user add|role|break-glass|suspend|..`: what operators do to people."""

from __future__ import annotations

from typing import Annotated

import typer

from domain.connecting import check_address
from domain.errors import UsageError
from domain.model import Person, Role
from worker.adapters.db.group_queries import private_space
from worker.cli.output import AsJSON, DryRun, Yes, as_json, ask, out
from worker.cli.reasons import Reason, Why
from worker.cli.session import actor, container, person_named, post, reading, setup

Account = Annotated[str | None, typer.Option(help="Whose person; needed with an address.")]
Who = Annotated[str, typer.Argument(metavar="PERSON", help="Id, or address with --account.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("add")(add)
    app.command("role")(role)
    app.command("break-glass")(break_glass)
    app.command("suspend")(suspend)
    app.command("reactivate")(reactivate)
    app.command("change-email")(change_email)
    app.command("private-space")(private_space_)
    app.command("delete")(delete)


def role_named(text: str) -> Role:
    """A role by its word; raises UsageError."""
    if text not in list(Role):
        raise UsageError(f"role {text!r}: one of {', '.join(Role)}")
    return Role(text)


def add(
    account: Annotated[str, typer.Option()],
    email: str,
    role: Annotated[str, typer.Option(help="owner, administrator, member or guest")] = "member",
    name: Annotated[str | None, typer.Option(help="Display name.")] = None,
    active: Annotated[bool, typer.Option("--active", help="No mail: you vouch for it.")] = False,
    reason: Reason = "",
    json_: AsJSON = False,
) -> None:
    """A person whom no identity provider made: invited by mail, unless --active."""
    if active and not reason.strip():
        raise UsageError("--active needs a --reason: nobody asked the person")
    with setup() as use:
        owner = use.account(account)["id"]
    made = container().people.add(
        owner,
        check_address(email),
        role=role_named(role),
        profile={"display_name": name} if name else {},
        is_active=active,
        actor=actor(),
        reason=reason,
    )
    post()
    _tell(made, as_json_=json_, says=f"added: {made.id}, {made.state.value}")


def role(
    person: Who, role: str, reason: Why, account: Account = None, json_: AsJSON = False
) -> None:
    """Make somebody owner, administrator, member or guest, whoever made them (U6)."""
    id_, owner = person_named(person, account)
    after = container().people.set_role(
        id_, role_named(role), actor=actor(), reason=reason, account=owner
    )
    _tell(after, as_json_=json_, says=f"{after.id} is {after.role.value}")


def break_glass(
    person: Who,
    switch: Annotated[str, typer.Argument(metavar="on|off")],
    reason: Why,
    account: Account = None,
    json_: AsJSON = False,
) -> None:
    """Mark somebody whom provisioning may not touch, or take the mark away (U6)."""
    words = {"on", "off"}
    if person in words and switch not in words:
        person, switch = switch, person
    if switch not in words:
        raise UsageError(f"break-glass {switch!r}: on or off")
    id_, owner = person_named(person, account)
    after = container().people.set_break_glass(
        id_, is_on=switch == "on", actor=actor(), reason=reason, account=owner
    )
    says = "is break-glass: provisioning does not touch them" if after.is_break_glass else "is not"
    _tell(after, as_json_=json_, says=f"{after.id} {says}")


def suspend(person: Who, reason: Why, account: Account = None, json_: AsJSON = False) -> None:
    """Let somebody out whom no identity provider governs; an open link dies (U3)."""
    id_, owner = person_named(person, account)
    after = container().people.suspend(id_, actor=actor(), reason=reason, account=owner)
    # No mail, but whoever ends their sessions hears of it at once.
    post()
    _tell(after, as_json_=json_, says=f"{after.id} is {after.state.value}")


def reactivate(person: Who, reason: Why, account: Account = None, json_: AsJSON = False) -> None:
    """Bring back whom an operator let out; who never accepted is invited anew (U4)."""
    id_, owner = person_named(person, account)
    after = container().people.reactivate(id_, actor=actor(), reason=reason, account=owner)
    post()
    _tell(after, as_json_=json_, says=f"{after.id} is {after.state.value}")


def change_email(
    person: Who, email: str, reason: Why, account: Account = None, json_: AsJSON = False
) -> None:
    """Another address for whom no identity provider governs; the new one is asked first (E2)."""
    id_, owner = person_named(person, account)
    after = container().people.change_email(
        id_, check_address(email), actor=actor(), reason=reason, account=owner
    )
    post()
    asked = f"; {after.pending} has been asked" if after.pending else ""
    _tell(after, as_json_=json_, says=f"{after.id}: address in force {after.email}{asked}")


def delete(
    person: Who,
    reason: Why,
    account: Account = None,
    yes: Yes = False,
    dry_run: DryRun = False,
    json_: AsJSON = False,
) -> None:
    """Delete somebody suspended for good: what told of them goes, a tombstone stays (U5)."""
    if not reason.strip():
        raise UsageError("a deletion needs a --reason for the audit")
    id_, owner = person_named(person, account)
    people, proof = container().people, None
    people.delete(id_, actor=actor(), reason=reason, account=owner, is_rehearsal=True)
    if not dry_run:
        ask(f"delete {id_} for good? nothing brings them back", yes=yes)
        proof = people.delete(id_, actor=actor(), reason=reason, account=owner)
    if json_:
        print(as_json({"id": id_, "deleted": not dry_run, "erasure": proof}))
        return
    out.print(f"{'would delete' if dry_run else 'deleted'} {id_}", markup=False)
    if proof is not None:
        out.print(f"proof: rosterd erasure show {proof}; rosterd erasure verify {proof}")


def private_space_(
    person: Who,
    by: Annotated[str, typer.Option("--by", help="Who would open it.")],
    account: Account = None,
    json_: AsJSON = False,
) -> None:
    """Whether somebody can open a person's private space, and why not (G4)."""
    id_, owner = person_named(person, account)
    actor_id, _ = person_named(by, account)
    with reading() as connection:
        found = private_space(connection, actor_id, id_, owner)
    if json_:
        print(as_json(found))
        return
    out.print("yes" if found["allowed"] else f"no: {found['why']}", markup=False)


def _tell(person: Person, *, as_json_: bool, says: str) -> None:
    if as_json_:
        print(as_json(described(person)))
        return
    out.print(says, markup=False)


def described(person: Person) -> dict[str, object]:
    """What a command tells a program of the person it changed."""
    return {
        "id": person.id,
        "email": person.email,
        "pending_email": person.pending,
        "state": person.state.value,
        "role": person.role.value,
        "break_glass": person.is_break_glass,
        "managed": person.is_managed,
    }
