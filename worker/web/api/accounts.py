"""`/v1/accounts`: tenants, and the domains from which each takes people (C1, C4, E4)."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, Field
from sqlalchemy import Connection, select
from starlette.requests import Request
from starlette.responses import Response

from domain.connecting import check_address, check_name
from domain.domains import BELOW, listed_by
from domain.errors import UsageError
from domain.model import PersonState
from domain.permissions import NotPermittedError, Permission
from domain.values import domain_of
from worker.adapters.db import bulk, rows
from worker.adapters.db.family import counts_of
from worker.adapters.db.setup import SQLSetup
from worker.adapters.idn import to_entry, to_read, warning
from worker.web.api.answers import reading, tagged
from worker.web.api.asking import Asking
from worker.web.api.caller import Caller, Parts, Viewer
from worker.web.api.finding import found
from worker.web.api.paging import Page, PagedQuery, sealed
from worker.web.api.problems import responses
from worker.web.api.texts import Shown, Text
from worker.web.api.writing import Configures, Told

router = APIRouter(tags=["accounts"], responses=responses(404))
Which = Annotated[str, Path(description="Id of the account.")]


class Account(BaseModel):
    """A tenant."""

    id: str
    name: str
    parent: str | None = Field(description="Null, too, for who may not see it.")
    several: bool = Field(description="Whether several connections may govern it (C1).")
    created_at: datetime


class AccountShown(Account):
    """A tenant with what it has."""

    people: int
    connections: int = Field(description="That are not retired.")
    dead: int = Field(description="Open dead letters.")
    domains: list[str]


class NewAccount(Asking):
    """An account with its built-in groups; an owner is invited unless somebody vouches."""

    name: Shown
    owner: Text | None = Field(None, description="Address of the first owner.")
    active: bool = Field(False, description="You vouch for the owner; say why in X-Reason.")
    domains: list[Text] = Field(default_factory=list, max_length=1000)
    parent: Text | None = Field(None, description="Id; needed with a token of one account.")
    several: bool = False


class Several(Asking):
    """C1: whether several connections may govern the account."""

    several: bool


class Domain(BaseModel):
    """An entry of an account's list."""

    domain: str = Field(description="In A-labels; `*.` stands for whatever is below.")
    reads: str = Field(description="As its people write it.")
    takes: str = Field(description="`itself` or `subdomains`.")
    warning: str | None = Field(description="Why it may be meant to be taken for another.")


class Taken(BaseModel):
    """Whether an address would be taken. by: the entry; null if it would not."""

    domain: str
    by: str | None


@router.get("/accounts")
def list_accounts(caller: Viewer, parts: Parts, asked: PagedQuery) -> Page[Account]:
    """Those that are there for whoever asks, in the order of their ids."""
    table, mine = rows.accounts, caller.some_accounts(asked.account)
    statement = select(table).where(table.c.id > asked.after).order_by(table.c.id)
    with reading(parts) as connection:
        if mine is not None:
            statement = statement.where(bulk.among(table.c.id, sorted(mine), connection))
        seen = connection.execute(statement.limit(asked.limit + 1)).mappings().all()
    items = [_account(row, caller) for row in seen[: asked.limit]]
    return Page(items=items, next=sealed(items[-1].id if len(seen) > asked.limit else None))


@router.post(
    "/accounts", status_code=201, response_model=Account, responses=responses(400, 409, 413, 415)
)
def add_account(asked: NewAccount, write: Configures) -> Response:
    """A new tenant. A token of one account makes accounts below it only."""
    caller = write.caller
    if asked.parent is None and caller.account is not None:
        raise NotPermittedError(caller.actor, Permission.CONFIGURE)
    if asked.parent is not None:
        found(caller, write.parts, rows.accounts, "account", asked.parent)
    reason = write.because() if asked.active else write.reason
    owner = check_address(asked.owner) if asked.owner is not None else None
    domains = [to_entry(text) for text in asked.domains]
    answer = write.set_up(
        lambda use: use.add_account(
            check_name(asked.name),
            owner=owner,
            domains=domains,
            parent=asked.parent,
            several=asked.several,
            owner_state=PersonState.ACTIVE if asked.active else PersonState.INVITED,
            reason=reason,
        ),
        _told(201, caller),
    )
    if owner is not None:
        write.parts.ring_notices()
    return answer


