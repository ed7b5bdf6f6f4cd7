"""Files of an import, read line by line: CSV with a header, or JSON Lines. One line, one record."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO

import orjson

from domain.errors import UsageError
from domain.importing import KNOWN, RefusedLineError

#: A longer line is refused, and passed by without being held.
LONGEST_LINE = 64 * 1024
_WIDE = (b"\xff\xfe", b"\xfe\xff")
_MARK = b"\xef\xbb\xbf"

Fields = Mapping[str, object] | RefusedLineError


@dataclass(frozen=True, slots=True)
class Read:
    """A record: the number of its line, what is in it, and how many bytes were read so far."""

    number: int
    fields: Fields
    position: int


def records(file: BinaryIO) -> Iterator[Read]:
    """Each line that is not blank; raises UsageError where the file as a whole is something else.

    Raises it also for a CSV file whose first line names no column that there is.
    """
    position = number = 0
    columns: _Columns | None = None
    is_first = True
    while raw := file.readline(LONGEST_LINE + 1):
        number += 1
        position += len(raw)
        while len(raw) > LONGEST_LINE and not raw.endswith(b"\n"):
            rest = file.readline(LONGEST_LINE)
            position += len(rest)
            if not rest or rest.endswith(b"\n"):
                break
        if number == 1:
            raw = _begun(raw)
        if not raw.strip():
            continue
        if is_first:
            is_first = False
            if not raw.lstrip().startswith(b"{"):
                columns = _Columns(raw)
                continue
        yield Read(number, _fields(raw, columns), position)


def _begun(raw: bytes) -> bytes:
    if raw.startswith(_WIDE) or b"\0" in raw:
        raise UsageError("the file is no UTF-8 (UTF-16, it seems): save it as UTF-8")
    return raw.removeprefix(_MARK)


def _fields(raw: bytes, columns: _Columns | None) -> Fields:
    if len(raw) > LONGEST_LINE:
        return RefusedLineError("too_long", f"a line has {LONGEST_LINE} bytes at most")
    try:
        text = raw.decode().rstrip("\r\n")
    except UnicodeDecodeError as error:
        return RefusedLineError("bad_encoding", f"no UTF-8 at byte {error.start + 1} of the line")
    return columns.read(text) if columns is not None else _json(raw)


def _json(raw: bytes) -> Fields:
    try:
        found = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return RefusedLineError("malformed", "the line is no JSON")
    if not isinstance(found, dict):
        return RefusedLineError("malformed", "the line is no JSON object")
    return found


class _Columns:
    """The header of a CSV file: what stands where, and what stands between."""

    def __init__(self, raw: bytes) -> None:
        try:
            header = raw.decode().strip()
        except UnicodeDecodeError:
            raise UsageError("the file is no UTF-8: save it as UTF-8") from None
        self._between = max(",;\t", key=header.count)
        names = next(csv.reader([header], delimiter=self._between))
        self._names = [name.strip().lower() for name in names]
        wrong = [name for name in self._names if name not in KNOWN]
        if wrong or len(set(self._names)) != len(self._names):
            raise UsageError(
                f"line 1 names the columns of a CSV file, each once; {wrong or self._names} are "
                f"not all of: {', '.join(sorted(KNOWN))}"
            )

    def read(self, text: str) -> Fields:
        """The fields of a line by their columns; an empty one says nothing."""
        try:
            values = next(csv.reader([text], delimiter=self._between, strict=True))
        except csv.Error as error:
            return RefusedLineError("malformed", f"the line is no CSV: {error}")
        if len(values) != len(self._names):
            told = f"{len(values)} fields, where the header names {len(self._names)}"
            return RefusedLineError("malformed", told)
        return {name: value for name, value in zip(self._names, values, strict=True) if value}
