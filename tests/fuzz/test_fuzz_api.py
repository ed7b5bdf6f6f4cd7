"""Whatever somebody with a token sends to the API: never a 500, and every error a problem."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlencode

from hypothesis import given
from hypothesis import strategies as st

from tests.asgi import Asked, asking
from tests.exploring import patient
from tests.fuzz.shapes import anything, odd_texts
from tests.harness import Rosterd
from worker.web.api.problems import MEDIA_TYPE
from worker.web.app import build_web

#: Texts that an address can carry: a lone surrogate has no bytes.
texts = odd_texts.filter(lambda text: text.isascii() or text.encode(errors="ignore") != b"").map(
    lambda text: text.encode(errors="replace").decode()
)


def operations(rosterd: Rosterd) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Every path, method and operation that the API describes."""
    document = rosterd.http.get("/api/openapi.json").json()
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"/api{path}", method.upper(), operation


def known(rosterd: Rosterd) -> tuple[bytes, list[str]]:
    """A token that may do anything in an account, and what there is in it."""
    feed = rosterd.account()
    rosterd.hire(feed, "u1")
    rosterd.tell(feed, "group.upserted", {"id": "g1", "name": "Crew"})
    scopes = ["directory:read", "directory:write"]
    with rosterd.setup() as use:
        token = use.add_token(rosterd.account_id, name="app", scopes=scopes)
    headers = {"Authorization": f"Bearer {token}"}
    found = [rosterd.account_id, "u1@example.com"]
    for noun in ("users", "groups"):
        items = rosterd.http.get(f"/api/v1/{noun}", headers=headers).json()["items"]
        found += [item["id"] for item in items]
    return f"Bearer {token}".encode(), found


@st.composite
def requests(draw: st.DrawFn, described: list[Any], ids: list[str], bearer: bytes) -> Asked:
    """One operation with ids that exist or anything else, and any parameters and body."""
    path, method, operation = draw(st.sampled_from(described))
    value = st.sampled_from(ids) | texts
    told = {}
    for one in operation.get("parameters", ()):
        if one["in"] == "path":
            path = path.replace("{" + one["name"] + "}", quote(draw(value), safe=""))
        elif one["in"] == "query" and draw(st.booleans()):
            told[one["name"]] = draw(value | st.sampled_from(["1", "true", "active", "owner"]))
    headers = [(b"authorization", bearer), (b"content-type", b"application/json")]
    body = draw(bodies(operation)) if "requestBody" in operation else b""
    return Asked(method, path.encode(), urlencode(told).encode(), headers, [body] if body else [])


def bodies(_operation: dict[str, Any]) -> st.SearchStrategy[bytes]:
    return st.binary(max_size=60) | anything.map(lambda value: json.dumps(value).encode())


def test_no_request_with_a_token_ends_in_a_500(rosterd: Rosterd) -> None:
    bearer, ids = known(rosterd)
    described = list(operations(rosterd))
    with asking(build_web(rosterd.parts)) as ask:

        @patient(300)
        @given(asked=requests(described, ids, bearer))
        def whatever(asked: Asked) -> None:
            status, headers, text = ask(asked)
            assert status < 500, (asked, text)
            if status >= 400:
                assert headers[b"content-type"] == MEDIA_TYPE.encode(), (asked, text)
                assert json.loads(text)["status"] == status
                assert status != 401, asked

        whatever()
