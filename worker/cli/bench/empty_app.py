"""What ingest is compared with: the same server, answering 202 to everything, storing nothing."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route


async def _accept(request: Request) -> Response:
    await request.body()
    return Response(status_code=202 if request.method == "POST" else 200)


app = Starlette(routes=[Route("/{rest:path}", _accept, methods=["GET", "POST"])])
