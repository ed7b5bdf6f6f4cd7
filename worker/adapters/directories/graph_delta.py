"""Microsoft Graph's delta queries as a log: who changed since, as notifications would have told.

A query for users and one for groups take turns. Each answer ends with a link to the next page, or
to whatever comes later; the cursor keeps the tokens of both. Graph forgets tokens of directory
objects after a week, and may begin anew at any time (410): what changed in between is then found by
a reconciliation only.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from typing import Any

import orjson

from domain.directories import DirectoryError, Logged
from worker.adapters.directories.api import (
    BAD,
    GONE,
    MISSING,
    OK,
    DirectoryAPI,
    Told,
    as_list,
    as_text,
)
from worker.adapters.directories.graph_links import token_of
from worker.adapters.sources import fields

#: What is looked at of each; members that came and went are told with their group.
SELECT: Mapping[str, str] = {
    "users": "displayName,givenName,surname,mail,userPrincipalName,accountEnabled,userType",
    "groups": "displayName,members",
}
_TURNS = tuple(SELECT)
_TYPES = {"users": "#Microsoft.Graph.User", "groups": "#Microsoft.Graph.Group"}
_DELTA, _SKIP = "$deltatoken", "$skiptoken"
#: How Graph says that a token is of no use any more, besides 410.
_FORGOTTEN = frozenset({"syncstatenotfound", "syncstateinvalid", "resyncrequired"})
#: Changes in one body: far below what a notification's request may be long.
BODY_EVENTS = 20
#: Members of one group in one event.
EDGES = 500


def read_on(api: DirectoryAPI, cursor: str, tenant: str) -> Logged:
    """One request's worth of what changed. tenant: whose tenant the changes are told to be of."""
    tokens: dict[str, list[str]] = json.loads(cursor) if cursor else {"turn": [_TURNS[0]]}
    (turn,) = tokens["turn"]
    name, token = tokens.get(turn) or [_DELTA, "latest"]
    query = {name: token} | ({"$select": SELECT[turn]} if token == "latest" else {})  # noqa: S105
    told = api.get(f"/{turn}/delta", query, takes=(OK, MISSING, BAD, GONE))
    if _is_forgotten(told):
        return _anew(tokens, turn)
    if told.status != OK:
        raise DirectoryError(
            f"it answered {told.status} to a delta query", needs_operator=told.status != MISSING
        )
    items = as_list(fields.peek(told.document, "value"), "changes")
    onward = _onward(told)
    is_whole = onward[0] == _DELTA
    after = _TURNS[(_TURNS.index(turn) + 1) % len(_TURNS)] if is_whole else turn
    kept = json.dumps({**tokens, turn: onward, "turn": [after]})
    bodies = _bodies(turn, token, items, told.at, tenant)
    return Logged(bodies, kept, is_all=is_whole and turn == _TURNS[-1])


def _onward(told: Told) -> tuple[str, str]:
    for member, name in (("@odata.nextLink", _SKIP), ("@odata.deltaLink", _DELTA)):
        token = token_of(fields.peek(told.document, member), name)
        if token is not None:
            return name, token
    raise DirectoryError("its page of changes does not say what follows")


def _is_forgotten(told: Told) -> bool:
    code = fields.peek_text(told.document, "error", "code").casefold()
    return told.status == GONE or (told.status == BAD and code in _FORGOTTEN)


def _anew(tokens: dict[str, list[str]], turn: str) -> Logged:
    gap = (
        f"Graph forgot where its changes of {turn} were read: they are read on from now. What "
        "changed in between is found by `rosterd reconcile`"
    )
    left = {name: value for name, value in tokens.items() if name != turn}
    return Logged((), json.dumps(left), is_all=False, gap=gap)


def _bodies(
    turn: str, token: str, items: Sequence[Any], at: datetime, tenant: str
) -> tuple[bytes, ...]:
    """As notifications would have told; ids are by what was read, and when."""
    told: list[dict[str, Any]] = []
    for item in items:
        for part in _parts(item):
            mark = f"{token}|{at.isoformat()}|{len(told)}|".encode() + fields.canonical(part)
            key = f"delta:{sha256(mark).hexdigest()[:40]}"
            told.append(_notification(turn, part, key, at, tenant))
    pages = (told[place : place + BODY_EVENTS] for place in range(0, len(told), BODY_EVENTS))
    return tuple(orjson.dumps({"value": page}) for page in pages)


def _parts(item: Any) -> list[Any]:
    """A change of many members in several."""
    edges = fields.peek(item, "members@delta")
    if not isinstance(edges, list) or len(edges) <= EDGES:
        return [item]
    places = range(0, len(edges), EDGES)
    return [{**item, "members@delta": edges[place : place + EDGES]} for place in places]


def _notification(turn: str, item: Any, key: str, at: datetime, tenant: str) -> dict[str, Any]:
    """A change's time is not told: it was so when the answer was given."""
    about = as_text(fields.peek(item, "id"), "id of what changed")
    data = {"@odata.type": _TYPES[turn], "id": about, "eventTime": at.isoformat()}
    edges = fields.peek(item, "members@delta")
    return {
        "id": key,
        "changeType": "deleted" if fields.peek(item, "@removed") else "updated",
        "tenantId": tenant,
        "resource": f"{turn.capitalize()}/{about}",
        "resourceData": data | ({"members@delta": edges} if edges else {}),
    }
