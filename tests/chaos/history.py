"""A history whose end is known by construction: four identity providers, shuffled, 20 % twice.

Every fact carries its own time (an hour ago and some seconds on), so whatever order it arrives in,
the directory at the end is the fold by that time, which this file does by itself.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from domain.policy import Scope, ScopeRule
from worker.cli.sender import Sender, Sent
from worker.cli.stage import Stage

APP = "0oa1chaos"
TWICE = 0.2
Say = Callable[["Recorder"], object]


class Recorder(Sender):
    """Builds signed requests without sending them."""

    def _out(self, body: bytes, headers: object) -> int:
        headers_ = dict(headers)  # type: ignore[call-overload]
        told = {"Content-Type": "application/json", **headers_}
        self.sent.append(Sent(self.hook.url, told, body))
        return 0

    def built(self, say: Say) -> Sent:
        """The request of one fact, signed now."""
        say(self)
        return self.sent.pop()


@dataclass(slots=True)
class History:
    """What to say, and what must come of it. expected: account -> export lines in short."""

    facts: list[tuple[str, Say]] = field(default_factory=list)
    expected: dict[str, set[tuple[str, ...]]] = field(default_factory=dict)
    recorders: dict[str, Recorder] = field(default_factory=dict)

    def requests(self, dice: random.Random) -> Iterator[Sent]:
        """Every fact once, some of them again soon after; signed when they are taken."""
        recent: list[Sent] = []
        for account, say in self.facts:
            sent = self.recorders[account].built(say)
            recent = [*recent[-50:], sent]
            yield sent
            if dice.random() < TWICE:
                yield dice.choice(recent)


def short(lines: list[dict[str, object]]) -> set[tuple[str, ...]]:
    """Export lines as comparable tuples."""
    found = set()
    for line in lines:
        names = {
            "user": ("external_id", "state", "email", "given_name"),
            "group": ("external_id", "name"),
            "membership": ("group", "user", "effective"),
        }[str(line["kind"])]
        found.add((str(line["kind"]), *(str(line.get(name) or "") for name in names)))
    return found


def history(stage: Stage, *, people: int, dice: random.Random) -> History:
    """Four accounts and about nine facts for each of `people` (a quarter in each account)."""
    made = History()
    scopes = {"okta": Scope(ScopeRule.ASSIGNMENT, frozenset({APP}))}
    tellers = {"acme": _standard, "globex": _okta, "initech": _workos, "umbrella": _grouped}
    sources = {"acme": "standard", "globex": "okta", "initech": "workos", "umbrella": "standard"}
    for account, tell in tellers.items():
        source = sources[account]
        scope = scopes.get(source, Scope())
        # Long forms have hundreds leave within minutes.
        wide = {"domain": "example.com", "breaker_min": str(people)}
        hook = stage.connect(account, source, scope, **wide).hook
        made.recorders[account] = Recorder(hook)
        expected: set[tuple[str, ...]] = set()
        facts = tell(people // 4, dice, expected)
        made.facts += [(account, fact) for fact in facts]
        made.expected[account] = expected
    dice.shuffle(made.facts)
    return made


_BEGAN = datetime.now(UTC) - timedelta(hours=1)


def _at(second: int) -> datetime:
    return _BEGAN + timedelta(seconds=second)


def _standard(count: int, dice: random.Random, expected: set[tuple[str, ...]]) -> list[Say]:
    facts: list[Say] = []
    for number in range(count):
        key, email, name, state = f"s{number}", f"s{number}@example.com", "N0", "invited"
        facts.append(_said("user.upserted", {"id": key, "email": email, "given_name": name}, 0))
        for second in range(1, dice.randrange(4, 12)):
            what = dice.choice(["suspend", "reactivate", "email", "name", "name"])
            if what == "suspend":
                facts.append(_said("user.suspended", {"id": key}, second))
                state = "invited_suspended"
            elif what == "reactivate":
                facts.append(_said("user.reactivated", {"id": key}, second))
                state = "invited"
            elif what == "email":
                email = f"s{number}.{second}@example.com"
                facts.append(_said("user.email_changed", {"id": key, "email": email}, second))
            else:
                name = f"N{second}"
                data = {"id": key, "email": email, "given_name": name}
                facts.append(_said("user.upserted", data, second))
        expected.add(("user", key, state, email, name))
    return facts


def _grouped(count: int, dice: random.Random, expected: set[tuple[str, ...]]) -> list[Say]:
    facts: list[Say] = []
    for number in range(10):
        facts.append(_said("group.upserted", {"id": f"g{number}", "name": f"Team {number}"}, 0))
        expected.add(("group", f"g{number}", f"Team {number}"))
    for number in range(count):
        key = f"m{number}"
        facts.append(_said("user.upserted", {"id": key, "email": f"{key}@example.com"}, 0))
        expected.add(("user", key, "invited", f"{key}@example.com", ""))
        for group in dice.sample(range(10), 3):
            is_in = False
            for second in range(1, dice.randrange(2, 6)):
                is_in = dice.random() < 0.6
                type_ = "group.member_added" if is_in else "group.member_removed"
                facts.append(_said(type_, {"group_id": f"g{group}", "user_id": key}, second))
            if is_in:
                expected.add(("membership", f"g{group}", key, "True"))
    return facts


def _okta(count: int, dice: random.Random, expected: set[tuple[str, ...]]) -> list[Say]:
    app = {"id": APP, "type": "AppInstance", "alternateId": "app", "displayName": "App"}
    facts: list[Say] = []
    for number in range(count):
        key, email, state = f"00u{number}", f"o{number}@example.com", "invited"
        person = {"id": key, "type": "User", "alternateId": email, "displayName": "O"}
        facts.append(_hooked("application.user_membership.add", [person, app], 0))
        for second in range(1, dice.randrange(3, 9)):
            is_out = dice.random() < 0.5
            type_ = "user.lifecycle.suspend" if is_out else "user.lifecycle.unsuspend"
            facts.append(_hooked(type_, [person], second))
            state = "invited_suspended" if is_out else "invited"
        expected.add(("user", key, state, email, ""))
    return facts


def _workos(count: int, dice: random.Random, expected: set[tuple[str, ...]]) -> list[Say]:
    facts: list[Say] = []
    for number in range(count):
        key, email = f"directory_user_{number}", f"w{number}@example.com"
        state, name = "active", ""
        for second in range(dice.randrange(4, 12)):
            type_ = "dsync.user.updated" if second else "dsync.user.created"
            state = dice.choice(["active", "active", "inactive"]) if second else "active"
            name = f"W{second}"
            facts.append(_synced(type_, key, email, name, state, second))
        found = "invited" if state == "active" else "invited_suspended"
        expected.add(("user", key, found, email, name))
    return facts


def _said(type_: str, data: dict[str, str], second: int) -> Say:
    return lambda idp: idp.standard(type_, data, at=_at(second))


def _hooked(type_: str, targets: list[dict[str, str]], second: int) -> Say:
    return lambda idp: idp.okta(type_, *targets, at=_at(second))


def _synced(type_: str, key: str, email: str, name: str, state: str, second: int) -> Say:
    when = _at(second).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    data = {"id": key, "email": email, "first_name": name, "state": state, "updated_at": when}
    return lambda idp: idp.workos(type_, data)
