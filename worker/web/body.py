"""Reading a request's body with a limit that holds while it streams, compressed or not (F20)."""

from __future__ import annotations

import re
import zlib
from collections.abc import AsyncIterator, Mapping

from starlette.requests import ClientDisconnect
from starlette.types import Receive

_GZIP = 16 + zlib.MAX_WBITS
#: isdigit() takes superscripts, and int() refuses 4,300 digits: either would end in a 500.
_LENGTH = re.compile(r"[0-9]{1,18}", re.ASCII)


class TooLargeError(Exception):
    """The body, or what it unpacks to, passes the limit."""


class EncodingError(Exception):
    """A content encoding that is not taken, or broken in it."""


async def read_body(headers: Mapping[str, str], receive: Receive, *, limit: int) -> bytes:
    """The body, unpacked; raises TooLargeError before more than the limit is held.

    headers: names in lower case. Raises ClientDisconnect where the sender left.
    """
    declared = headers.get("content-length", "")
    if _LENGTH.fullmatch(declared) and int(declared) > limit:
        raise TooLargeError
    encoding = headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("identity", "gzip", ""):
        raise EncodingError(f"content-encoding {encoding!r} is not taken")
    unpack = zlib.decompressobj(_GZIP) if encoding == "gzip" else None
    parts: list[bytes] = []
    size = 0
    try:
        async for chunk in _chunks(receive):
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


async def _chunks(receive: Receive) -> AsyncIterator[bytes]:
    is_more = True
    while is_more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        is_more = message.get("more_body", False)
        yield message.get("body", b"")


def _unpacked(unpack: zlib._Decompress, chunk: bytes, room: int) -> bytes:
    piece = unpack.decompress(chunk, room + 1)
    if len(piece) > room:
        raise TooLargeError
    return piece


__all__ = ["ClientDisconnect", "EncodingError", "TooLargeError", "read_body"]
