"""What sources have in common: defaults of the port, and events that a table of rules explains."""

from __future__ import annotations

import secrets as randomness
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from domain.changes import Change, UserChange, is_destructive, kind_of
from domain.errors import UsageError
from domain.inbox import Kind, Reason
from domain.ports import NotAuthenticError, Parsed, Reply, Request, SplitEvent, UnparseableError
from worker.adapters.sources import fields
from worker.adapters.sources.strict_json import read_json
from worker.adapters.sources.trust import Trust

Event = Mapping[str, Any]
Changes = tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class Rule:
    """Kind of an event type as long as nothing in it is more urgent; what the event asks for.

    build: raises UnparseableError; nothing at all is no change of the directory.
    """

    kind: Kind
    build: Callable[[Event], Changes]


class Webhook:
    """Defaults of `domain.ports.Source`: JSON in any POST, 200, a secret made here."""

    name = ""
    success_status = 200
    max_body_bytes = 1 << 20
    has_static_secret = False
    needs_scope = False
    tells_tenant = False
    addresses: tuple[str, ...] = ()
    kept_headers: tuple[str, ...] = ("content-type", "user-agent")

    def handshake(self, request: Request) -> Reply | None:  # noqa: ARG002
        """None: no handshake."""
        return None

    def refusal(self, error: NotAuthenticError) -> Reply | None:  # noqa: ARG002
        """None: the plain answer will do."""
        return None

    def content(self, request: Request) -> bytes:
        """The body alone."""
        return request.body

    def opened(self, body: bytes) -> tuple[bytes, bool]:
        """The body as it is."""
        return body, False

    def event_id(self, request: Request) -> str | None:  # noqa: ARG002
        """None: ids come in the body only."""
        return None

    def read(self, body: bytes) -> object:
        """The decoded document; raises UnparseableError."""
        return read_json(body)

    def new_secret(self) -> str:
        """256 random bits in characters that a header and a form carry unchanged."""
        return randomness.token_urlsafe(32)

    def credential(self, secret: str | None, trust: Mapping[str, str]) -> str:
        """What is stored to prove this sender by: its own secret, or a fresh one for None.

        trust: what an operator tells of the sender's public keys. Raises UsageError.
        """
        if trust:
            raise UsageError(f"source {self.name} proves itself by a secret: --trust is not for it")
        return self.new_secret() if secret is None else self.checked(shared(secret))

    def checked(self, secret: str) -> str:
        """A secret in the form that this source's senders use; raises UsageError."""
        return secret


def tenants_of(event: object, paths: Sequence[tuple[str, ...]]) -> frozenset[str]:
    """The ids that an event tells at these places; never raises."""
    return frozenset(filter(None, (fields.peek_text(event, *path) for path in paths)))


def shared(secret: str) -> str:
    """A secret that somebody typed; raises UsageError for what proves nothing."""
    if not secret.strip():
        raise UsageError("an empty secret proves nothing: anybody can sign with it")
    return secret.strip()


class TrustingSource(Webhook):
    """Defaults for senders that sign with a key of their own, which they publish."""

    #: What has to be said of a sender whose keys are published.
    needs_trust: tuple[str, ...] = ("jwks_url",)
    takes_secret = True

    def credential(self, secret: str | None, trust: Mapping[str, str]) -> str:
        """Whom to trust, or a shared secret where this source's senders can have one."""
        if not trust and self.takes_secret:
            return super().credential(secret, trust)
        bearer = "" if secret is None else self.checked(shared(secret))
        return Trust.told(bearer, trust, needs=self.needs_trust).text


class RuledSource(Webhook):
    """A source whose events each bear a type that one rule explains."""

    rules: Mapping[str, Rule] = {}
    #: Types that are known, and say nothing of a person or group.
    no_change: frozenset[str] = frozenset()
    #: Where an event says whose customer it concerns; then `tells_tenant` is True.
    tenants: tuple[tuple[str, ...], ...] = ()

    def events(self, document: object) -> list[Any]:
        """The events of a document; raises UnparseableError."""
        return [fields.as_object(document, "")]

    def type_of(self, event: object) -> str:
        """The source's own word for what happened, "" where it is missing."""
        return fields.peek_text(event, "type")

    def rule_of(self, event: object) -> Rule | None:
        """The rule that explains an event; None for a type that is not known."""
        return self.rules.get(self.type_of(event))

    def is_silent(self, event: object) -> bool:
        """Whether the event is known to ask for nothing."""
        return self.type_of(event) in self.no_change

    def whose(self, event: Event) -> str:  # noqa: ARG002
        """The address of the person whom the changes are about, where they name no id (Parsed)."""
        return ""

    def key_of(self, event: object, request: Request, index: int) -> str:
        """The id by which a repetition is known; raises UnparseableError."""
        raise NotImplementedError

    def time_of(self, event: object, request: Request, index: int) -> datetime | None:
        """When it happened by the clock of this source (D2); None: when it is received."""
        raise NotImplementedError

    def split(self, document: object, request: Request) -> list[SplitEvent]:
        """Every event with the kind of the most urgent thing in it (D10)."""
        return [
            self._peek(event, request, index) for index, event in enumerate(self.events(document))
        ]

    def parse(self, document: object, index: int) -> Parsed:
        """What the event at this index asks for; places are told from that event on."""
        event = fields.as_object(fields.nth(self.events(document), index), "")
        return replace(self._asked(event), tenants=tenants_of(event, self.tenants))

    def _asked(self, event: Event) -> Parsed:
        if self.is_silent(event):
            return Parsed(ignored=Reason.NO_DIRECTORY_CHANGE)
        rule = self.rule_of(event)
        if rule is None:
            return Parsed(ignored=Reason.UNKNOWN_TYPE)
        told = rule.build(event)
        return (
            Parsed(told, whose=self.whose(event))
            if told
            else Parsed(ignored=Reason.NO_DIRECTORY_CHANGE)
        )

    def _peek(self, event: object, request: Request, index: int) -> SplitEvent:
        kind, subject = self._look(event)
        return SplitEvent(
            id=self.key_of(event, request, index),
            kind=kind,
            type=self.type_of(event),
            content=fields.canonical(event),
            occurred_at=self.time_of(event, request, index),
            subject=subject,
        )

    def _look(self, event: object) -> tuple[Kind, str]:
        rule = self.rule_of(event)
        if rule is None or not isinstance(event, dict) or self.is_silent(event):
            return Kind.SORT, ""
        try:
            told = rule.build(event)
            self.whose(event)
        except UnparseableError:
            # Stored all the same; the worker says where it fails.
            return rule.kind, ""
        if not told:
            return Kind.SORT, ""
        is_other = rule.kind.startswith("users.") and not isinstance(told[0], UserChange)
        is_urgent = any(map(is_destructive, told))
        kind = kind_of(told) if is_urgent or is_other else rule.kind
        subject = getattr(told[0], "user", None) or getattr(told[0], "group", "")
        return kind, str(subject) or self.whose(event)
