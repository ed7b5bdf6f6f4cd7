"""`/sign-in/openid`: to the identity provider and back, in the browser that began it.

What was begun travels sealed in a cookie of its own: no other browser can end it, and nothing is
stored of those who never come back.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict

import orjson
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from domain.open_identity import ROUND_TRIP, Begun, IdentityProvider, OpenIDError, ProviderAwayError
from domain.sign_in import NoOperatorError, local_path
from worker import telemetry
from worker.adapters.vault import SealError
from worker.bootstrap import Container
from worker.web.forms import Form
from worker.web.signin.rendering import page
from worker.web.signin.session import give_session, is_secure, session_token, visitor_of

EXPIRED = "this sign-in was begun in another browser, or too long ago: begin again"
AWAY = "your identity provider does not answer just now: try again, or sign in by a link"
RETRY_SECONDS = 15


class OpenIDPages:
    """There and back."""

    def __init__(self, parts: Container) -> None:
        self._parts = parts

    def begin(self, request: Request, _form: Form) -> Response:
        """Send the browser to the provider."""
        provider = self._parts.operators.openid
        if provider is None:
            return page("refused.html", 404, why="no identity provider is set up for operators")
        try:
            begun = provider.begin()
        except ProviderAwayError as error:
            return self._away(error)
        answer = RedirectResponse(begun.url, 303)
        back = local_path(request.query_params.get("next", "/"))
        self._give(answer, {**asdict(begun), "back": back, "at": time.time()})
        return answer

    def back(self, request: Request, _form: Form) -> Response:
        """Whoever comes back is signed in, if they are an operator."""
        provider = self._parts.operators.openid
        kept = self._kept(request)
        if provider is None or kept is None:
            return self._refused(EXPIRED, why="nothing was begun in this browser")
        answer = self._signed_in(request, provider, kept)
        answer.delete_cookie(self._cookie, path="/", secure=is_secure(self._parts), httponly=True)
        return answer

    def _signed_in(
        self, request: Request, provider: IdentityProvider, kept: Mapping[str, str]
    ) -> Response:
        begun = Begun(kept["url"], kept["state"], kept["nonce"], kept["verifier"])
        use = self._parts.operators.sign_in
        try:
            address = provider.address(request.query_params, begun)
            token = use.by_address(address, visitor_of(request), session_token(request))
        except OpenIDError as error:
            return self._refused(str(error), why=error.why)
        except ProviderAwayError as error:
            return self._away(error)
        except NoOperatorError as error:
            return page("refused.html", 403, why=str(error))
        answer = RedirectResponse(kept["back"], 303)
        give_session(answer, self._parts, token)
        return answer

    def _refused(self, told: str, *, why: str) -> Response:
        telemetry.SIGN_INS.labels("openid", "refused").inc()
        self._parts.log.warning("openid_refused", why=why)
        return page("refused.html", 403, why=told)

    def _away(self, error: ProviderAwayError) -> Response:
        self._parts.log.warning("openid_away", why=error.why)
        return page("refused.html", 503, wait=RETRY_SECONDS, why=AWAY)

    @property
    def _cookie(self) -> str:
        return f"{'__Host-' if is_secure(self._parts) else ''}rosterd_openid"

    def _give(self, answer: Response, begun: Mapping[str, object]) -> None:
        """Lax: the browser comes back from another site, by a plain GET."""
        answer.set_cookie(
            self._cookie,
            self._parts.vault.seal(orjson.dumps(begun)).hex(),
            max_age=int(ROUND_TRIP.total_seconds()),
            path="/",
            secure=is_secure(self._parts),
            httponly=True,
            samesite="lax",
        )

    def _kept(self, request: Request) -> dict[str, str] | None:
        """What this browser began, unless that is too long ago."""
        try:
            sealed = bytes.fromhex(request.cookies.get(self._cookie, ""))
            kept: dict[str, str] = orjson.loads(self._parts.vault.open(sealed))
        except (ValueError, SealError):
            return None
        age = time.time() - float(kept["at"])
        return kept if 0 <= age <= ROUND_TRIP.total_seconds() else None
