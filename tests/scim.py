"""An identity provider that provisions by SCIM, as a test drives one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from sqlalchemy import event

from tests.harness import Feed, Rosterd
from worker.adapters.db.direct import Asked, Direct

MEDIA_TYPE = "application/scim+json"
USER = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
STATE = "urn:ietf:params:scim:schemas:extension:rosterd:2.0:User"


class Provider:
    """A provider with a token; what it sends is checked for the status that is expected."""

    def __init__(self, rosterd: Rosterd, token: str, *, base: str = "/scim/v2") -> None:
        self.rosterd = rosterd
        self.token = token
        self.base = base

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """The response, whatever it is."""
        sent = {"Authorization": f"Bearer {self.token}", "Content-Type": MEDIA_TYPE}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        more = {} if body is None else {"json": body}
        return self.rosterd.http.request(method, self.base + path, headers=sent, **more)

    def told(self, method: str, path: str, body: Any = None, *, status: int = 200) -> Any:
        """What an answer of this status holds."""
        answer = self.ask(method, path, body)
        assert answer.status_code == status, answer.text
        if status >= 400:
            return is_error(answer, status)
        return answer.json() if answer.content else None

    # -- people ------------------------------------------------------------------------

    def hire(self, who: str, *, status: int = 201, **more: Any) -> Any:
        """POST /Users of `who`@example.com, or of the whole address."""
        email = who if "@" in who else f"{who}@example.com"
        body = {"schemas": [USER], "userName": email, "active": True, **more}
        return self.told("POST", "/Users", body, status=status)

    def get(self, id_: str, *, status: int = 200, kind: str = "Users") -> Any:
        return self.told("GET", f"/{kind}/{id_}", status=status)

    def patch(self, id_: str, *operations: Any, status: int = 200, kind: str = "Users") -> Any:
        body = {"schemas": [PATCH], "Operations": list(operations)}
        return self.told("PATCH", f"/{kind}/{id_}", body, status=status)

    def set_(self, id_: str, *, status: int = 200, **values: Any) -> Any:
        """PATCH, one replacement for each attribute."""
        parts = [{"op": "replace", "path": name, "value": v} for name, v in values.items()]
        return self.patch(id_, *parts, status=status)

    # -- groups ------------------------------------------------------------------------

    def group(self, name: str, *members: str, status: int = 201, **more: Any) -> Any:
        body = {"schemas": [GROUP], "displayName": name, **more}
        if members:
            body["members"] = [{"value": one} for one in members]
        return self.told("POST", "/Groups", body, status=status)

    def join(self, group: str, *members: str, status: int = 200) -> Any:
        value = [{"value": one} for one in members]
        part = {"op": "add", "path": "members", "value": value}
        return self.patch(group, part, kind="Groups", status=status)

    def leave(self, group: str, member: str, *, status: int = 200) -> Any:
        part = {"op": "remove", "path": f'members[value eq "{member}"]'}
        return self.patch(group, part, kind="Groups", status=status)


def is_error(answer: Any, status: int, scim_type: str | None = None) -> Any:
    """An error as RFC 7644 3.12 has it; its body."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == MEDIA_TYPE
    body = answer.json()
    assert body["schemas"] == ["urn:ietf:params:scim:api:messages:2.0:Error"]
    assert body["status"] == str(status)
    assert body["detail"]
    if scim_type is not None:
        assert body.get("scimType") == scim_type, body
    return body


def provider(rosterd: Rosterd, *domains: str, **more: Any) -> Provider:
    """An account with a SCIM connection that always shows the state, and who speaks for it."""
    more.setdefault("scim_state", "always")
    feed = rosterd.account(*domains, source="scim", **more)
    return speaking(rosterd, feed)


def speaking(rosterd: Rosterd, feed: Feed, *scopes: str) -> Provider:
    """Another provider's side of a SCIM feed, with a token of its own."""
    with rosterd.setup() as use:
        known = use.feed(feed.id)
        token = use.add_token(
            known["account_id"],
            name="test",
            scopes=scopes or ("scim:read", "scim:write"),
            feed=feed.id,
        )
    return Provider(rosterd, token)


@contextmanager
def heard(rosterd: Rosterd) -> Iterator[list[Asked]]:
    """The statements that are sent meanwhile, by readers of SQLAlchemy's and by hand (`Direct`)."""
    said: list[Asked] = []
    engine, sent = rosterd.parts.database._reader, Direct._sent

    def hear(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_more: Any) -> None:
        said.append(Asked(statement, parameters))

    def hear_direct(self: Direct, asked: Asked) -> Any:
        said.append(asked)
        return sent(self, asked)

    event.listen(engine, "before_cursor_execute", hear)
    with patch.object(Direct, "_sent", hear_direct):
        yield said
    event.remove(engine, "before_cursor_execute", hear)
