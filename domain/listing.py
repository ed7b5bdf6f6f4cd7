"""Who is missing in a full list of one connection's people, and who is back in it (S3)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from domain.model import UserFacts
from domain.ordering import LISTING
from domain.values import Stamp


@dataclass(frozen=True, slots=True)
class Known:
    """A subject of the connection whose person the connection governs."""

    key: str
    facts: UserFacts
    is_suspended: bool


@dataclass(frozen=True, slots=True)
class Compared:
    """What a list comes to, each by external id, sorted.

    missing: not in the list, so to be suspended where the setting says so. returned: suspended by
    an earlier list, in this one again. newer: not in the list, and spoken of since it was taken.
    """

    missing: tuple[str, ...] = ()
    returned: tuple[str, ...] = ()
    newer: tuple[str, ...] = ()


def compare(people: Iterable[Known], listed: Collection[str], *, taken_at: int) -> Compared:
    """Hold a complete list against the people who are there.

    taken_at: microseconds since the epoch, when the IdP gave the list. Whoever the IdP spoke of at
    that moment or later is left to the next list: it is not known which came first. Only people
    who are in can be missing. An empty list proves nothing: the caller refuses it.
    """
    missing: list[str] = []
    returned: list[str] = []
    newer: list[str] = []
    for person in people:
        if person.key in listed:
            if person.is_suspended and _is_out_by_list(person.facts, taken_at):
                returned.append(person.key)
        elif not person.is_suspended:
            (missing if _newest(person.facts) < taken_at else newer).append(person.key)
    return Compared(tuple(sorted(missing)), tuple(sorted(returned)), tuple(sorted(newer)))


def _is_out_by_list(facts: UserFacts, taken_at: int) -> bool:
    words = [word for word in facts.actives if word.by == LISTING]
    return bool(words) and not words[-1].value and words[-1].stamp.at < taken_at


def _newest(facts: UserFacts) -> int:
    return max((stamp.at for stamp in _stamps(facts)), default=0)


def _stamps(facts: UserFacts) -> Iterator[Stamp]:
    for history in (facts.emails, facts.actives, facts.scopes):
        yield from (word.stamp for word in history[-1:])
    yield from (stamp for stamp, _ in facts.profile.values())
