"""What every page tells the browser: the one place for the console, sign-in and members' pages."""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

#: Nothing from elsewhere, no script at all, forms post to us, nobody frames us.
PLAIN = (
    "default-src 'none'; style-src 'self'; img-src 'self' data:; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)
#: The console's: files of our own, and what they ask of us.
SCRIPTED = f"{PLAIN}; script-src 'self'; connect-src 'self'"
#: Pages that do without scripts.
PLAIN_PATHS = ("/invitations/", "/email-changes/", "/sign-in", "/sign-out", "/sessions")
HEADERS = {
    # Addresses hold tokens: no other site learns them. With `no-referrer` browsers would send
    # "Origin: null" with our own forms, too, and a post from elsewhere could not be told apart.
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    # People's data stands in pages: no cache keeps them. What is the same for all says otherwise.
    "Cache-Control": "no-store",
}


class Secured:
    """An application whose answers all bear these headers, unless they say otherwise themselves."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""

        async def reply(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                policy = PLAIN if scope["path"].startswith(PLAIN_PATHS) else SCRIPTED
                headers.setdefault("Content-Security-Policy", policy)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self.app(scope, receive, reply if scope["type"] == "http" else send)
