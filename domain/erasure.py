"""Permanent deletion: who may be deleted, and what may bring somebody after it (U5, D16)."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from domain.errors import RefusedError
from domain.model import Person, UserFacts
from domain.ordering import GUEST
from domain.protection import Keeper, last_owners
from domain.values import BEGINNING, Stamp


def insist_erasable(person: Person, keepers: Collection[Keeper]) -> None:
    """U5, U6: only somebody suspended, never break-glass or the last owner."""
    if person.is_break_glass:
        raise RefusedError(f"{person.id} is break-glass: take the mark away first (U6)")
    if person.id in last_owners(keepers):
        raise RefusedError(f"{person.id} is the last owner of the account (U6)")
    if not person.is_suspended:
        raise RefusedError(
            f"{person.id} is {person.state.value}: only somebody suspended is deleted for good (U5)"
        )


def newest(facts: UserFacts) -> Stamp:
    """The newest stamp of anything said of a subject."""
    words = [word.stamp for word in (*facts.emails, *facts.actives, *facts.scopes)]
    said = [stamp for stamp, _ in facts.profile.values()]
    return max((*words, *said, facts.floor), default=BEGINNING)


def buried(facts: UserFacts, heard: Stamp) -> UserFacts:
    """What is left of a subject: only how old a fact must be to count no more.

    heard: stamp of the newest event about it that has ended, refused ones included.
    """
    return UserFacts(floor=max(newest(facts), heard))


def is_gone(facts: UserFacts) -> bool:
    """D16: after a deletion only what says "active", or lets into the scope, makes a person."""
    if facts.floor == BEGINNING:
        return False
    lets_in = any(word.value is True for word in facts.actives)
    return not (lets_in or any(w.value is True and w.by != GUEST for w in facts.scopes))


#: What stands where a name of the person stood.
ERASED = "erased"


def pattern_of(names: Collection[str]) -> re.Pattern[str]:
    """Whole names only: `u1` is in neither `u10` nor `u1@example.com`."""
    either = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
    return re.compile(rf"(?<![\w.+@-])(?:{either})(?![\w@+-]|\.\w)", re.IGNORECASE)


def without(document: object, mark: re.Pattern[str]) -> object:
    """A document that tells of others, too, without what it tells of one.

    The innermost member of a list that bears a name loses all its texts, whatever else they say of
    the person; outside of lists only the name goes. Places stay as they are: others are found.
    """
    if isinstance(document, str):
        return mark.sub(ERASED, document)
    if isinstance(document, dict):
        return {name: without(value, mark) for name, value in document.items()}
    if isinstance(document, list):
        return [_member_without(one, mark) for one in document]
    return document


def _member_without(member: object, mark: re.Pattern[str]) -> object:
    if any(mark.search(text) for text in _texts(member, into_lists=False)):
        return _blank(member)
    return without(member, mark)


def _texts(value: object, *, into_lists: bool = True) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for one in value.values():
            yield from _texts(one, into_lists=into_lists)
    elif isinstance(value, list) and into_lists:
        for one in value:
            yield from _texts(one)


def _blank(value: object) -> object:
    if isinstance(value, str):
        return ERASED
    if isinstance(value, dict):
        return {name: _blank(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_blank(one) for one in value]
    return value


@dataclass(slots=True)
class Ledger:
    """What a deletion did: by table, what was done to how many rows."""

    done: dict[str, dict[str, int]] = field(default_factory=dict)

    def add(self, table: str, what: str, count: int) -> None:
        """Count rows. what: `deleted`, `emptied`, `redacted`, `resealed`, `kept`."""
        if count > 0:
            its = self.done.setdefault(table, {})
            its[what] = its.get(what, 0) + count


_WORD = re.compile(r"[\w.+@%-]+")
_QUOTED = re.compile(r'"([^"\\]{1,320})"')


def names_in(text: str) -> Iterator[str]:
    """Everything in a text that may be a name: words, what stands in quotes, the whole of it."""
    yield text
    _, colon, rest = text.partition(":")
    if colon:
        yield rest
    yield from _QUOTED.findall(text)
    for word in _WORD.findall(text):
        yield word
        yield word.strip(".-+%")
