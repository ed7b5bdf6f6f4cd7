"""What a resource is looked up by, as its document says it."""

from __future__ import annotations

from domain.resources import Document, ResourceKind

_NAMED_BY = {ResourceKind.USER: "userName", ResourceKind.GROUP: "displayName"}


class ScimNames:
    """Names of documents."""

    def handle(self, kind: ResourceKind, document: Document) -> str:
        """Lower-cased userName or displayName: RFC 7643 compares both without regard to case."""
        return str(document.get(_NAMED_BY[kind]) or "").lower()

    def alias(self, document: Document) -> str | None:
        """externalId; None where it was not told."""
        found = document.get("externalId")
        return found if isinstance(found, str) and found else None
