"""What the `standard` source's events ask for: the shape of `data` per type, and its change."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from domain import changes
from domain.inbox import Reason
from domain.ports import Parsed, UnparseableError
from worker.adapters.sources import fields

MAX_NAME = 1024
_NAMES = ("given_name", "family_name", "display_name")


def _mailable(text: str) -> str:
    found = fields.address(text)
    if found is None:
        raise ValueError("not an e-mail address")
    return found


Id = Annotated[str, Field(min_length=1, max_length=fields.MAX_ID)]
Address = Annotated[str, AfterValidator(_mailable)]
Name = Annotated[str, Field(min_length=1, max_length=MAX_NAME)]


class _Shape(BaseModel):
    """Right members of the right type; members that we do not know are the sender's business."""

    model_config = ConfigDict(strict=True, extra="ignore", hide_input_in_errors=True)


class Thing(_Shape):
    """`user.suspended`, `user.reactivated`, `user.deleted`, `group.deleted`."""

    id: Id


class UserAddress(_Shape):
    """`user.email_changed`."""

    id: Id
    email: Address


class User(_Shape):
    """`user.upserted`."""

    id: Id
    email: Address
    given_name: str | None = None
    family_name: str | None = None
    display_name: str | None = None
    active: bool | None = None
    user_type: str | None = None
    attributes: dict[Id, Any] = Field(default_factory=dict)


class Group(_Shape):
    """`group.upserted`."""

    id: Id
    name: Name


class Membership(_Shape):
    """`group.member_added`, `group.member_removed`."""

    group_id: Id
    user_id: Id


class Members(_Shape):
    """`group.members_replaced`."""

    group_id: Id
    user_ids: list[Id]


def _text(value: object) -> str | None:
    """A directory keeps text: other JSON becomes its compact form, None clears (D15)."""
    if value is None or isinstance(value, str):
        return value
    return fields.canonical(value).decode()


def _provision(data: User) -> changes.Change:
    profile = {name: _text(value) for name, value in data.attributes.items() if name not in _NAMES}
    told = data.model_fields_set
    profile |= {name: getattr(data, name) for name in _NAMES if name in told}
    return changes.ProvisionUser(data.id, data.email, profile, data.active, data.user_type)


def _replace(data: Members) -> changes.Change:
    return changes.ReplaceMembers(data.group_id, tuple(dict.fromkeys(data.user_ids)))


_S = TypeVar("_S", bound=_Shape)


def _rule(shape: type[_S], build: Callable[[_S], changes.Change]) -> _Rule:
    return lambda data: build(shape.model_validate(data))


_Rule = Callable[[object], changes.Change]

RULES: Mapping[str, _Rule] = {
    "user.upserted": _rule(User, _provision),
    "user.email_changed": _rule(UserAddress, lambda d: changes.ChangeEmail(d.id, d.email)),
    "user.suspended": _rule(Thing, lambda d: changes.SuspendUser(d.id)),
    "user.deleted": _rule(Thing, lambda d: changes.SuspendUser(d.id)),
    "user.reactivated": _rule(Thing, lambda d: changes.ReactivateUser(d.id)),
    "group.upserted": _rule(Group, lambda d: changes.PutGroup(d.id, d.name)),
    "group.deleted": _rule(Thing, lambda d: changes.DeleteGroup(d.id)),
    "group.member_added": _rule(Membership, lambda d: changes.AddMember(d.group_id, d.user_id)),
    "group.member_removed": _rule(
        Membership, lambda d: changes.RemoveMember(d.group_id, d.user_id)
    ),
    "group.members_replaced": _rule(Members, _replace),
}


def interpret(event_type: str, data: object) -> Parsed:
    """What an event of this type and data asks for; raises UnparseableError."""
    rule = RULES.get(event_type)
    if rule is None:
        return Parsed(ignored=Reason.UNKNOWN_TYPE)
    try:
        return Parsed((rule(data),))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        # Without the cause, which holds the input.
        raise UnparseableError(_place(first["loc"]), first["msg"]) from None


def _place(location: tuple[int | str, ...]) -> str:
    steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in location)
    return "data" + "".join(steps)
