"""What activities of Google's Reports are about: by application and name, whom to read.

They name people and groups by their addresses, and no group by its id. Their names are those of the
appendix of the Reports API (admin: user and group settings; groups_enterprise: moderator actions).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from domain.changes import Change, SuspendUser
from domain.hydration import Wanted, What
from domain.inbox import Kind
from domain.ports import UnparseableError
from worker.adapters.sources import fields

ADMIN, GROUPS = "admin", "groups_enterprise"
#: What is watched and read on; the events of other applications have the same names as some here.
APPLICATIONS = (ADMIN, GROUPS)
#: Members that are no people: they are told with a type, mostly.
_NO_PEOPLE = frozenset({"group", "service_account"})


@dataclass(frozen=True, slots=True)
class Told:
    """One event of an activity. place: its place there, which is part of its key."""

    application: str
    place: int
    event: Mapping[str, Any]
    activity: Mapping[str, Any]

    @property
    def type(self) -> str:
        """`application.name`."""
        return f"{self.application}.{fields.peek_text(self.event, 'name')}"

    def parameter(self, name: str) -> str:
        """The text of a parameter; "" where there is none."""
        told = self.event.get("parameters")
        for one in told if isinstance(told, list) else ():
            if fields.peek(one, "name") == name:
                return fields.peek_text(one, "value")
        return ""

    def address(self, name: str) -> str:
        """The address in a parameter, in lower case; raises UnparseableError."""
        found = fields.address(self.parameter(name))
        if found is None:
            raise UnparseableError(f"parameters.{name}", "no e-mail address")
        return found.lower()


@dataclass(frozen=True, slots=True)
class Activity:
    """kind: what may take something away is read before all others (D10). wants: what is read.

    is_out: the person is out by the event's own word, whatever can be read.
    """

    kind: Kind
    wants: Callable[[Told], Wanted | None]
    is_out: bool = False

    def changes(self) -> tuple[Change, ...]:
        """What is asked where nothing can be read, of whoever has the address here."""
        return (SuspendUser(""),) if self.is_out else ()


def _user(told: Told) -> Wanted:
    return Wanted(What.PERSON_AT, told.address("USER_EMAIL"))


def _renamed_user(told: Told) -> Wanted:
    """By the new address: the old one may be an alias no longer."""
    return Wanted(What.PERSON_AT, told.address("NEW_VALUE"))


def _group(told: Told) -> Wanted:
    return Wanted(What.GROUP_AT, told.address("GROUP_EMAIL"))


def _moved_group(told: Told) -> Wanted:
    return Wanted(What.GROUP_AT, told.address("NEW_VALUE"))


def _member(told: Told) -> Wanted:
    group, user = told.address("GROUP_EMAIL"), told.address("USER_EMAIL")
    return Wanted.member(group, user, by_address=True)


def _group_id(told: Told) -> Wanted:
    return Wanted(What.GROUP_AT, told.address("group_id"))


def _member_id(told: Told) -> Wanted | None:
    if told.parameter("member_type").lower().replace(" ", "_") in _NO_PEOPLE:
        return None
    group, user = told.address("group_id"), told.address("member_id")
    return Wanted.member(group, user, by_address=True)


def _actor(told: Told) -> Wanted:
    """Who came by themselves is told as who did it."""
    found = fields.address(fields.peek(told.activity, "actor", "email"))
    if found is None:
        raise UnparseableError("actor.email", "no e-mail address")
    return Wanted.member(told.address("group_id"), found.lower(), by_address=True)


_PERSON = Activity(Kind.USERS_UPDATE, _user)
_OUT = Activity(Kind.HYDRATE, _user, is_out=True)
_LEFT = Activity(Kind.HYDRATE, _member_id)
_CAME = Activity(Kind.GROUPS_ADD_MEMBERS, _member_id)

RULES: Mapping[str, Activity] = {
    "admin.CREATE_USER": Activity(Kind.USERS_CREATE, _user),
    "admin.UNDELETE_USER": Activity(Kind.USERS_REACTIVATE, _user),
    "admin.UNSUSPEND_USER": Activity(Kind.USERS_REACTIVATE, _user),
    "admin.UNARCHIVE_USER": Activity(Kind.USERS_REACTIVATE, _user),
    "admin.SUSPEND_USER": _OUT,
    "admin.ARCHIVE_USER": _OUT,
    "admin.DELETE_USER": _OUT,
    "admin.RENAME_USER": Activity(Kind.USERS_CHANGE_EMAIL, _renamed_user),
    "admin.CHANGE_FIRST_NAME": _PERSON,
    "admin.CHANGE_LAST_NAME": _PERSON,
    "admin.ADD_DISPLAY_NAME": _PERSON,
    "admin.CHANGE_DISPLAY_NAME": _PERSON,
    "admin.REMOVE_DISPLAY_NAME": _PERSON,
    "admin.CREATE_GROUP": Activity(Kind.GROUPS_UPSERT, _group),
    "admin.CHANGE_GROUP_NAME": Activity(Kind.GROUPS_UPSERT, _group),
    "admin.CHANGE_GROUP_EMAIL": Activity(Kind.GROUPS_UPSERT, _moved_group),
    "admin.DELETE_GROUP": Activity(Kind.HYDRATE, _group),
    "admin.ADD_GROUP_MEMBER": Activity(Kind.GROUPS_ADD_MEMBERS, _member),
    "admin.REMOVE_GROUP_MEMBER": Activity(Kind.HYDRATE, _member),
    "groups_enterprise.create_group": Activity(Kind.GROUPS_UPSERT, _group_id),
    "groups_enterprise.add_info_setting": Activity(Kind.GROUPS_UPSERT, _group_id),
    "groups_enterprise.change_info_setting": Activity(Kind.GROUPS_UPSERT, _group_id),
    "groups_enterprise.delete_group": Activity(Kind.HYDRATE, _group_id),
    "groups_enterprise.add_member": _CAME,
    "groups_enterprise.add_user": _CAME,
    "groups_enterprise.approve_join_request": _CAME,
    "groups_enterprise.accept_invitation": Activity(Kind.GROUPS_ADD_MEMBERS, _actor),
    "groups_enterprise.join": Activity(Kind.GROUPS_ADD_MEMBERS, _actor),
    "groups_enterprise.remove_member": _LEFT,
    "groups_enterprise.remove_user": _LEFT,
    "groups_enterprise.ban_member_with_moderation": _LEFT,
}


def activities(document: object) -> list[Told]:
    """The events of an activity, each once: a removal is told under two names, and asks one thing.

    Of an application that is not watched only the first, which is ignored. Raises UnparseableError.
    """
    activity = fields.as_object(document, "")
    application = fields.peek_text(activity, "id", "applicationName")
    events = fields.as_list(activity.get("events"), "events")
    told = [
        Told(application, place, event if isinstance(event, dict) else {}, activity)
        for place, event in enumerate(events)
    ]
    return _distinct(told) if application in APPLICATIONS else told[:1]


def _distinct(told: list[Told]) -> list[Told]:
    seen: set[tuple[Wanted, bool]] = set()
    found = []
    for one in told:
        asks = _asks(one)
        if asks is None or asks not in seen:
            found.append(one)
        if asks is not None:
            seen.add(asks)
    return found


def _asks(one: Told) -> tuple[Wanted, bool] | None:
    rule = RULES.get(one.type)
    try:
        wants = rule.wants(one) if rule is not None else None
    except UnparseableError:
        return None
    return (wants, rule.is_out) if rule is not None and wants is not None else None
