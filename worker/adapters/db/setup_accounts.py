"""Accounts, their own people and their domains in SQL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import delete, func, select

from domain.errors import NothingFoundError, RefusedError, UsageError
from domain.keys import address_id
from domain.model import Person, PersonState, Role
from domain.policy import BUILT_IN_GROUPS
from worker.adapters.db import bulk, rows
from worker.adapters.db.mapping import person_to_row
from worker.adapters.db.setup_part import SetupPart
from worker.adapters.vault import new_id


class AccountSetup(SetupPart):
    """Accounts, owners, domains."""

    def add_account(
        self,
        name: str,
        *,
        owner: str | None,
        domains: Sequence[str],
        parent: str | None,
        several: bool,
    ) -> str:
        """An account with the five built-in groups and at most one owner; returns its id."""
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
        built_in = [
            {"account_id": account, "name": group, "is_built_in": True} for group in BUILT_IN_GROUPS
        ]
        bulk.insert(self.sql, rows.account_groups, built_in)
        for domain in domains:
            self._insert_domain(account, domain)
        if owner is not None:
            self.add_person(account, owner, role=Role.OWNER, state=PersonState.ACTIVE)
        self.audit(account, "account.add", account, after={"name": name, "domains": list(domains)})
        return account

    def account(self, name: str) -> dict[str, Any]:
        """An account by name or id; raises NothingFoundError."""
        table = rows.accounts
        found = (
            self.sql.execute(select(table).where((table.c.name == name) | (table.c.id == name)))
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

    def add_person(
        self,
        account: str,
        email: str,
        *,
        role: Role,
        state: PersonState,
        profile: dict[str, str] | None = None,
    ) -> str:
        """A person whom no identity provider made; raises RefusedError if the address is taken."""
        person = Person(
            id=new_id("usr"),
            account=account,
            email=email,
            requested=email,
            state=state,
            is_accepted=state is PersonState.ACTIVE,
            role=role,
            profile=profile or {},
        )
        key = address_id(account, email)
        table = rows.addresses
        held = self.sql.execute(select(table.c.person_id).where(table.c.id == key)).scalar()
        if held is not None:
            raise RefusedError(f"{email} belongs to person {held} of this account already (E8)")
        bulk.upsert(self.sql, table, [{"id": key, "person_id": person.id}])
        bulk.insert(self.sql, rows.people, [person_to_row(person)])
        self.audit(account, "user.add", person.id, after={"email": email, "role": role.value})
        return person.id

    # -- domains -----------------------------------------------------------------------

    def allow_domain(self, account: str, domain: str) -> bool:
        """E4: put a domain on the account's list; whether it was not on it."""
        if domain in self.domains(account):
            return False
        self._insert_domain(account, domain)
        self.audit(account, "domain.allow", domain)
        return True

    def _insert_domain(self, account: str, domain: str) -> None:
        new = [{"account_id": account, "domain": domain, "created_at": self.now}]
        bulk.insert(self.sql, rows.domains, new, conflict="ON CONFLICT DO NOTHING")

    def forbid_domain(self, account: str, domain: str) -> bool:
        """Take a domain off the list; whether it was on it. Nobody is changed by that."""
        table = rows.domains
        gone = self.sql.execute(
            delete(table).where(table.c.account_id == account, table.c.domain == domain)
        )
        self.audit(account, "domain.forbid", domain)
        return gone.rowcount > 0

    def domains(self, account: str) -> list[str]:
        """Allowed domains, sorted."""
        table = rows.domains
        found = self.sql.execute(
            select(table.c.domain).where(table.c.account_id == account).order_by(table.c.domain)
        )
        return [row.domain for row in found]

    def refused_for_domain(self, account: str, domain: str) -> int:
        """Open dead letters of an account that were refused because of this domain (E4)."""
        table = rows.dead_letters
        found = self.sql.execute(
            select(func.count())
            .select_from(table)
            .where(table.c.account_id == account, table.c.state == "open")
            .where(table.c.reason == "domain_not_allowed")
            .where(table.c.last_error.startswith(f"domain {domain} ", autoescape=True))
        )
        return int(found.scalar_one())
