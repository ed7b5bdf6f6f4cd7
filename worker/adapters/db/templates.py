"""The words of an account for its mails; checked when they are saved (`domain.wording`)."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import Connection, delete, select

from domain.consequences import NoticeKind
from domain.errors import NothingFoundError
from domain.wording import MAILS, Wording, check_wording
from worker.adapters.db import bulk
from worker.adapters.db.mail_rows import mail_templates
from worker.adapters.db.setup_part import SetupPart


def wordings_of(
    connection: Connection, accounts: Collection[str]
) -> dict[tuple[str, NoticeKind], Wording]:
    """What these accounts say in words of their own, by account and kind."""
    if not accounts:
        return {}
    table = mail_templates
    wanted = bulk.among(table.c.account_id, sorted(accounts), connection)
    found = connection.execute(select(table).where(wanted)).mappings()
    return {(row["account_id"], NoticeKind(row["kind"])): _wording(row) for row in found}


class TemplateSetup(SetupPart):
    """Words of accounts, each change with its audit row."""

    def wording(self, account: str, kind: NoticeKind) -> tuple[Wording, bool]:
        """What an account's mails of a kind say, and whether the words are its own."""
        own = wordings_of(self.sql, [account]).get((account, kind))
        return (own, True) if own is not None else (MAILS[kind].wording, False)

    def set_wording(self, account: str, kind: NoticeKind, wording: Wording, reason: str) -> None:
        """Other words from now on, also for mails that wait; raises UsageError."""
        checked = check_wording(kind, wording)
        before, _ = self.wording(account, kind)
        entry = {**_columns(checked), "account_id": account, "kind": kind.value}
        bulk.upsert(self.sql, mail_templates, [{**entry, "changed_at": self.now}])
        self._audit(account, "set", kind, reason, before=before, after=checked)

    def reset_wording(
        self, account: str, kind: NoticeKind, reason: str, *, is_dry: bool = False
    ) -> None:
        """Our words again; raises NothingFoundError where the account has none of its own."""
        before, is_own = self.wording(account, kind)
        if not is_own:
            raise NothingFoundError("template of this account for", kind.value)
        if is_dry:
            return
        table = mail_templates
        self.sql.execute(
            delete(table).where(table.c.account_id == account, table.c.kind == kind.value)
        )
        self._audit(account, "reset", kind, reason, before=before, after=MAILS[kind].wording)

    def _audit(
        self,
        account: str,
        verb: str,
        kind: NoticeKind,
        reason: str,
        *,
        before: Wording,
        after: Wording,
    ) -> None:
        self.audit(
            account,
            f"mail_template.{verb}",
            kind.value,
            reason=reason,
            before=_columns(before),
            after=_columns(after),
        )


def _columns(wording: Wording) -> dict[str, Any]:
    return {
        "subject": wording.subject,
        "text": wording.text,
        "html": wording.html,
        "language": wording.language,
        "button": wording.button,
    }


def _wording(row: Any) -> Wording:
    return Wording(row["subject"], row["text"], row["html"], row["language"], row["button"])
