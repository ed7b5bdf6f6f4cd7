"""Give dead letters up, with a reason, take them back, note what is known of a group (G8)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from domain.errors import NothingFoundError, UsageError
from domain.permissions import Asker, Permission
from domain.replays import GroupNote


class DiscardStore(Protocol):
    """Dead letters of the database; each method is one transaction with its audit row.

    ids: of events; a foreign message is minus its letter's. within: accounts; None for all.
    """

    def discard(
        self,
        ids: Sequence[int],
        *,
        actor: str,
        reason: str,
        within: Collection[str] | None = None,
    ) -> list[int]:
        """Give open ones up; which those were. One that is being replayed is left alone."""
        ...

    def restore(
        self,
        ids: Sequence[int],
        *,
        actor: str,
        reason: str,
        within: Collection[str] | None = None,
    ) -> list[int]:
        """Take discards back; which those were."""
        ...


@dataclass(frozen=True, slots=True)
class Discards:
    """The use case. Raises NotPermittedError, UsageError, and NothingFoundError for nothing."""

    store: DiscardStore

    def discard(self, ids: Sequence[int], asker: Asker, *, reason: str) -> list[int]:
        """Give dead letters up; they are kept, with the reason."""
        _check(asker, reason)
        told = {"actor": asker.name, "reason": reason}
        moved = self.store.discard(ids, **told, within=asker.accounts)
        return _insist(moved, "open dead letter", ids)

    def restore(self, ids: Sequence[int], asker: Asker, *, reason: str) -> list[int]:
        """Take discards back."""
        _check(asker, reason)
        told = {"actor": asker.name, "reason": reason}
        moved = self.store.restore(ids, **told, within=asker.accounts)
        return _insist(moved, "discarded dead letter", ids)


class GroupNoteStore(Protocol):
    """Notes of the database."""

    def add(
        self,
        fingerprint: str,
        text: str,
        *,
        actor: str,
        account: str | None,
        within: Collection[str] | None = None,
    ) -> list[GroupNote]:
        """Write one on a group that has something open, with an audit row; all there are.

        account: who may read it: those of this account, or of all. Raises NothingFoundError.
        """
        ...


#: Characters of a note, at most.
LONGEST_NOTE = 2_000


@dataclass(frozen=True, slots=True)
class GroupNotes:
    """The use case: what one operator found out, the next one reads."""

    store: GroupNoteStore

    def add(self, fingerprint: str, text: str, asker: Asker) -> list[GroupNote]:
        """Write one; all on the group. Raises UsageError, NothingFoundError, NotPermittedError."""
        asker.check(Permission.REPLAY)
        text = text.strip()
        if not text or len(text) > LONGEST_NOTE:
            raise UsageError(f"a note is 1 to {LONGEST_NOTE} characters")
        return self.store.add(
            fingerprint, text, actor=asker.name, account=asker.home, within=asker.accounts
        )


def _check(asker: Asker, reason: str) -> None:
    asker.check(Permission.DISCARD)
    if not reason.strip():
        raise UsageError("say why with --reason; it stands in the audit")


def _insist(moved: list[int], what: str, ids: Sequence[int]) -> list[int]:
    if not moved:
        named = ", ".join(f"'{i}'" if i > 0 else f"'d{-i}'" for i in ids[:20])
        raise NothingFoundError(what, more=named)
    return moved
