"""Whatever a stranger sends over HTTP, byte for byte: no 500, nothing stored, nobody let in.

`tests/fuzz/test_fuzz.py` has the parsers by themselves; here are path, query, headers, cookies,
forms and bodies in pieces, as a server hands them on.
"""

from __future__ import annotations

import gzip
import json
from typing import Any
from urllib.parse import quote_from_bytes

from hypothesis import given
from hypothesis import strategies as st

from tests.asgi import Asked, asking
from tests.exploring import patient
from tests.harness import Feed, Rosterd
from tests.tenants import contents
from worker.cli.signing import SIGN
from worker.web.app import build_web
from worker.web.signin.session import COOKIE

#: What parsers of paths and headers have stumbled over: NUL, no UTF-8, halves, separators, numbers.
ODD = (
    b"\x00",
    b"\xff\xfe",
    b"\xed\xa0\x80",
    b"%00",
    b"%",
    b"%zz",
    b"..",
    b"//",
    b"\\",
    b";",
    b"=",
    b'"',
    b"\\377",
    b"\xc2\xb2",
    b"9" * 400,
    b"e\xcc\x81",
    b"{token}",
)
pieces = st.sampled_from(ODD) | st.binary(max_size=12)
odd = st.lists(pieces, max_size=5).map(b"".join)
#: Header values as HTTP allows them at all: no line break, no NUL.
values = odd.map(lambda text: bytes(byte for byte in text if byte >= 32 or byte == 9))
PLACES = (
    "/",
    "/hooks/",
    "/invitations/",
    "/email-changes/",
    "/sign-in/",
    "/sign-out",
    "/static/",
    "/status/stream",
    "/metrics",
    "/health",
    "/member.css",
    "/api/",
    "/api/openapi.json",
    "/api/problems/",
    "/api/v1/users",
    "/api/v1/users/",
    "/api/v1/groups/",
)
NAMES = (
    b"accept",
    b"accept-encoding",
    b"accept-language",
    b"authorization",
    b"content-encoding",
    b"content-length",
    b"content-type",
    b"cookie",
    b"expect",
    b"host",
    b"if-none-match",
    b"origin",
    b"range",
    b"transfer-encoding",
    b"webhook-id",
    b"webhook-signature",
    b"webhook-timestamp",
    b"workos-signature",
    b"boxyhq-signature",
    b"x-fusionauth-signature-jwt",
    b"x-keycloak-signature",
    b"zitadel-signature",
    b"x-forwarded-for",
    b"x-okta-verification-challenge",
    b"x-request-id",
)
header_lists = st.lists(st.tuples(st.sampled_from(NAMES), values), max_size=6)
methods = st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD", "TRACE"])


def sources(rosterd: Rosterd) -> list[Feed]:
    """A feed of each source."""
    return [rosterd.account(name=name, source=name, scope="assignment:app") for name in SIGN]


def test_no_path_query_or_header_ends_in_a_500_or_opens_anything(rosterd: Rosterd) -> None:
    paths = st.sampled_from([*PLACES, *(feed.path for feed in sources(rosterd))])
    before = contents(rosterd)
    with asking(build_web(rosterd.parts)) as ask:

        @patient(300)
        @given(method=methods, path=paths, more=odd, query=odd, told=header_lists)
        def whatever(
            method: str, path: str, more: bytes, query: bytes, told: list[tuple[bytes, bytes]]
        ) -> None:
            place = path.encode() + quote_from_bytes(more).encode()
            status, _, text = ask(Asked(method, place, query, told))
            assert status < 500, (method, place, text)

        whatever()
    assert contents(rosterd) == before


cookies = st.one_of(
    values,
    st.lists(st.tuples(st.sampled_from([COOKIE.encode(), b"a", b""]), values), max_size=4).map(
        lambda pairs: b"; ".join(name + b"=" + value for name, value in pairs)
    ),
)


