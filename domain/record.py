"""Recording of one change in the facts of a subject: order-free, asks nobody (D1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from domain.changes import (
    AssignUser,
    ChangeEmail,
    ProvisionUser,
    ReactivateUser,
    SuspendUser,
    UnassignUser,
    UpdateProfile,
    UserChange,
)
from domain.model import Register, UserFacts, Word
from domain.ordering import GUEST, names_scope, remember
from domain.policy import Scope, ScopeRule
from domain.values import BEGINNING, Stamp


def record(
    facts: UserFacts, change: UserChange, *, stamp: Stamp, feed: str, scope: Scope
) -> UserFacts:
    """The facts with this change among them, wherever its stamp belongs."""
    if stamp <= facts.floor:
        return facts
    match change:
        case ProvisionUser():
            return _describe(facts, change, stamp, feed)
        case UpdateProfile():
            return replace(facts, profile=_assert_profile(facts.profile, change.profile, stamp))
        case ChangeEmail():
            return replace(facts, emails=remember(facts.emails, Word(stamp, feed, change.email)))
        case SuspendUser():
            return _say_active(facts, stamp, change.by or feed, is_active=False)
        case ReactivateUser():
            return _say_active(facts, stamp, change.by or feed, is_active=True)
        case AssignUser():
            return _assign(facts, change, stamp, feed, scope)
        case UnassignUser():
            return say_scope(facts, ScopeRule.ASSIGNMENT, change.app, stamp, scope, is_in=False)


def _describe(facts: UserFacts, change: ProvisionUser, stamp: Stamp, feed: str) -> UserFacts:
    actives, scopes, emails = facts.actives, facts.scopes, facts.emails
    if change.email:
        emails = remember(emails, Word(stamp, feed, change.email))
    if change.active is not None:
        word = Word(stamp if change.active else stamp.destructive(), feed, change.active)
        actives = remember(actives, word)
    if change.user_type is not None:
        scopes = remember(scopes, Word(stamp, GUEST, change.user_type.casefold() == "guest"))
    return replace(
        facts,
        is_described=True,
        profile=_assert_profile(facts.profile, change.profile, stamp),
        emails=emails,
        actives=actives,
        scopes=scopes,
    )


def _assert_profile(
    known: Mapping[str, Register], said: Mapping[str, str | None], stamp: Stamp
) -> Mapping[str, Register]:
    """Attribute by attribute, the newer stamp wins; the same mapping if none is newer."""
    newer = {
        name: (stamp, value)
        for name, value in said.items()
        if known.get(name, (BEGINNING, None))[0] < stamp
    }
    return {**known, **newer} if newer else known


def _say_active(facts: UserFacts, stamp: Stamp, feed: str, *, is_active: bool) -> UserFacts:
    word = Word(stamp if is_active else stamp.destructive(), feed, is_active)
    return replace(facts, actives=remember(facts.actives, word))


def _assign(
    facts: UserFacts, change: AssignUser, stamp: Stamp, feed: str, scope: Scope
) -> UserFacts:
    if change.email is not None:
        described = ProvisionUser(change.user, change.email, change.profile)
        facts = _describe(facts, described, stamp, feed)
    return say_scope(facts, ScopeRule.ASSIGNMENT, change.app, stamp, scope, is_in=True)


def say_scope(
    facts: UserFacts, rule: ScopeRule, key: str, stamp: Stamp, scope: Scope, *, is_in: bool
) -> UserFacts:
    """Record that the person entered or left something that the scope names (S1)."""
    if not names_scope(scope, rule, key) or stamp <= facts.floor:
        return facts
    word = Word(stamp if is_in else stamp.destructive(), key, is_in)
    return replace(facts, scopes=remember(facts.scopes, word))


def has_word(facts: UserFacts, key: str, stamp: Stamp) -> bool:
    """Whether the event of this stamp said something of the person and this scope key."""
    return any(
        word.by == key and word.stamp.at == stamp.at and word.stamp.event == stamp.event
        for word in facts.scopes
    )
