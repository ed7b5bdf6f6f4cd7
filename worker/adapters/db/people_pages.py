"""People of an account page by page; whatever is asked, a page costs a bounded number of rows.

The filter that finds the fewest drives: an index gives its people in the order of their ids, at
most `WINDOW` of them for a page, and the other filters look at those. So a page may be short or
empty and still not be the last: `Page.after` says where the next one begins.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, Select, select

from domain.keys import address_id, user_id
from domain.model import Person, PersonState, Role
from domain.values import normalise_address
from worker.adapters.db import bulk, rows
from worker.adapters.db.mapping import person_from_row

#: People looked at for one page.
WINDOW = 5_000


@dataclass(frozen=True, slots=True)
class PeopleFilter:
    """What is asked of the people of an account; None asks nothing.

    email: in force or pending, in any case. external_id: the IdP's, of any connection. roles: any
    of them.
    """

    email: str | None = None
    state: PersonState | None = None
    external_id: str | None = None
    is_managed: bool | None = None
    role: Role | None = None
    roles: frozenset[Role] = frozenset()

    def fits(self, person: Person) -> bool:
        """Whether a person is asked for, by all that stands in a person's row."""
        asked: tuple[tuple[object, object], ...] = (
            (self.state, person.state),
            (self.external_id, person.user),
            (self.is_managed, person.is_managed),
            (self.role, person.role),
        )
        if self.email is not None:
            held = {normalise_address(text) for text in (person.email, person.pending or "")}
            if normalise_address(self.email) not in held:
                return False
        return all(want is None or want == has for want, has in asked)


@dataclass(frozen=True, slots=True)
class PeoplePage:
    """People in the order of their ids. after: the id to go on behind; None at the end."""

    people: list[Person]
    after: str | None


def people_page(
    connection: Connection, account: str, wanted: PeopleFilter, *, after: str, limit: int
) -> PeoplePage:
    """One page; after: "" for the first."""
    people = rows.people
    window = _window(connection, account, wanted).where(people.c.id > after)
    seen = window.order_by(people.c.id).limit(WINDOW).subquery()
    fitting = select(people).where(people.c.id.in_(select(seen.c.id)), *_conditions(wanted))
    found = [
        person_from_row(row)
        for row in connection.execute(fitting.order_by(people.c.id).limit(limit + 1)).mappings()
    ]
    if len(found) > limit:
        return PeoplePage(found[:limit], found[limit - 1].id)
    last = connection.execute(window.order_by(people.c.id).offset(WINDOW - 1).limit(1)).scalar()
    return PeoplePage(found, str(last) if last is not None else None)


def people_of_ids(connection: Connection, account: str, ids: Sequence[str]) -> list[Person]:
    """People of the account among these ids, in the order of their ids."""
    people = rows.people
    found = connection.execute(
        select(people)
        .where(bulk.among(people.c.id, sorted(ids), connection), people.c.account_id == account)
        .where(people.c.state != PersonState.WITHDRAWN.value)
        .order_by(people.c.id)
    )
    return [person_from_row(row) for row in found.mappings()]


def one_person(connection: Connection, person: str) -> Person | None:
    """A person by id, whatever the account; None if there is none."""
    people = rows.people
    found = connection.execute(select(people).where(people.c.id == person)).mappings().first()
    return person_from_row(found) if found is not None else None


def _window(connection: Connection, account: str, wanted: PeopleFilter) -> Select[tuple[str]]:
    """Ids of people that one index finds, by the filter that leaves the fewest."""
    people = rows.people
    mine = select(people.c.id).where(people.c.account_id == account)
    if wanted.email is not None:
        addresses = rows.addresses
        holder = select(addresses.c.person_id).where(
            addresses.c.id == address_id(account, wanted.email)
        )
        return mine.where(people.c.id.in_(holder))
    if wanted.external_id is not None:
        return mine.where(people.c.id.in_(_linked(connection, account, wanted.external_id)))
    if wanted.state is not None and wanted.state is not PersonState.ACTIVE:
        return mine.where(people.c.state == wanted.state.value, NOT_ACTIVE)
    if wanted.role is not None and wanted.role is not Role.MEMBER:
        return mine.where(people.c.role == wanted.role.value, NOT_MEMBER)
    if wanted.roles and Role.MEMBER not in wanted.roles:
        return mine.where(people.c.role.in_(sorted(wanted.roles)), NOT_MEMBER)
    if wanted.is_managed is False:
        return mine.where(people.c.connection_id.is_(None))
    return mine


#: As the partial indexes say it.
NOT_ACTIVE: ColumnElement[bool] = rows.people.c.state != PersonState.ACTIVE.value
NOT_MEMBER: ColumnElement[bool] = rows.people.c.role != Role.MEMBER.value


def _linked(connection: Connection, account: str, external_id: str) -> Select[tuple[str | None]]:
    """People that a connection of the account knows by this external id."""
    connections, users = rows.connections, rows.users
    mine = connection.execute(
        select(connections.c.id).where(connections.c.account_id == account)
    ).scalars()
    keys = [user_id(one, external_id) for one in mine]
    return select(users.c.person_id).where(bulk.among(users.c.id, keys, connection))


def _conditions(wanted: PeopleFilter) -> list[ColumnElement[bool]]:
    people = rows.people
    found: list[ColumnElement[bool]] = [people.c.state != PersonState.WITHDRAWN.value]
    if wanted.state is not None:
        found.append(people.c.state == wanted.state.value)
    if wanted.role is not None:
        found.append(people.c.role == wanted.role.value)
    if wanted.roles:
        found.append(people.c.role.in_(sorted(wanted.roles)))
    if wanted.is_managed is not None:
        column = people.c.connection_id
        found.append(column.is_not(None) if wanted.is_managed else column.is_(None))
    return found
