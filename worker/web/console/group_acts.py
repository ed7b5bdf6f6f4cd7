"""What operators do to groups on their pages, and who is in those by hand (G2-G6)."""

from __future__ import annotations

from starlette.responses import Response
from starlette.routing import Route

from domain.errors import NothingFoundError, UsageError
from domain.own_groups import permission_named
from domain.permissions import Permission
from worker.adapters.db.group_pages import GroupSeen, one_group
from worker.adapters.db.names import accounts_of
from worker.web.api.texts import group_row
from worker.web.console.call import Call
from worker.web.console.directory import account_asked, ref_of
from worker.web.console.frame import Frame


def routes(frame: Frame) -> list[Route]:
    """One form for each."""
    writes = Permission.DIRECTORY_WRITE
    return [
        frame.form("/groups", _add, writes),
        frame.form("/groups/{id}/rename", _rename, writes),
        frame.form("/groups/{id}/delete", _delete, writes),
        frame.form("/groups/{id}/grant", _grant, writes),
        frame.form("/groups/{id}/revoke", _revoke, writes),
        frame.form("/groups/{id}/members", _join, writes),
        frame.form("/groups/{id}/leave", _leave, writes),
    ]


def _known(call: Call) -> GroupSeen:
    """The group, if it is there for whoever asks; raises NothingFoundError."""
    ref = call.part("id")
    with call.reading() as connection:
        seen = one_group(connection, group_row(ref))
    call.asker.check_account("group", ref, seen.account if seen else None)
    if seen is None:
        raise NothingFoundError("group", ref)
    return seen


def _add(call: Call) -> Response:
    with call.reading() as connection:
        account = account_asked(call, accounts_of(connection, call.asker.accounts))
    if account is None:
        raise UsageError("say of which account the group is to be")
    made = call.parts.groups.add(
        account["id"], call.text("name"), actor=call.asker.name, reason=call.reason()
    )
    return call.done(f"/groups/{made.id}", f"{made.name} is there; nobody is in it yet.")


def _rename(call: Call) -> Response:
    seen = _known(call)
    after = call.parts.groups.rename(
        seen.id,
        call.text("name"),
        actor=call.asker.name,
        reason=call.reason(),
        account=seen.account,
    )
    return call.done(f"/groups/{ref_of(seen)}", f"It is called {after.name} now.")


def _delete(call: Call) -> Response:
    seen = _known(call)
    gone, count = call.parts.groups.delete(
        seen.id, actor=call.asker.name, reason=call.reason(), account=seen.account
    )
    told = f"{gone.name} is gone with {count:,} memberships; its people stay."
    return call.done(call.link("/groups", account=seen.account), told)


def _grant(call: Call) -> Response:
    return _permit(call, grants=True)


def _revoke(call: Call) -> Response:
    return _permit(call, grants=False)


def _permit(call: Call, *, grants: bool) -> Response:
    seen, permission = _known(call), permission_named(call.text("permission"))
    use = call.parts.groups
    act = use.grant if grants else use.revoke
    after = act(
        seen.id,
        permission,
        actor=call.asker.name,
        reason=call.reason(),
        account=seen.account,
    )
    dropped = (
        " It dropped out of management by it." if seen.is_managed and not after.is_managed else ""
    )
    told = f"{permission.value.replace('_', ' ')}: {'given' if grants else 'taken'}.{dropped}"
    return call.done(f"/groups/{after.id}", told)


def _join(call: Call) -> Response:
    seen, person = _known(call), _person(call)
    is_new = call.parts.groups.join(
        seen.id, person, actor=call.asker.name, reason=call.reason(), account=seen.account
    )
    told = "A member now." if is_new else "A member already: nothing changed."
    return call.done(f"/groups/{ref_of(seen)}", told)


def _leave(call: Call) -> Response:
    seen, person = _known(call), _person(call)
    was = call.parts.groups.leave(
        seen.id, person, actor=call.asker.name, reason=call.reason(), account=seen.account
    )
    told = "No member any more." if was else "No member by hand: nothing changed."
    return call.done(f"/groups/{ref_of(seen)}", told)


def _person(call: Call) -> str:
    """The id of the person who is named by id, or by their address in the group's account."""
    named = call.text("person")
    if "@" not in named:
        return named
    seen = _known(call)
    with call.setup(Permission.DIRECTORY_WRITE) as use:
        return use.person_at(seen.account, named)
