"""Every route of the web application between two accounts, with each credential of the second."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import Any
from urllib.parse import quote, quote_plus

import pytest

from tests.asgi import Asked, answered
from tests.harness import Rosterd
from tests.tenants import MARK, Tenant, contents, related
from worker.web.hooks import METHODS, PREFIX
from worker.web.signin.session import COOKIE

#: An answer to an id that nothing has; as long as the tokens are.
NOBODY = "nobody-" + "0" * 36
#: What a body of the API is sent with, so that it is the id that is refused.
BODIES: dict[str, Any] = {
    "EditAsked": {"patch": [{"op": "remove", "path": "/data/email"}]},
    "Pacing": {},
    "Amended": {"role": "member"},
    "Bounce": {"why": "550 no such user"},
    "NewEmail": {"email": "walk@example.com"},
    "NewName": {"name": "walk"},
    "Several": {"several": True},
    "Raise": {"to": 9},
    "NewFeed": {"source": "standard"},
    "Rotation": {},
    "RecordingAsked": {"last": 1},
    "Overlap": {},
    "Again": {"cursor": 0},
    "NewPlan": {},
    "Rule": {"rule": "attributes.x"},
    "Live": {"plan": "pln_walk"},
    "FullList": {"ids": ["u1"], "count": 1},
    "Links": {"lines": [{"external_id": "u1", "email": "walk@example.com"}]},
    "Replacement": {"by": "con_walk"},
    "NewWording": {"subject": "walk", "text": "{{link}}"},
    "NewOverride": {"wanted": "suspended", "until": "2999-01-01T00:00:00Z"},
    "Move": {"to": "con_walk", "external_id": "u1"},
    "Import": {"records": [{"email": "walk@example.com"}]},
    "DirectoryAccessTold": {"url": "https://walk.okta.com", "secret": "00walk", "kind": "okta"},
    "NewReconciliation": {"apply": True},
    "Appointed": {"role": "viewer"},
    "NewPassword": {"password": None},
    "Changed": {"settings": {"rehire": "new_user"}},
}
ONE = ("GET", "PUT", "PATCH", "DELETE")
#: Where a secret of the first account is the credential itself: whoever has it is meant.
RIGHTFUL = {("/invitations/{token}", "invitation"), ("/email-changes/{token}", "change")}


#: What SCIM answers by an id, or by a name in a filter, in place of which the walk puts its own.
SCIM: tuple[tuple[str, str], ...] = (
    *((f"/scim/v2/{kind}/{{id}}", method) for kind in ("Users", "Groups") for method in ONE),
    ("/scim/v2/{feed}/Users", "GET"),
    ("/scim/v2/{feed}/Users/{id}", "DELETE"),
    ("/scim/v2/Users", "GET"),
    ("/scim/v2/Groups", "GET"),
    ('/scim/v2/Users?filter=id eq "{id}"', "GET"),
    ('/scim/v2/Users?filter=userName eq "{name}"', "GET"),
    ('/scim/v2/Users?filter=groups.value eq "{id}"', "GET"),
    ('/scim/v2/Groups?filter=members.value eq "{id}"', "GET"),
)
#: Bodies that make sense, so that it is the id that is refused.
SCIM_BODIES: dict[str, Any] = {
    "PUT": {"userName": "walk@example.com", "displayName": "walk"},
    "PATCH": {"Operations": [{"op": "replace", "path": "displayName", "value": "walk"}]},
}
#: The same of every rosterd, and slow to make.
_DESCRIBED: dict[str, Any] = {}


@pytest.fixture
def two(rosterd: Rosterd) -> tuple[Tenant, Tenant]:
    return related(rosterd, "stranger")


def routes(rosterd: Rosterd) -> Iterator[tuple[str, str]]:
    """Every path and method that the application answers, hooks included."""
    pages = inspect.getclosurevars(rosterd.http.app).nonlocals["pages"]
    for route in pages.app.routes:
        for method in route.methods:
            yield route.path, method
    for method in METHODS:
        yield f"{PREFIX}{{feed}}", method
    yield from SCIM
    for path, operations in described(rosterd)["paths"].items():
        for method in operations:
            yield f"/api{path}", method.upper()


def described(rosterd: Rosterd) -> Any:
    """What the API says of itself; that it leaves nothing out, its own tests see to."""
    if not _DESCRIBED:
        _DESCRIBED.update(
            inspect.getclosurevars(rosterd.http.app).nonlocals["interface"].description()
        )
    return _DESCRIBED


def asking(rosterd: Rosterd) -> Iterator[tuple[str, str]]:
    """Every path of the API that takes an id or a name in its query, with that in place."""
    for path, operations in described(rosterd)["paths"].items():
        for one in operations.get("get", {}).get("parameters", ()):
            kinds = one["schema"].get("anyOf", [one["schema"]])
            is_text = any(kind.get("type") == "string" for kind in kinds)
            if one["in"] == "query" and is_text and one["name"] != "cursor":
                yield f"/api{path}?{one['name']}={{{one['name']}}}", "GET"


def body_for(document: Any, method: str, path: str) -> Any:
    """A body that makes sense, for an operation on something that has an id; or None."""
    if path.startswith("/scim/"):
        return SCIM_BODIES.get(method)
    operations = document["paths"].get(path.removeprefix("/api"), {})
    body = operations.get(method.lower(), {}).get("requestBody")
    if body is None or "{" not in path:
        return None
    reference = body["content"]["application/json"]["schema"]["$ref"]
    return BODIES[reference.rpartition("/")[2]]


def credentials(tenant: Tenant) -> dict[str, dict[str, str]]:
    """Headers with whatever of an account could prove something."""
    secrets = tenant.secrets
    return {
        "none": {},
        **{
            f"bearer {name}": {"Authorization": f"Bearer {secrets[name]}"}
            for name in ("bearer", "broad_bearer", "invitation")
        },
        **{
            f"session {name}": {"Cookie": f"{COOKIE}={secrets[name]}"}
            for name in ("session", "bearer", "invitation", "change")
        },
    }


RELATIONS = ("stranger", "child", "sibling")
#: By the name of a part of a path: the kinds of ids that it takes.
OF_A_KIND = {
    "user": {"person", "moved", "scim_user", "email"},
    "group": {"group", "group_by_hand", "scim_group"},
    "connection": {"connection", "connection_name"},
    "feed": {"feed", "scim_feed"},
    "event": {"event", "listed", "imported", "patch"},
    "letter": {"letter", "discarded"},
    "replay": {"replay", "observing"},
    "id": {"person", "group", "event", "connection", "hold", "replay"},
    "token": {"token", "invitation", "change"},
    "external_id": {"scim_user", "scim_group"},
}
#: Those that prove something to somebody, and so may open too much.
PROVING = ("bearer broad_bearer", "session session")
#: Each relation, on either database, with each of these.
TURNS = 2 * len(RELATIONS) * len(PROVING)
#: With a session one streams for ever (test_stream looks at it), the other ends it.
NOT_IN_SESSION = {"/status/stream", "/events/stream", "/sign-out"}


def test_the_walk_finds_the_routes(rosterd: Rosterd) -> None:
    found = set(routes(rosterd))
    assert {
        ("/", "GET"),
        ("/metrics", "GET"),
        ("/invitations/{token}", "POST"),
        ("/sign-in/{token}", "POST"),
        ("/hooks/{feed}", "POST"),
        ("/api/v1/users/{user}", "GET"),
    } <= found
    assert ("/api/v1/users?external_id={external_id}", "GET") in set(asking(rosterd))


@pytest.mark.parametrize("relation", RELATIONS)
def test_c4_no_route_answers_another_accounts_ids_otherwise_than_nobodys(
    rosterd: Rosterd, database_url: str, relation: str
) -> None:
    alpha, beta = related(rosterd, relation)
    held = credentials(beta)
    is_postgres = database_url.startswith("postgresql")
    # What proves nothing is refused before any id is looked up: once is enough.
    if relation != "stranger" or is_postgres:
        held = {name: held[name] for name in PROVING}
    before = contents(rosterd)
    # In the application's own loop: from thread to thread a request takes three times as long.
    assert rosterd.http.portal is not None
    turn = (2 * RELATIONS.index(relation) + is_postgres) * len(PROVING)
    rosterd.http.portal.call(_walk, rosterd, alpha, held, turn)
    assert contents(rosterd) == before


async def _walk(
    rosterd: Rosterd, alpha: Tenant, held: dict[str, dict[str, str]], turn: int
) -> None:
    """Ask every route with each of these headers for what is alpha's."""
    # A slash would make it another path.
    everything = {k: v.replace("/", "_") for k, v in {**alpha.words, **alpha.secrets}.items()}
    marks = [mark for mark in (*alpha.marks, MARK) if not mark.isdigit()]
    document = described(rosterd)
    for path, method in (*routes(rosterd), *asking(rosterd)):
        said = body_for(document, method, path)
        body = json.dumps(said).encode() if said is not None else b""
        for name, headers in held.items():
            if name == "session session" and path in NOT_IN_SESSION:
                continue
            expected = await _answer(rosterd.http.app, method, path, NOBODY, headers, body)
            # Who is not let in at all is told so whatever the id.
            shut = expected[0] in (401, 403)
            place = turn + PROVING.index(name) if name in PROVING else turn
            for kind in _kinds(path, [*everything], place)[: 2 if shut else None]:
                if (path, kind) in RIGHTFUL:
                    continue
                value = everything[kind]
                told = await _answer(rosterd.http.app, method, path, value, headers, body)
                assert told == expected, (method, path, kind, name)
            assert not [mark for mark in marks if mark in str(expected)], (method, path, name)


