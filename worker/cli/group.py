"""`rosterd group`: groups of an account, whoever made them."""

from __future__ import annotations

from typing import Annotated

import typer

from domain.own_groups import OwnGroup, permission_named
from worker.adapters.db.group_queries import find_groups, group_named, group_story
from worker.cli.links import move_group
from worker.cli.output import AsJSON, DryRun, Yes, as_json, ask, out, show, tell_one
from worker.cli.reasons import Reason, Why
from worker.cli.session import actor, container, person_named, reading, setup

app = typer.Typer(no_args_is_help=True)
member = typer.Typer(no_args_is_help=True, help="Members of groups by hand.")
app.add_typer(member, name="member")
app.command("move")(move_group)

Which = Annotated[str, typer.Argument(metavar="GROUP", help="Id, or name with --account.")]
Who = Annotated[str, typer.Argument(metavar="PERSON", help="Id, or address with --account.")]
Account = Annotated[str | None, typer.Option(help="Whose group; needed with a name.")]
May = Annotated[str, typer.Argument(metavar="PERMISSION")]


def _named(name: str, account: str | None) -> tuple[str, str | None]:
    """Id of the group meant, and of the account that was named."""
    owner = None
    if account is not None:
        with setup() as use:
            owner = use.account(account)["id"]
    with reading() as connection:
        return str(group_named(connection, name, owner)["id"]), owner


@app.command("list")
def list_(account: Annotated[str, typer.Option()], json_: AsJSON = False) -> None:
    """Groups of an account: built in, by hand, and managed by an identity provider."""
    with setup() as use:
        owner = use.account(account)["id"]
    with reading() as connection:
        found = find_groups(connection, owner)
    show(found, ["id", "name", "built_in", "managed", "connection", "permissions"], as_json_=json_)


@app.command("show")
def show_(group: Which, account: Account = None, json_: AsJSON = False) -> None:
    """One group: who manages it, what it may do, who is in it."""
    id_, owner = _named(group, account)
    with reading() as connection:
        story = group_story(connection, id_, owner)
    if json_:
        print(as_json(story))
        return
    tell_one(story, leaves_out={"members"})
    show(story["members"], ["id", "email", "state", "role"], as_json_=False)


@app.command("add")
def add(
    account: Annotated[str, typer.Option()], name: str, reason: Reason = "", json_: AsJSON = False
) -> None:
    """A group that no identity provider made."""
    with setup() as use:
        owner = use.account(account)["id"]
    made = container().groups.add(owner, name, actor=actor(), reason=reason)
    _tell(made, as_json_=json_, says=f"added: {made.id}")


@app.command("rename")
def rename(
    group: Which, name: str, reason: Why, account: Account = None, json_: AsJSON = False
) -> None:
    """Another name for a group by hand (G5, G6)."""
    id_, owner = _named(group, account)
    after = container().groups.rename(id_, name, actor=actor(), reason=reason, account=owner)
    _tell(after, as_json_=json_, says=f"{after.id} is {after.name!r}")


@app.command("grant")
def grant(
    group: Which,
    permission: May,
    reason: Why,
    account: Account = None,
    json_: AsJSON = False,
) -> None:
    """Let a group do something: recover_accounts, manage_all_groups or open_private_space (G3)."""
    id_, owner = _named(group, account)
    wanted = permission_named(permission)
    with reading() as connection:
        was_managed = group_named(connection, id_, owner)["managed"]
    after = container().groups.grant(id_, wanted, actor=actor(), reason=reason, account=owner)
    if was_managed and not after.is_managed and not json_:
        out.print(f"{after.name!r} dropped out of management: members are by hand now (G3)")
    _tell(after, as_json_=json_, says=f"{after.id} may {', '.join(sorted(after.permissions))}")


@app.command("revoke")
def revoke(
    group: Which,
    permission: May,
    reason: Why,
    account: Account = None,
    json_: AsJSON = False,
) -> None:
    """Take a permission from a group."""
    id_, owner = _named(group, account)
    after = container().groups.revoke(
        id_, permission_named(permission), actor=actor(), reason=reason, account=owner
    )
    may = ", ".join(sorted(after.permissions)) or "nothing"
    _tell(after, as_json_=json_, says=f"{after.id} may {may}")


@app.command("delete")
def delete(
    group: Which,
    reason: Why,
    account: Account = None,
    yes: Yes = False,
    dry_run: DryRun = False,
    json_: AsJSON = False,
) -> None:
    """Delete a group by hand and its memberships; its people stay (G1)."""
    id_, owner = _named(group, account)
    groups = container().groups
    told, count = groups.delete(id_, actor=actor(), reason=reason, account=owner, is_rehearsal=True)
    if not dry_run:
        what = f"delete {told.name!r} with {count} memberships?"
        ask(what, yes=yes)
        told, count = groups.delete(id_, actor=actor(), reason=reason, account=owner)
    if json_:
        print(as_json({"id": told.id, "memberships": count, "deleted": not dry_run}))
        return
    out.print(f"{'would delete' if dry_run else 'deleted'} {told.name!r}, {count} memberships")


@member.command("add")
def join(
    group: Which, person: Who, reason: Why, account: Account = None, json_: AsJSON = False
) -> None:
    """Put somebody into a group by hand (G4-G6)."""
    _join(group, person, reason, account, is_member=True, as_json_=json_)


@member.command("remove")
def leave(
    group: Which, person: Who, reason: Why, account: Account = None, json_: AsJSON = False
) -> None:
    """Take somebody out of a group by hand."""
    _join(group, person, reason, account, is_member=False, as_json_=json_)


def _join(
    group: str, person: str, reason: str, account: str | None, *, is_member: bool, as_json_: bool
) -> None:
    id_, owner = _named(group, account)
    who, _ = person_named(person, account)
    groups = container().groups
    change = groups.join if is_member else groups.leave
    has_changed = change(id_, who, actor=actor(), reason=reason, account=owner)
    if as_json_:
        print(as_json({"group": id_, "person": who, "member": is_member, "changed": has_changed}))
        return
    verb = "is in" if is_member else "is not in"
    out.print(f"{who} {verb} {id_}{'' if has_changed else ' already'}", markup=False)


def _tell(group: OwnGroup, *, as_json_: bool, says: str) -> None:
    if as_json_:
        told = {
            "id": group.id,
            "name": group.name,
            "managed": group.is_managed,
            "permissions": sorted(group.permissions),
        }
        print(as_json(told))
        return
    out.print(says, markup=False)
