"""What becomes of a request that nobody signed in made, or that may not be made."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response

from domain.permissions import NotPermittedError
from domain.sign_in import NotSignedInError
from worker.web.signin.rendering import page
from worker.web.signin.session import CrossSiteError


def _not_signed_in(request: Request, _error: Exception) -> Response:
    """A page leads to the sign-in and back; a stream or script is told the plain status."""
    is_page = request.headers.get("sec-fetch-mode", "navigate") == "navigate"
    if not is_page or "text/event-stream" in request.headers.get("accept", ""):
        return PlainTextResponse("sign in first", 401)
    if request.method not in ("GET", "HEAD"):
        return RedirectResponse("/sign-in", 303)
    back = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    query = f"?{urlencode({'next': back})}" if back != "/" else ""
    return RedirectResponse(f"/sign-in{query}", 303)


def _refused(_request: Request, error: Exception) -> Response:
    return page("refused.html", 403, why=str(error))


#: For the application: what is raised, by what it is answered.
REFUSALS: dict[type[Exception], Callable[[Request, Exception], Response]] = {
    NotSignedInError: _not_signed_in,
    NotPermittedError: _refused,
    CrossSiteError: _refused,
}