def _kinds(path: str, known: Sequence[str], turn: int) -> list[str]:
    """What a path is asked for: whatever it takes, and a twelfth of all else, by turns.

    Each kind is asked for at each path in one of the relations, on one of the databases, with one
    of the credentials.
    """
    names = re.findall(r"\{(\w+)\}", path)
    if not names:
        return []
    takes = {kind for name in names for kind in OF_A_KIND.get(name, {name})}
    first = int(sha256(path.encode()).hexdigest()[:8], 16) + turn
    others = [kind for place, kind in enumerate(known) if (place + first) % TURNS == 0]
    return [kind for kind in known if kind in takes or kind in others]


async def _answer(
    app: Any, method: str, path: str, value: str, headers: dict[str, str], body: bytes
) -> tuple[int, str, list[tuple[bytes, bytes]]]:
    named, _, query = re.sub(r"\{\w+\}", quote(value, safe=""), path).partition("?")
    given = {"Host": "testserver", "X-Request-Id": "walk", "X-Reason": "walk", **headers}
    if body:
        given |= {"Content-Type": "application/json", "Content-Length": str(len(body))}
    status, told, text = await answered(
        app,
        Asked(
            method,
            named.encode(),
            quote(query, safe="%=&").encode(),
            [(name.lower().encode(), said.encode()) for name, said in given.items()],
            [body] if body else [],
        ),
    )
    # A number alone may stand for anything; in quotes it is the one that was asked for.
    asked = f"'{value}'" if value.isdigit() else value
    kept = sorted(pair for pair in told if pair[0] != b"content-length")
    # Whoever is not signed in is led there, and then to the address that they asked for.
    for form in (quote_plus(quote(value, safe="")).encode(), quote_plus(value).encode()):
        kept = [(k, v.replace(form, b"ID") if k == b"location" else v) for k, v in kept]
    return status, text.decode().replace(asked, asked.replace(value, "ID")), kept


