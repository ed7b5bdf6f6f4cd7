"""The demo's story: each step is told, sent over HTTP, and checked in the exported directory."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from domain.policy import Scope, ScopeRule
from domain.replays import Selection
from worker.bootstrap import Container
from worker.cli.output import out
from worker.cli.sender import send
from worker.cli.stage import Stage, wait_for
from worker.settings import Settings

ACME, GLOBEX, INITECH = "Acme", "Globex", "Initech"
APP = "0oa1example"


def prepare(settings: Settings, url: str) -> Stage:
    """Three accounts: Standard Webhooks, Okta event hooks, WorkOS."""
    stage = Stage(Container(settings), url)
    stage.connect(ACME, "standard", Scope(), domain="example.com")
    stage.connect(
        GLOBEX, "okta", Scope(ScopeRule.ASSIGNMENT, frozenset({APP})), domain="globex.example"
    )
    stage.connect(INITECH, "workos", Scope(), domain="initech.example")
    return stage


class _Teller:
    """Tells a step, and remembers whether what should be came to be."""

    def __init__(self) -> None:
        self.is_good = True

    def step(self, title: str, what: Callable[[], Any]) -> Any:
        found = wait_for(what)
        self.is_good = self.is_good and bool(found)
        mark = "[green]ok[/]" if found else "[red]did not happen[/]"
        out.print(f"  {mark}  {title}", markup=True)
        return found


def tell(stage: Stage, dice: random.Random) -> bool:
    """The whole story; whether all of it came true."""
    teller = _Teller()
    out.print("\n[bold]Acme[/], Standard Webhooks: Ana is hired", markup=True)
    _hire(stage, teller)
    out.print("[bold]Ana's address[/]", markup=True)
    _move(stage, teller)
    out.print("[bold]Ana leaves, and returns with another address[/]", markup=True)
    _leave_and_return(stage, teller)
    out.print("[bold]A domain that nobody allowed[/]", markup=True)
    _forbidden(stage, teller)
    out.print(
        "[bold]Globex[/], Okta event hooks, whoever is assigned to the application", markup=True
    )
    _okta(stage, teller)
    out.print("[bold]Initech[/], WorkOS: a suspension that hides in an update", markup=True)
    _workos(stage, teller)
    out.print("[bold]Everything again[/]: twice, shuffled", markup=True)
    _again(stage, teller, dice)
    _directory(stage)
    return teller.is_good


def _has(stage: Stage, account: str, key: str, **wanted: object) -> bool:
    user = stage.user(account, key)
    return user is not None and all(user[name] == value for name, value in wanted.items())


def _hire(stage: Stage, teller: _Teller) -> None:
    idp = stage.senders[ACME]
    ana = {"id": "u1", "email": "ana@example.com", "given_name": "Ana", "family_name": "Silva"}
    idp.standard("group.member_added", {"group_id": "g1", "user_id": "u1"})
    idp.standard("user.upserted", ana)
    teller.step("created, and invited", lambda: _has(stage, ACME, "u1", state="invited"))
    idp.standard("group.upserted", {"id": "g1", "name": "Engineering"})
    teller.step(
        "in a group, whose membership arrived before either of them",
        lambda: any(x["kind"] == "membership" and x["effective"] for x in stage.directory(ACME)),
    )
    link = teller.step("the invitation is mailed", lambda: stage.link_for("ana@example.com"))
    if link:
        out.print(f"      {link}", markup=False)
        stage.say_yes(link)
    teller.step("accepted = active at once", lambda: _has(stage, ACME, "u1", state="active"))


def _move(stage: Stage, teller: _Teller) -> None:
    stage.senders[ACME].standard(
        "user.email_changed", {"id": "u1", "email": "ana.silva@example.com"}
    )
    teller.step(
        "changed at the IdP, the old one stays in force",
        lambda: _has(
            stage, ACME, "u1", email="ana@example.com", requested_email="ana.silva@example.com"
        ),
    )
    link = teller.step("the new address is asked", lambda: stage.link_for("ana.silva@example.com"))
    if link:
        stage.say_yes(link)
    teller.step(
        "confirmed, now it is in force",
        lambda: _has(stage, ACME, "u1", email="ana.silva@example.com", state="active"),
    )


def _leave_and_return(stage: Stage, teller: _Teller) -> None:
    idp = stage.senders[ACME]
    idp.standard("user.suspended", {"id": "u1"})
    teller.step("suspended", lambda: _has(stage, ACME, "u1", state="suspended"))
    idp.standard("user.email_changed", {"id": "u1", "email": "a.costa@example.com"})
    teller.step(
        "address changed while suspended: recorded, nobody is mailed",
        lambda: _has(stage, ACME, "u1", state="suspended", requested_email="a.costa@example.com"),
    )
    idp.standard("user.reactivated", {"id": "u1"})
    teller.step(
        "returned = a new person is invited",
        lambda: _has(stage, ACME, "u1", state="invited", email="a.costa@example.com"),
    )
    teller.step(
        "the old one stays suspended, with the history",
        lambda: any(
            x.get("external_id") is None and x.get("state") == "suspended"
            for x in stage.directory(ACME)
        ),
    )


def _forbidden(stage: Stage, teller: _Teller) -> None:
    stage.senders[ACME].standard("user.upserted", {"id": "u2", "email": "bo@partner.example"})
    teller.step(
        "dead letter domain_not_allowed",
        lambda: [x for x in stage.dead(ACME) if x["reason"] == "domain_not_allowed"],
    )
    stage.allow(ACME, "partner.example")
    selection = Selection(account=stage.accounts[ACME], reason="domain_not_allowed")
    stage.parts.replay.start(selection, actor="demo", reason="partner.example is allowed now")
    teller.step(
        "domain allowed, replayed: invited", lambda: _has(stage, ACME, "u2", state="invited")
    )


def _okta(stage: Stage, teller: _Teller) -> None:
    idp = stage.senders[GLOBEX]
    person = {"id": "00u1", "type": "User", "alternateId": "cy@globex.example", "displayName": "Cy"}
    other = {"id": "00u2", "type": "User", "alternateId": "di@globex.example", "displayName": "Di"}
    app = {"id": APP, "type": "AppInstance", "alternateId": "app", "displayName": "App"}
    idp.okta("user.lifecycle.create", other)
    idp.okta("application.user_membership.add", person, app)
    teller.step("assigned: invited", lambda: _has(stage, GLOBEX, "00u1", state="invited"))
    idp.okta("user.lifecycle.suspend", person)
    teller.step("suspended", lambda: _has(stage, GLOBEX, "00u1", state="invited_suspended"))
    teller.step("who is not assigned is nobody here", lambda: stage.user(GLOBEX, "00u2") is None)


def _workos(stage: Stage, teller: _Teller) -> None:
    idp = stage.senders[INITECH]
    person = {"id": "directory_user_1", "email": "ed@initech.example", "first_name": "Ed"}
    idp.workos("dsync.user.created", {**person, "state": "active"})
    teller.step("created: invited", lambda: _has(stage, INITECH, person["id"], state="invited"))
    idp.workos("dsync.user.updated", {**person, "state": "inactive"})
    teller.step(
        "inactive: suspended", lambda: _has(stage, INITECH, person["id"], state="invited_suspended")
    )


def _again(stage: Stage, teller: _Teller, dice: random.Random) -> None:
    before = {name: stage.directory(name) for name in stage.accounts}
    again = [sent for sender in stage.senders.values() for sent in sender.sent] * 2
    dice.shuffle(again)
    answers = {send(sent) for sent in again}
    teller.step(f"{len(again)} requests, each answered 2xx", lambda: answers == {200})
    wait_for(lambda: stage.open_events() == 0)
    after = {name: stage.directory(name) for name in stage.accounts}
    teller.step("the directories are the same", lambda: before == after)
    teller.step("no event is left open", lambda: stage.open_events() == 0)


def _directory(stage: Stage) -> None:
    out.print("\n[bold]The directory[/]", markup=True)
    for account in stage.accounts:
        for line in stage.directory(account):
            text = ", ".join(f"{k}={v}" for k, v in sorted(line.items()) if v is not None)
            out.print(f"  {account}: {text}", markup=False)