@router.get(
    "/accounts/{account}",
    response_model=AccountShown,
    responses={304: {"description": "As it was."}},
)
def show_account(account: Which, caller: Viewer, parts: Parts, request: Request) -> Response:
    """One tenant with its numbers."""
    row = found(caller, parts, rows.accounts, "account", account)
    with reading(parts) as connection:
        table = rows.domains
        listed = select(table.c.domain).where(table.c.account_id == account)
        told: dict[str, Any] = counts_of(connection, account)
        shown = AccountShown(
            **_account(row, caller).model_dump(),
            **told,
            domains=list(connection.execute(listed.order_by(table.c.domain)).scalars()),
        )
    return tagged(request, shown)


@router.patch(
    "/accounts/{account}", response_model=Account, responses=responses(400, 404, 409, 413, 415)
)
def change_account(account: Which, asked: Several, write: Configures) -> Response:
    """C1: let several connections govern an account, or only one."""
    row = found(write.caller, write.parts, rows.accounts, "account", account)

    def act(use: SQLSetup) -> str:
        use.set_several(row, allows=asked.several, reason=write.reason)
        return account

    return write.set_up(act, _told(200, write.caller))


@router.get("/accounts/{account}/domains")
def list_domains(account: Which, caller: Viewer, parts: Parts) -> Page[Domain]:
    """From which domains the account takes people, all on one page; none: it takes nobody (E4)."""
    found(caller, parts, rows.accounts, "account", account)
    return Page(items=[_domain(entry) for entry in _listed(parts, account)], next=None)


@router.get("/accounts/{account}/domains/check")
def check_domain_of(
    account: Which,
    caller: Viewer,
    parts: Parts,
    address: Annotated[Text, Query(description="An address, or a domain.")],
) -> Taken:
    """Whether an address would be taken, and by which entry."""
    found(caller, parts, rows.accounts, "account", account)
    host = domain_of(address)
    return Taken(domain=host, by=listed_by(host, _listed(parts, account)))


@router.put(
    "/accounts/{account}/domains/{domain}",
    response_model=Domain,
    responses=responses(400, 404, 409, 413, 415),
)
def allow_domain(account: Which, domain: str, write: Configures) -> Response:
    """E4: take people of this domain from now on, those who wait for an address there at once.

    What was refused for it can be replayed.
    """
    found(write.caller, write.parts, rows.accounts, "account", account)
    entry = _entry(domain)

    def act(use: SQLSetup) -> str:
        use.allow_domain(account, entry, reason=write.reason)
        # Their events are found by the next sweep.
        use.invite_waiting(account, entry, reason=write.reason)
        return entry

    return write.set_up(act, lambda _connection, _entry: (200, _domain(entry)))


@router.delete(
    "/accounts/{account}/domains/{domain}",
    status_code=204,
    response_model=None,
    responses=responses(400, 404, 409, 413, 415),
)
def forbid_domain(account: Which, domain: str, write: Configures) -> Response:
    """E4: for later claims; whoever has an address there keeps it."""
    found(write.caller, write.parts, rows.accounts, "account", account)
    entry = _entry(domain)
    return write.set_up(
        lambda use: use.forbid_domain(account, entry, reason=write.reason),
        lambda _connection, _was: (204, None),
    )


def _entry(text: str) -> str:
    """What is typed is not told back: it may be another account's."""
    try:
        return to_entry(text)
    except UsageError:
        raise UsageError("domain: a domain such as example.com, or *.example.com") from None


def _listed(parts: Parts, account: str) -> list[str]:
    table = rows.domains
    with reading(parts) as connection:
        mine = select(table.c.domain).where(table.c.account_id == account).order_by(table.c.domain)
        return list(connection.execute(mine).scalars())


def _domain(entry: str) -> Domain:
    takes = "subdomains" if entry.startswith(BELOW) else "itself"
    return Domain(domain=entry, reads=to_read(entry), takes=takes, warning=warning(entry))


def _account(row: Any, caller: Caller) -> Account:
    """Whose child it is, those above know."""
    return Account(
        id=row["id"],
        name=row["name"],
        parent=row["parent_id"] if caller.may_see(row["parent_id"]) else None,
        several=row["allows_several"],
        created_at=row["created_at"],
    )


def _told(status: int, caller: Caller) -> Told:
    def told(connection: Connection, account: str) -> tuple[int, Account]:
        mine = select(rows.accounts).where(rows.accounts.c.id == account)
        return status, _account(connection.execute(mine).mappings().one(), caller)

    return told
