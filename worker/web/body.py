"""Reading a request's body with a limit that holds while it streams, compressed or not (F20)."""

from __future__ import annotations

import zlib

from starlette.requests import ClientDisconnect, Request

_GZIP = 16 + zlib.MAX_WBITS


class TooLargeError(Exception):
    """The body, or what it unpacks to, passes the limit."""


class EncodingError(Exception):
    """A content encoding that is not taken, or broken in it."""


async def read_body(request: Request, *, limit: int) -> bytes:
    """The body, unpacked; raises TooLargeError before more than the limit is held."""
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > limit:
        raise TooLargeError
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("identity", "gzip", ""):
        raise EncodingError(f"content-encoding {encoding!r} is not taken")
    unpack = zlib.decompressobj(_GZIP) if encoding == "gzip" else None
    parts: list[bytes] = []
    size = 0
    try:
        async for chunk in request.stream():
            piece = _unpacked(unpack, chunk, limit - size) if unpack is not None else chunk
            size += len(piece)
            if size > limit:
                raise TooLargeError
            parts.append(piece)
    except zlib.error as error:
        raise EncodingError("broken gzip") from error
    if unpack is not None and not unpack.eof:
        raise EncodingError("gzip ends early")
    return b"".join(parts)


def _unpacked(unpack: zlib._Decompress, chunk: bytes, room: int) -> bytes:
    piece = unpack.decompress(chunk, room + 1)
    if len(piece) > room:
        raise TooLargeError
    return piece


__all__ = ["ClientDisconnect", "EncodingError", "TooLargeError", "read_body"]
