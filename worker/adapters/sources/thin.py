"""Sources whose events say to whom something was done, and not what: that is read at the IdP."""

from __future__ import annotations

from dataclasses import replace

from domain.hydration import MEMBERSHIPS, Wanted, pair_of
from domain.inbox import Kind
from domain.ports import Parsed, UnparseableError
from worker.adapters.sources.webhook import Event, RuledSource


class ThinSource(RuledSource):
    """A source with a table of rules, of whose events some have to be read.

    Without access to the directory such an event asks for what its rule makes of it alone.
    """

    def wanted(self, event: Event) -> Wanted | None:
        """Who or what has to be read, if anything has to; raises UnparseableError."""
        raise NotImplementedError

    def _asked(self, event: Event) -> Parsed:
        parsed = super()._asked(event)
        return parsed if self.is_silent(event) else replace(parsed, wants=self.wanted(event))

    def _look(self, event: object) -> tuple[Kind, str]:
        """Kind and subject also of what tells no change by itself: it may be a suspension (D10)."""
        kind, subject = super()._look(event)
        rule = self.rule_of(event)
        if subject or rule is None or not isinstance(event, dict) or self.is_silent(event):
            return kind, subject
        try:
            wants = self.wanted(event)
        except UnparseableError:
            return rule.kind, ""
        return (kind, subject) if wants is None else (rule.kind, _subject(wants))


def _subject(wants: Wanted) -> str:
    """Of a membership the person."""
    return pair_of(wants.key)[1] if wants.what in MEMBERSHIPS else wants.key
