"""How a mail is put into bytes: by Python's library, which is asked once for what every mail has.

It parses a header as it is set and takes it apart again as it is written, and makes a class for
each. Of the thirteen headers of a mail with two parts nine are the same in each, and are
remembered; plain words need no parsing to be sent.
"""

from __future__ import annotations

from email.headerregistry import HeaderRegistry
from email.policy import EmailPolicy
from functools import lru_cache
from typing import Any

#: Parts of a quoted-printable text never hold this: `=` is followed by figures or an end of line.
BOUNDARY = "=_parts"
#: Their values come from settings and from this program, never from a letter.
_SAME = frozenset(
    {
        *("from", "reply-to", "auto-submitted", "mime-version"),
        *("content-type", "content-transfer-encoding"),
    }
)


class _Classes(HeaderRegistry):
    """The library's classes of headers, each made once: it makes one for every header it meets."""

    def __init__(self) -> None:
        super().__init__()
        self._made: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        """See the library."""
        made = self._made.get(name)
        if made is None:
            made = self._made[name] = super().__getitem__(name)
        return made


class MailForm(EmailPolicy):
    """The library's policy. Raises what that raises."""

    def header_store_parse(self, name: str, value: Any) -> tuple[str, Any]:
        """See the library: a header as it is kept, which may be as it is sent."""
        if _is_same(name, value):
            return _stored(name, value)
        plain = str(value)
        # What holds no line end and nothing to encode is folded by its length alone.
        if plain and plain.isascii() and plain.isprintable():
            return name, plain
        return _PLAIN.parsed(name, value)

    def fold_binary(self, name: str, value: str) -> bytes:
        """See the library: a header as it is sent."""
        if name.lower() not in _SAME:
            return super().fold_binary(name, value)
        return _folded(self.linesep, self.max_line_length, self.utf8, name, value)


class _Plain(EmailPolicy):
    """The library's policy as it is."""

    def parsed(self, name: str, value: Any) -> tuple[str, Any]:
        """A header as it is kept."""
        return super().header_store_parse(name, value)


_CLASSES = _Classes()
_PLAIN = _Plain(header_factory=_CLASSES)


def _is_same(name: str, value: object) -> bool:
    return name.lower() in _SAME and isinstance(value, str)


@lru_cache(maxsize=256)
def _stored(name: str, value: str) -> tuple[str, Any]:
    return _PLAIN.parsed(name, value)


@lru_cache(maxsize=256)
def _folded(linesep: str, longest: int | None, utf8: bool, name: str, value: str) -> bytes:  # noqa: FBT001
    form = _PLAIN.clone(linesep=linesep, max_line_length=longest, utf8=utf8)
    return form.fold_binary(name, value)


#: Short lines for every server; between here and there nobody has to be able to do anything.
SEVEN_BITS = MailForm(linesep="\r\n", max_line_length=76, header_factory=_CLASSES)
#: For an address with letters beyond ASCII before the @ (RFC 6532).
WIDE = SEVEN_BITS.clone(utf8=True)
FILE = WIDE.clone(linesep="\n")
