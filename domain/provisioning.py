"""What provisioning needs of the outside: one transaction for the SCIM writes of a connection."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from domain.breaker import BreakerStore
from domain.changes import Change
from domain.inbox import Kind
from domain.policy import Policy
from domain.ports import ClaimedEvent, DirectoryStore, Result, Writes
from domain.resources import Ask, Document, Known, Name, Recorded, Resource, ResourceKind


class Names(Protocol):
    """What a document is looked up by; the protocol's to say."""

    def handle(self, kind: ResourceKind, document: Document) -> str:
        """Lower-cased userName or displayName."""
        ...

    def alias(self, document: Document) -> str | None:
        """externalId, if it was told."""
        ...


class ProvisionWork(Protocol):
    """One write transaction for requests of one connection; it rolls back unless committed.

    Resources are locked before all else, each group of them in one order.
    """

    now: datetime
    directory: DirectoryStore
    breaker: BreakerStore
    has_announced: bool

    def policy(self) -> Policy:
        """The policy of the connection."""
        ...

    def begun(self) -> dict[str, Resource]:
        """As `locked`, the resources that the requests name."""
        ...

    def locked(self, ids: Collection[str], *, waits: bool) -> dict[str, Resource]:
        """Live resources of the connection by id, locked.

        waits: else those that somebody else has locked are left out.
        """
        ...

    def claimed(
        self, claimed: Collection[tuple[ResourceKind, str]], names: Collection[Name]
    ) -> list[Resource]:
        """Wait for whoever claims one of the names, until the transaction ends; then as `named`."""
        ...

    def named(self, names: Collection[Name]) -> list[Resource]:
        """Resources with one of the handles, or one of the aliases as alias or key.

        Deleted ones, too.
        """
        ...

    def keys(self, kind: ResourceKind, ids: Collection[str]) -> dict[str, str]:
        """Subject keys of live resources of a kind by SCIM id."""
        ...

    def foresee(self, changes: Sequence[tuple[str, Change]]) -> None:
        """See `DrainWork`."""
        ...

    def event(
        self, ask: Ask, *, kind: Kind, subject: str, request: str, called: str
    ) -> ClaimedEvent:
        """A fresh event, numbered, not stored yet.

        request: what it is known by, however often it is tried. called: what a creation that names
        no subject goes by while it is refused.
        """
        ...

    def done(self, requests: Collection[str]) -> Mapping[str, Resource]:
        """Requests that are stored and were not refused, with the resource of each."""
        ...

    def former(self, result: Result, changes: Sequence[Change]) -> int | None:
        """The newest event of the subject, if it asked for the same and came to the same."""
        ...

    def save(self, writes: Writes) -> None:
        """Write the directory and what follows. From here on nothing is read."""
        ...

    def record(self, events: Sequence[Recorded]) -> None:
        """Store deliveries and events."""
        ...

    def repeat(self, number: int, result: Result) -> None:
        """Note with that event that the same was asked once more."""
        ...

    def put(self, resources: Sequence[tuple[Resource | None, Resource]]) -> None:
        """Write resources, each as it was and as it is, with what they are found by."""
        ...

    def commit_and_see(self, shown: Mapping[str, tuple[Resource, Known]]) -> dict[str, Known]:
        """Make it last; what these users and groups are related to then, by SCIM id."""
        ...
