"""Accounts and their own people in SQL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import select

from domain.by_hand import new_person
from domain.connecting import GOVERNING
from domain.errors import NothingFoundError, RefusedError, UsageError
from domain.keys import address_id
from domain.model import PersonState, Role
from domain.own_groups import FIRST_GROUPS
from worker.adapters.db import bulk, rows
from worker.adapters.db.account_lock import lock_account
from worker.adapters.db.by_hand import SQLHandWork
from worker.adapters.db.groups_by_hand import make_built_in
from worker.adapters.db.setup_domains import DomainSetup
from worker.adapters.vault import new_id


class AccountSetup(DomainSetup):
    """Accounts, owners, domains."""

    def add_account(
        self,
        name: str,
        *,
        owner: str | None,
        domains: Sequence[str],
        parent: str | None,
        several: bool,
        owner_state: PersonState = PersonState.ACTIVE,
        reason: str = "",
    ) -> str:
        """An account with its first built-in groups and at most one owner; returns its id."""
        table = rows.accounts
        taken = select(table.c.id).where(table.c.name == name)
        if self.sql.execute(taken).first() is not None:
            raise UsageError(f"there is an account named {name!r} already")
        account = new_id("acc")
        parent_id = self.account(parent)["id"] if parent is not None else None
        bulk.insert(
            self.sql,
            table,
            [
                {
                    "id": account,
                    "name": name,
                    "parent_id": parent_id,
                    "allows_several": several,
                    "created_at": self.now,
                }
            ],
        )
        make_built_in(self.sql, account, FIRST_GROUPS)
        for domain in domains:
            self.insert_domain(account, domain)
        if owner is not None:
            self.add_person(account, owner, role=Role.OWNER, state=owner_state, reason=reason)
        self.audit(account, "account.add", account, after={"name": name, "domains": list(domains)})
        return account

    def account(self, name: str) -> dict[str, Any]:
        """An account by id, else by name; raises NothingFoundError."""
        table = rows.accounts
        found = (
            self.sql.execute(
                select(table)
                .where((table.c.name == name) | (table.c.id == name))
                # Somebody may have named theirs as another's id.
                .order_by(table.c.id != name)
            )
            .mappings()
            .first()
        )
        if found is None:
            raise NothingFoundError("account", name)
        return dict(found)

    def accounts(self) -> list[dict[str, Any]]:
        """All accounts, by name."""
        table = rows.accounts
        return [dict(r) for r in self.sql.execute(select(table).order_by(table.c.name)).mappings()]

    def set_several(self, account: dict[str, Any], *, allows: bool, reason: str) -> None:
        """C1: whether several connections may govern the account's people and groups.

        Raises RefusedError where more than one does already.
        """
        table, connections = rows.accounts, rows.connections
        mine = table.c.id == account["id"]
        lock_account(self.sql, account["id"])
        governs = connections.c.state.in_(sorted(GOVERNING))
        found = self.sql.execute(
            select(connections.c.name)
            .where(connections.c.account_id == account["id"], governs)
            .order_by(connections.c.name)
        )
        names = list(found.scalars())
        if not allows and len(names) > 1:
            raise RefusedError(
                f"account {account['name']} has {len(names)} connections that govern it "
                f"({', '.join(names)}): retire or replace all but one first"
            )
        self.sql.execute(table.update().where(mine).values(allows_several=allows))
        told = {"several": account["allows_several"]}, {"several": allows}
        self.audit(
            account["id"],
            "account.set",
            account["id"],
            reason=reason,
            before=told[0],
            after=told[1],
        )

    def add_person(
        self,
        account: str,
        email: str,
        *,
        role: Role,
        state: PersonState,
        profile: dict[str, str] | None = None,
        reason: str = "",
    ) -> str:
        """A person whom no identity provider made; raises RefusedError if the address is taken.

        state: `active`, or `invited` by a mail that is due at once.
        """
        person = new_person(
            new_id("usr"),
            account,
            email,
            role=role,
            profile=profile or {},
            is_active=state is PersonState.ACTIVE,
        )
        work = SQLHandWork(self.sql, self.vault, actor=self.actor, link_seconds=self.link_seconds)
        work.save(None, person, action="user.add", reason=reason)
        return person.id

    def person_at(self, account: str, email: str) -> str:
        """Id of the person who holds an address; raises NothingFoundError."""
        table = rows.addresses
        key = address_id(account, email)
        held = self.sql.execute(select(table.c.person_id).where(table.c.id == key)).scalar()
        if held is None:
            raise NothingFoundError("person", email)
        return str(held)
