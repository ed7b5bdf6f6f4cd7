"""Forms: read within a limit, then handled in a thread like any page."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from urllib.parse import parse_qsl

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from worker.web.body import ClientDisconnect, EncodingError, TooLargeError, read_body

MAX_FORM_BYTES = 64 * 1024
#: Fields by name; of one that comes twice the last.
Form = dict[str, str]
Handler = Callable[[Request, Form], Response]
Endpoint = Callable[[Request], Awaitable[Response]]


def with_form(handle: Handler) -> Endpoint:
    """An endpoint of a handler that runs in a thread; a GET's form is empty."""

    async def endpoint(request: Request) -> Response:
        try:
            form = await form_of(request) if request.method == "POST" else {}
        except TooLargeError:
            return PlainTextResponse(f"a form has at most {MAX_FORM_BYTES} bytes", 413)
        except (EncodingError, ValueError):
            return PlainTextResponse("this is no form", 400)
        except ClientDisconnect:
            return Response(status_code=400)
        return await run_in_threadpool(handle, request, form)

    return endpoint


async def form_of(request: Request) -> Form:
    """The fields of a form that was posted; raises TooLargeError, EncodingError, ValueError."""
    body = await read_body(request.headers, request.receive, limit=MAX_FORM_BYTES)
    pairs = parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=1000)
    return dict(pairs)