def test_a_signature_of_one_account_proves_nothing_for_anothers_feed(
    rosterd: Rosterd, two: tuple[Tenant, Tenant]
) -> None:
    alpha, beta = two
    before = contents(rosterd)
    for method in METHODS:
        answers = []
        for feed in (alpha.feed.id, NOBODY):
            sent = rosterd.request(beta.feed, "user.suspended", {"id": "u1"})
            told = rosterd.http.request(
                method, PREFIX + feed, content=sent.body, headers=dict(sent.headers)
            )
            answers.append((told.status_code, told.text))
        assert answers[0] == answers[1], method
        assert answers[0][0] == 401
    assert contents(rosterd) == before


def test_what_a_member_may_see_and_do_ends_with_their_own_account(
    rosterd: Rosterd, two: tuple[Tenant, Tenant]
) -> None:
    alpha, beta = two
    marks = [mark for mark in (*alpha.marks, MARK) if not mark.isdigit()]
    held = {row for row in contents(rosterd) if any(mark in row[1] for mark in marks)}
    for path, kind in sorted(RIGHTFUL):
        for method in ("GET", "POST"):
            told = rosterd.http.request(method, path.replace("{token}", beta.secrets[kind]))
            assert told.status_code == 200
            assert not [mark for mark in marks if mark in told.text], (method, path)
    assert held <= contents(rosterd)
    assert rosterd.http.get(f"/invitations/{alpha.secrets['invitation']}").status_code == 200


def test_a_credential_of_one_kind_opens_nothing_of_another(
    rosterd: Rosterd, two: tuple[Tenant, Tenant]
) -> None:
    _, beta = two
    session = rosterd.session(rosterd.operator("op@example.com"))
    with rosterd.setup() as use:
        metrics = use.add_token(None, name="m", scopes=["metrics"])
        narrow = use.add_token(None, name="n", scopes=["directory:read"])
    held = {
        **beta.secrets,
        "sign_in": rosterd.sign_in_link("op@example.com"),
        "session": session,
        "metrics": metrics,
        "narrow": narrow,
    }
    ways: dict[str, tuple[str, Any]] = {
        "invitation": ("/invitations/{}", {}),
        "change": ("/email-changes/{}", {}),
        "sign_in": ("/sign-in/{}", {}),
        "metrics": ("/metrics", {"Authorization": "Bearer {}"}),
        "session": ("/", {"Cookie": COOKIE + "={}"}),
    }
    for way, (path, headers) in ways.items():
        for kind, secret in held.items():
            told = {name: value.format(secret) for name, value in headers.items()}
            answer = rosterd.http.get(path.format(secret), headers=told, follow_redirects=False)
            status = answer.status_code
            assert (status == 200) == (kind == way), (way, kind, status)
