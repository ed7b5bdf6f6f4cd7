"""A captured request as a file: the whole of it as text, or its body with the headers beside it."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from domain.errors import UsageError
from domain.ports import Request

_REQUEST_LINE = re.compile(rb"([A-Z]{3,7}) (\S+)(?: HTTP/[\d.]+)?\r?\n")
#: Where the headers of `NAME.json` are looked for.
BESIDE = ".headers.txt"


def read_request(file: Path) -> Request:
    """The request in a file; raises UsageError where it cannot be read.

    `METHOD PATH`, headers, an empty line and the body, as they were on the wire; or a body alone,
    whose headers lie beside it as `NAME.headers.txt`, or are not known.
    """
    raw = _read(file)
    if _REQUEST_LINE.match(raw) or raw.lower().startswith((b"content-", b"host:", b"user-agent:")):
        head, body = _parted(raw)
        return _request(head, body)
    beside = file.with_name(file.stem + BESIDE)
    return _request(_read(beside) if beside.is_file() else b"", raw)


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}") from error


def _parted(raw: bytes) -> tuple[bytes, bytes]:
    for empty in (b"\r\n\r\n", b"\n\n"):
        head, found, body = raw.partition(empty)
        if found:
            return head + b"\n", body
    return raw, b""


def _request(head: bytes, body: bytes) -> Request:
    method, path = "POST", ""
    first = _REQUEST_LINE.match(head)
    if first is not None:
        method, path = (part.decode("latin-1") for part in first.groups())
        head = head[first.end() :]
    lines = (line.partition(":") for line in head.decode("latin-1").splitlines())
    headers = {name.strip().lower(): value.strip() for name, colon, value in lines if colon}
    return Request(method, headers, body, dict(parse_qsl(urlsplit(path).query)))
