"""`/sign-in`, `/sign-out`, `/sessions`: in by a link or a password, out, and where else one is in.

A link is shown by GET and used by POST, so that a scanner of mails signs nobody in. Links that do
not work are one page; who opens many of them waits, as does who guesses passwords.
"""

from __future__ import annotations

import math
import time

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from domain.errors import NothingFoundError
from domain.permissions import Asker, Permission
from domain.ports import InfrastructureError
from domain.sign_in import TooManyTriesError, WrongSignInError, local_path
from worker import telemetry
from worker.bootstrap import Container
from worker.bootstrap_operators import CALLBACK
from worker.services.sign_in import SignIn
from worker.web.buckets import Buckets
from worker.web.forms import Endpoint, Form, Handler, with_form
from worker.web.signin.openid import OpenIDPages
from worker.web.signin.rendering import page, style
from worker.web.signin.session import (
    check_csrf,
    check_origin,
    csrf_token,
    give_session,
    session_token,
    signed_in,
    take_session,
    visitor_of,
)

RETRY_SECONDS = 5


def routes(parts: Container) -> list[Route]:
    """The ways in and out."""
    for way in telemetry.SIGN_IN_WAYS:
        for result in telemetry.SIGN_IN_RESULTS:
            telemetry.SIGN_INS.labels(way, result)
    pages, openid = _Pages(parts), OpenIDPages(parts)
    both = ["GET", "POST"]
    return [
        Route("/sign-in.css", style),
        Route("/sign-in", _answered(pages.sign_in), methods=both),
        Route("/sign-in/openid", _answered(openid.begin)),
        Route(CALLBACK, _answered(openid.back)),
        Route("/sign-in/{token}", _answered(pages.link), methods=both),
        Route("/sign-out", _answered(pages.sign_out), methods=both),
        Route("/sessions", _answered(pages.sessions)),
        Route("/sessions/{session}/end", _answered(pages.end), methods=["POST"]),
    ]


def _answered(handle: Handler) -> Endpoint:
    """The endpoint; while the database is away it says so."""

    def answer(request: Request, form: Form) -> Response:
        try:
            return handle(request, form)
        except InfrastructureError:
            return page("away.html", 503, wait=RETRY_SECONDS)

    return with_form(answer)


class _Pages:
    def __init__(self, parts: Container) -> None:
        self._parts = parts
        wrong = parts.settings.wrong_links_per_minute
        self._wrong = Buckets(size=wrong, per_second=wrong / 60, clock=time.monotonic)

    @property
    def _use(self) -> SignIn:
        """Looked up late: nothing is opened before the application starts."""
        return self._parts.operators.sign_in

    def sign_in(self, request: Request, form: Form) -> Response:
        """How to get in; or in, with a password."""
        back = local_path(form.get("next") or request.query_params.get("next", "/"))
        if request.method == "POST":
            return self._by_password(request, form, back)
        if self._use.asker(session_token(request)) is not None:
            return RedirectResponse(back, 303)
        return self._ways(back)

    def _ways(self, back: str, status: int = 200, *, wait: int = 0, **told: str) -> Response:
        has_passwords = self._parts.operators.sessions.has_passwords()
        settings = self._parts.settings
        openid = settings.openid_name if settings.openid_issuer is not None else ""
        fields = {"back": back, "has_passwords": has_passwords, "openid": openid}
        return page("ways.html", status, wait=wait, **fields, **told)

    def _by_password(self, request: Request, form: Form, back: str) -> Response:
        check_origin(request)
        email = form.get("email", "").strip()
        try:
            token = self._use.by_password(
                email, form.get("password", ""), visitor_of(request), session_token(request)
            )
        except WrongSignInError as error:
            return self._ways(back, 401, email=email, why=str(error))
        except TooManyTriesError as error:
            wait = math.ceil(error.wait.total_seconds())
            return self._ways(back, 429, wait=wait, email=email, why=str(error))
        return self._in(token, back)

    def _in(self, token: str, back: str) -> Response:
        answer = RedirectResponse(back, 303)
        give_session(answer, self._parts, token)
        return answer

    def link(self, request: Request, _form: Form) -> Response:
        """GET shows a button, POST uses the link up."""
        client = visitor_of(request).address
        if (seconds := self._wrong.wait(client)) > 0:
            return page("link.html", 429, wait=math.ceil(seconds), is_good=False)
        token = request.path_params["token"]
        if request.method != "POST":
            is_good = self._use.is_link(token)
            if not is_good:
                self._wrong.take(client)
            return page("link.html", 200 if is_good else 410, is_good=is_good)
        check_origin(request)
        opened = self._use.by_link(token, visitor_of(request), session_token(request))
        if opened is None:
            self._wrong.take(client)
            return page("link.html", 410, is_good=False)
        return self._in(opened, "/")

    def sign_out(self, request: Request, form: Form) -> Response:
        """GET shows a button, POST ends the session."""
        if request.method != "POST":
            asker = signed_in(request)
            return page("sign_out.html", name=asker.name, csrf=csrf_token(request))
        if session_token(request):
            check_csrf(request, form)
        self._use.out(session_token(request))
        answer = RedirectResponse("/sign-in", 303)
        take_session(answer, self._parts)
        return answer

    def sessions(self, request: Request, _form: Form) -> Response:
        """Where one is signed in; an admin sees others', too."""
        asker = signed_in(request)
        email = asker.name.partition(":")[2]
        appoint = self._parts.operators.appoint
        mine = appoint.sessions(asker, email)
        others = appoint.sessions(asker) if asker.may(Permission.OPERATORS) else []
        return page(
            "sessions.html",
            name=email,
            this=self._session(request),
            mine=mine,
            others=[one for one in others if one.email != email],
            csrf=csrf_token(request),
        )

    def _session(self, request: Request) -> str:
        held = self._parts.operators.sessions.holder(session_token(request), is_use=False)
        return held.session if held is not None else ""

    def end(self, request: Request, form: Form) -> Response:
        """Sign one browser out."""
        asker: Asker = signed_in(request)
        check_csrf(request, form)
        try:
            self._parts.operators.appoint.end_session(asker, request.path_params["session"])
        except NothingFoundError as error:
            return page("refused.html", 404, why=str(error))
        return RedirectResponse("/sessions", 303)
