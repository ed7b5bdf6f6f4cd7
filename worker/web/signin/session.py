"""Who is behind a request with a cookie, and whether a form was posted from a page of ours.

`signed_in` and `check_csrf` are all that a page needs. Both ask the database, or compare, each
time: a session that was ended, or a role that was taken away a second ago, is gone.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from hmac import compare_digest
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from domain.errors import RefusedError
from domain.permissions import Asker
from domain.sign_in import NotSignedInError, Visitor
from worker.adapters.networks import client_of, networks_of
from worker.bootstrap import Container

#: The cookie over http, as on one's own machine.
COOKIE = "rosterd_session"
#: And over https, where a browser takes it from nobody but this very host.
SECURE_COOKIE = "__Host-rosterd_session"
#: A form's field, and the header of a script that posts.
CSRF_FIELD, CSRF_HEADER = "csrf", "x-csrf-token"


class CrossSiteError(RefusedError):
    """A form that did not come from a page of this session."""

    def __init__(self) -> None:
        super().__init__(
            "this form is not from a page that you have open here: go back, load the page again, "
            "and press the button once more",
            code="cross_site",
        )


def signed_in(request: Request) -> Asker:
    """Whoever holds the request's session; raises NotSignedInError. One look-up a request."""
    known: Asker | None = getattr(request.state, "asker", None)
    if known is None:
        known = _parts(request).operators.sign_in.asker(session_token(request))
        if known is None:
            raise NotSignedInError
        request.state.asker = known
    return known


def still_signed_in(request: Request) -> Asker | None:
    """The same at this moment, for streams: looked up anew, and it keeps no session alive."""
    sign_in = _parts(request).operators.sign_in
    return sign_in.asker(session_token(request), is_use=False)


def csrf_token(request: Request) -> str:
    """What forms of this session carry in their field `csrf`; empty without a session."""
    token = session_token(request)
    return sha256(b"rosterd csrf:" + token.encode()).hexdigest() if token else ""


def check_csrf(request: Request, form: Mapping[str, str]) -> None:
    """Raises CrossSiteError unless the form, or the header of a script, is of this session."""
    check_origin(request)
    given = form.get(CSRF_FIELD) or request.headers.get(CSRF_HEADER, "")
    expected = csrf_token(request)
    if not expected or not compare_digest(given.encode(), expected.encode()):
        raise CrossSiteError


def check_origin(request: Request) -> None:
    """Raises CrossSiteError for a post that another site had the browser send.

    Browsers say so in one of two headers; what sends neither is none, and brings no cookies that
    its user did not give it.
    """
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    if site is not None:
        is_ours = site in ("same-origin", "none")
    else:
        is_ours = origin is None or _host(origin) in _our_hosts(request)
    if not is_ours:
        raise CrossSiteError


def session_token(request: Request) -> str:
    """The token that the browser brought; empty for none."""
    return request.cookies.get(cookie_name(_parts(request)), "")


def cookie_name(parts: Container) -> str:
    """By what the browser keeps the session."""
    return SECURE_COOKIE if is_secure(parts) else COOKIE


def is_secure(parts: Container) -> bool:
    """Whether the world reaches us over https."""
    return parts.settings.public_url.startswith("https:")


def give_session(answer: Response, parts: Container, token: str) -> None:
    """Have the browser keep a session."""
    answer.set_cookie(
        cookie_name(parts),
        token,
        max_age=int(parts.settings.session_life.total_seconds()),
        path="/",
        secure=is_secure(parts),
        httponly=True,
        samesite="lax",
    )


def take_session(answer: Response, parts: Container) -> None:
    """Have the browser forget it."""
    answer.delete_cookie(
        cookie_name(parts), path="/", secure=is_secure(parts), httponly=True, samesite="lax"
    )


def visitor_of(request: Request) -> Visitor:
    """Where the request comes from, by trusted proxies' word."""
    peer = request.client.host if request.client is not None else ""
    forwarded = ",".join(request.headers.getlist("x-forwarded-for"))
    trusted = networks_of(_parts(request).settings.trusted_proxies)
    return Visitor(client_of(peer, forwarded, trusted), request.headers.get("user-agent", ""))


def _parts(request: Request) -> Container:
    parts: Container = request.app.state.parts
    return parts


def _host(origin: str) -> str:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


def _our_hosts(request: Request) -> set[str]:
    ours = {request.headers.get("host", "").lower(), _host(_parts(request).settings.public_url)}
    return ours - {""}
