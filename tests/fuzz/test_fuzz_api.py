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


def operations(rosterd: Rosterd) -> Iterator[tuple[str, str, dict[str, Any], list[str]]]:
    """Every path, method and operation that the API describes, with the members of its body."""
    document = rosterd.http.get("/api/openapi.json").json()
    schemas = document["components"]["schemas"]
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            content = operation.get("requestBody", {}).get("content", {})
            reference = content.get("application/json", {}).get("schema", {}).get("$ref", "")
            shape = schemas.get(reference.rpartition("/")[2], {})
            yield f"/api{path}", method.upper(), operation, sorted(shape.get("properties", ()))


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
    path, method, operation, members = draw(st.sampled_from(described))
    value = st.sampled_from(ids) | texts
    told = {}
    for one in operation.get("parameters", ()):
        if one["in"] == "path":
            path = path.replace("{" + one["name"] + "}", quote(draw(value), safe=""))
        elif one["in"] == "query" and draw(st.booleans()):
            told[one["name"]] = draw(value | st.sampled_from(["1", "true", "active", "owner"]))
    headers = [(b"authorization", bearer), (b"content-type", b"application/json")]
    more = st.sampled_from([b"k1", b"k2", b"", b"\xff", b"a b"])
    headers += [(b"idempotency-key", draw(more))] * draw(st.integers(0, 1))
    headers += [(b"x-reason", draw(more))] * draw(st.integers(0, 1))
    body = draw(bodies(members, value)) if "requestBody" in operation else b""
    return Asked(method, path.encode(), urlencode(told).encode(), headers, [body] if body else [])


def bodies(members: list[str], value: st.SearchStrategy[str]) -> st.SearchStrategy[bytes]:
    """Bodies that have the right members, mostly, and anything in them, now and then."""
    words = st.sampled_from(["owner", "guest", "new@example.com", "Crew", "New crew"])
    filled = st.fixed_dictionaries({}, optional=dict.fromkeys(members, value | words | anything))
    shaped = filled.map(lambda document: json.dumps(document).encode())
    other = anything.map(lambda document: json.dumps(document).encode())
    return shaped | shaped | other | st.binary(max_size=60)


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