def test_no_cookie_or_bearer_lets_anybody_in(rosterd: Rosterd) -> None:
    with asking(build_web(rosterd.parts)) as ask:

        @patient(150)
        @given(
            path=st.sampled_from([b"/", b"/status/stream", b"/metrics"]),
            cookie=cookies,
            bearer=values,
        )
        def whatever(path: bytes, cookie: bytes, bearer: bytes) -> None:
            told = [(b"cookie", cookie), (b"authorization", b"Bearer " + bearer)]
            status, answered, _ = ask(Asked("GET", path, headers=told))
            assert status in {303, 401}
            assert answered.get(b"location", b"/sign-in").startswith(b"/sign-in")
            # With a session that might be one, a form of nobody's is told apart first.
            assert ask(Asked("POST", b"/sign-out", headers=told))[0] in {303, 403}

        whatever()


form_types = st.one_of(
    st.sampled_from([b"application/x-www-form-urlencoded", b"multipart/form-data", b"text/plain"]),
    values.map(lambda text: b"multipart/form-data; boundary=" + text),
    values,
)


@st.composite
def forms(draw: st.DrawFn) -> tuple[bytes, list[bytes]]:
    """A content type and a body in pieces; now and then they fit each other."""
    kind = draw(form_types)
    boundary = kind.partition(b"boundary=")[2] or b"x"
    part = b"--" + boundary + b'\r\nContent-Disposition: form-data; name="'
    names = draw(st.lists(odd, max_size=3))
    whole = b"".join(part + name + b'"\r\n\r\n' + name + b"\r\n" for name in names)
    body = draw(st.sampled_from([whole + b"--" + boundary + b"--", whole]) | odd)
    cut = draw(st.integers(0, len(body)))
    return kind, [body[:cut], body[cut:]]


def test_no_form_accepts_anything_for_anybody(rosterd: Rosterd) -> None:
    rosterd.hire(rosterd.account(), "u1")
    rosterd.link("u1@example.com")
    before = contents(rosterd)
    paths = st.sampled_from([b"/invitations/", b"/email-changes/", b"/sign-in/", b"/sign-out"])
    with asking(build_web(rosterd.parts)) as ask:

        @patient(150)
        @given(path=paths, token=odd, form=forms(), is_cut_short=st.booleans())
        def whatever(
            path: bytes, token: bytes, form: tuple[bytes, list[bytes]], is_cut_short: bool
        ) -> None:
            kind, chunks = form
            told = [(b"content-type", kind)]
            place = path + quote_from_bytes(token, safe="").encode()
            asked = Asked("POST", place, b"", told, chunks, is_cut_short=is_cut_short)
            assert ask(asked)[0] in {303, 400, 404, 405, 410}, asked

        whatever()
    assert contents(rosterd) == before


@st.composite
def deliveries(draw: st.DrawFn) -> tuple[list[tuple[bytes, bytes]], list[bytes], bool]:
    """Headers and a body in pieces, compressed, half compressed or not, whole or cut short."""
    body = draw(st.binary(max_size=400) | st.just(b"[" * 5000) | st.just(b'{"a":' * 2000))
    told = draw(header_lists)
    if draw(st.booleans()):
        body = gzip.compress(body)
        told.append((b"content-encoding", b"gzip"))
        for _ in range(draw(st.integers(0, 2))):
            at = draw(st.integers(0, len(body)))
            body = body[:at] + draw(st.binary(max_size=3)) + body[at + draw(st.integers(0, 3)) :]
    cuts = sorted(draw(st.lists(st.integers(0, len(body)), max_size=4)))
    chunks = [body[a:b] for a, b in zip([0, *cuts], [*cuts, len(body)], strict=True)]
    return told, chunks, draw(st.booleans())


def test_no_delivery_of_a_stranger_is_stored_however_it_is_cut(rosterd: Rosterd) -> None:
    paths = st.sampled_from([feed.path.encode() for feed in sources(rosterd)])
    with asking(build_web(rosterd.parts)) as ask:

        @patient(200)
        @given(path=paths, delivery=deliveries(), query=odd)
        def whatever(path: bytes, delivery: Any, query: bytes) -> None:
            told, chunks, is_cut_short = delivery
            asked = Asked("POST", path, query, told, chunks, is_cut_short=is_cut_short)
            assert ask(asked)[0] in {400, 401, 413, 415}, asked

        whatever()
    assert rosterd.events() == []
    assert json.dumps(rosterd.dead()) == "[]"
