"""The list of domains from which an account takes people, in SQL (E4)."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import delete, select

from domain.domains import listed_by
from domain.values import domain_of
from worker.adapters.db import bulk, rows
from worker.adapters.db.setup_part import SetupPart


class DomainSetup(SetupPart):
    """Entries of the list: `example.com`, or `*.example.com` for what is below it."""

    def allow_domain(self, account: str, domain: str, *, reason: str = "") -> bool:
        """Put an entry on the account's list; whether it was not on it."""
        if domain in self.domains(account):
            return False
        self.insert_domain(account, domain)
        self.audit(account, "domain.allow", domain, reason=reason)
        return True

    def insert_domain(self, account: str, domain: str) -> None:
        """The row alone, as part of something that is audited itself."""
        new = [{"account_id": account, "domain": domain, "created_at": self.now}]
        bulk.insert(self.sql, rows.domains, new, conflict="ON CONFLICT DO NOTHING")

    def forbid_domain(self, account: str, domain: str, *, reason: str = "") -> bool:
        """Take an entry off the list; whether it was on it. Nobody is changed by that."""
        table = rows.domains
        gone = self.sql.execute(
            delete(table).where(table.c.account_id == account, table.c.domain == domain)
        )
        if gone.rowcount:
            self.audit(account, "domain.forbid", domain, reason=reason)
        return gone.rowcount > 0

    def domains(self, account: str) -> list[str]:
        """The account's list, sorted."""
        table = rows.domains
        found = self.sql.execute(
            select(table.c.domain).where(table.c.account_id == account).order_by(table.c.domain)
        )
        return [row.domain for row in found]

    def people_at(self, account: str, domain: str) -> int:
        """How many people have an address, in force or pending, that this entry takes."""
        entry = {domain}
        return sum(
            any(listed_by(domain_of(held), entry) for held in (email, pending) if held)
            for email, pending in self._held(account)
        )

    def _held(self, account: str) -> Iterator[tuple[str, str | None]]:
        people = rows.people
        found = self.sql.execute(
            select(people.c.email, people.c.pending).where(
                people.c.account_id == account, people.c.has_address, people.c.state != "withdrawn"
            )
        )
        for row in found:
            yield row.email, row.pending
