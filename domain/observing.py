"""Observing: what a connection would do, in numbers and by name, before it does it (S4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

View = Mapping[str, object]
#: What becomes of people, as it is told; in this order.
VERBS: Mapping[str, str] = {
    "invite": "invite",
    "add_suspended": "add as suspended",
    "link": "link",
    "bring_back": "bring back",
    "ask_address": "ask to confirm a new address",
    "change_address": "change the address of",
    "update": "update",
    "suspend": "suspend",
    "withdraw": "withdraw",
}
_IN = ("active", "invited")


def does(before: View | None, after: View) -> str | None:
    """What happened to a person between two views of the audit; None for nothing to tell."""
    if before is None:
        new = {"invited": "invite", "invited_suspended": "add_suspended", "active": "link"}
        return new.get(str(after["state"]))
    if after["state"] == "withdrawn":
        return "withdraw"
    if after["managed"] and not before["managed"]:
        return "link"
    if (before["state"] in _IN) != (after["state"] in _IN):
        return "bring_back" if after["state"] in _IN else "suspend"
    if before["email"] != after["email"]:
        return "change_address"
    if after["requested_email"] not in (after["email"], before["requested_email"]):
        return "ask_address"
    return "update"


@dataclass(frozen=True, slots=True)
class Count:
    """Events that end alike: outcome or state, reason, and for refused ones why."""

    outcome: str
    reason: str
    why: str
    events: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What going live comes to. digest: equal for equal plans, person by person.

    people: by what is done to them (VERBS). held: events that the breaker would keep back.
    """

    events: int
    counts: tuple[Count, ...]
    people: Mapping[str, int]
    groups: int
    memberships: int
    digest: str
    newest: int = 0

    @property
    def held(self) -> int:
        """Events that the breaker keeps back (C6)."""
        return sum(count.events for count in self.counts if count.outcome == "held")

    def as_dict(self) -> dict[str, object]:
        """For JSON, and for the row that a plan is kept in."""
        return {
            "events": self.events,
            "people": dict(self.people),
            "groups": self.groups,
            "memberships": self.memberships,
            "held": self.held,
            "counts": [
                {"outcome": c.outcome, "reason": c.reason, "why": c.why, "events": c.events}
                for c in self.counts
            ],
            "digest": self.digest,
        }


def sentence(plan: View, verb: str = "would") -> str:
    """`would invite 412, link 80, refuse 3 because ..`; of a plan's `as_dict`."""
    people: Mapping[str, int] = plan["people"]  # type: ignore[assignment]
    parts = [f"{VERBS[name]} {people[name]:,}" for name in VERBS if people.get(name)]
    parts.append(f"have {plan['groups']:,} groups with {plan['memberships']:,} memberships")
    counts: Sequence[Mapping[str, object]] = plan["counts"]  # type: ignore[assignment]
    for outcome, told in (("dead", "refuse"), ("ignored", "ignore"), ("waiting", "keep waiting")):
        parts += [
            f"{told} {count['events']:,} because {count['why'] or count['reason']}"
            for count in counts
            if count["outcome"] == outcome
        ]
    if plan["held"]:
        parts.append(f"hold {plan['held']:,} by the breaker (rosterd hold)")
    return f"{verb} " + ", ".join(parts)


def differences(shown: View, found: View) -> list[str]:
    """Where two plans part, in figures; empty for equal ones."""
    if len({shown["digest"], found["digest"]}) == 1:
        return []
    told = [
        f"{VERBS[name]}: {was:,} were shown, now {now:,}"
        for name in VERBS
        for was, now in [(_of(shown, name), _of(found, name))]
        if was != now
    ]
    told += [
        f"{name}: {shown[name]} were shown, now {found[name]}"
        for name in ("events", "groups", "memberships", "held")
        if shown[name] != found[name]
    ]
    return told or ["the same numbers, of other people"]


def _of(plan: View, name: str) -> int:
    people: Mapping[str, int] = plan["people"]  # type: ignore[assignment]
    return people.get(name, 0)


@dataclass(frozen=True, slots=True)
class Person:
    """One line of a plan: somebody, by what the provider calls them."""

    external_id: str | None
    email: str
    does: str
    state: str


@dataclass(slots=True)
class KeptPlan:
    """A plan that was shown, to be named when going live."""

    id: str
    connection: str
    scope: str | None
    summary: dict[str, object] = field(default_factory=dict)
    made_at: datetime | None = None
