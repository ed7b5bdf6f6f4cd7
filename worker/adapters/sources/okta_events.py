"""What Okta's event types ask for, read from the targets of a System Log event."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from domain import changes
from domain.hydration import Wanted, What
from domain.inbox import Kind
from worker.adapters.sources import fields

USER, GROUP, APP = "User", "UserGroup", "AppInstance"

LogEvent = Mapping[str, object]
Build = Callable[[LogEvent], changes.Change | None]


@dataclass(frozen=True, slots=True)
class Rule:
    """Kind of an event type, the type of target it is about, and the change it asks for.

    reads: whether it lets in, or says too little: where Okta can be asked, it is read first (U8).
    """

    kind: Kind
    subject: str
    build: Build
    reads: bool = False


@dataclass(frozen=True, slots=True)
class Target:
    """One thing that an event is about."""

    id: str
    name: str | None
    address: str | None

    @property
    def profile(self) -> dict[str, str | None]:
        """The attributes of a person that a target tells."""
        return {"display_name": self.name} if self.name else {}


def successful(event: LogEvent) -> bool:
    """Whether what the event tells of took place; an event without a verdict did."""
    result = fields.peek_text(event, "outcome", "result")
    return result.casefold() in {"", "success", "allow"}


def peek_target(event: object, kind: str) -> str:
    """The id of the first target of this type, or ""; never raises."""
    targets = fields.peek(event, "target")
    for target in targets if isinstance(targets, list) else ():
        if fields.peek(target, "type") == kind:
            return fields.peek_text(target, "id")
    return ""


def find_target(event: LogEvent, kind: str) -> Target | None:
    """The first target of this type; None where the event names none (the console's preview)."""
    targets = event.get("target")
    if targets is None:
        return None
    for index, target in enumerate(fields.as_list(targets, "target")):
        if fields.peek(target, "type") == kind:
            return Target(
                fields.as_id(fields.peek(target, "id"), f"target[{index}].id"),
                fields.peek_text(target, "displayName") or None,
                fields.address(fields.peek(target, "alternateId")),
            )
    return None


def wanted(event: LogEvent, rule: Rule) -> Wanted | None:
    """What has to be read of the subject, if anything has to."""
    target = find_target(event, rule.subject) if rule.reads else None
    if target is None:
        return None
    if rule.subject == GROUP:
        return Wanted(What.GROUP, target.id)
    app = find_target(event, APP) if rule.build is _assign else None
    return Wanted(What.PERSON, target.id, app.id if app is not None else "")


def _provision(event: LogEvent) -> changes.Change | None:
    user = find_target(event, USER)
    # alternateId is the login, which need not be an address: then nobody can be invited.
    if user is None or user.address is None:
        return None
    return changes.ProvisionUser(user.id, user.address, user.profile)


def _suspend(event: LogEvent) -> changes.Change | None:
    user = find_target(event, USER)
    return changes.SuspendUser(user.id) if user else None


def _reactivate(event: LogEvent) -> changes.Change | None:
    user = find_target(event, USER)
    return changes.ReactivateUser(user.id) if user else None


def _assign(event: LogEvent) -> changes.Change | None:
    user, app = find_target(event, USER), find_target(event, APP)
    if user is None or app is None:
        return None
    return changes.AssignUser(user.id, app.id, user.address, user.profile)


def _unassign(event: LogEvent) -> changes.Change | None:
    user, app = find_target(event, USER), find_target(event, APP)
    return changes.UnassignUser(user.id, app.id) if user and app else None


def _put_group(event: LogEvent) -> changes.Change | None:
    group = find_target(event, GROUP)
    return changes.PutGroup(group.id, group.name) if group else None


def _delete_group(event: LogEvent) -> changes.Change | None:
    group = find_target(event, GROUP)
    return changes.DeleteGroup(group.id) if group else None


def _add_member(event: LogEvent) -> changes.Change | None:
    user, group = find_target(event, USER), find_target(event, GROUP)
    return changes.AddMember(group.id, user.id) if user and group else None


def _remove_member(event: LogEvent) -> changes.Change | None:
    user, group = find_target(event, USER), find_target(event, GROUP)
    return changes.RemoveMember(group.id, user.id) if user and group else None


def _thin(event: LogEvent) -> None:  # noqa: ARG001
    # Names no values; what changed will be known once the user is read back from Okta.
    return None


RULES: Mapping[str, Rule] = {
    "user.lifecycle.create": Rule(Kind.USERS_CREATE, USER, _provision, reads=True),
    "user.lifecycle.activate": Rule(Kind.USERS_REACTIVATE, USER, _reactivate, reads=True),
    "user.lifecycle.reactivate": Rule(Kind.USERS_REACTIVATE, USER, _reactivate, reads=True),
    "user.lifecycle.unsuspend": Rule(Kind.USERS_REACTIVATE, USER, _reactivate, reads=True),
    "user.lifecycle.deactivate": Rule(Kind.USERS_SUSPEND, USER, _suspend),
    "user.lifecycle.suspend": Rule(Kind.USERS_SUSPEND, USER, _suspend),
    "user.lifecycle.delete.initiated": Rule(Kind.USERS_SUSPEND, USER, _suspend),
    "user.account.update_profile": Rule(Kind.USERS_UPDATE, USER, _thin, reads=True),
    "application.user_membership.add": Rule(Kind.USERS_CREATE, USER, _assign, reads=True),
    "application.user_membership.remove": Rule(Kind.USERS_SUSPEND, USER, _unassign),
    "group.lifecycle.create": Rule(Kind.GROUPS_UPSERT, GROUP, _put_group),
    "group.profile.update": Rule(Kind.GROUPS_UPSERT, GROUP, _put_group, reads=True),
    "group.lifecycle.delete": Rule(Kind.GROUPS_DELETE, GROUP, _delete_group),
    "group.user_membership.add": Rule(Kind.GROUPS_ADD_MEMBERS, USER, _add_member),
    "group.user_membership.remove": Rule(Kind.GROUPS_REMOVE_MEMBERS, USER, _remove_member),
}
