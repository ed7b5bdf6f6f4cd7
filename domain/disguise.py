"""A request that somebody else may see: its shape stays, of whom it tells does not.

Every text and number is rewritten, letter for letter and digit for digit, unless it says how the
request is built. The same word becomes the same word, in an address as in a name, under a key that
nobody keeps; so two events about one person still are about one person.
"""

from __future__ import annotations

import json
import re
import string
from base64 import b64decode, b64encode
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from domain import shapes
from domain.shapes import CLOCKS, STATE_WORDS, STATES, TELLING, WORDS

#: Where a body is nested deeper, what is below is dropped.
DEEPEST = 40
_TRIES = 64
_PIECE = re.compile(rf"{shapes.UUID.pattern}|[^\W_]+")
_ADDRESS = re.compile(r"""([^\s<>"'(),;:/|=\[\]]+)@([^\s<>"'(),;:/|=\[\]]+)""")
_HOST = re.compile(r"//([A-Za-z0-9.-]+)")
_NAMED = re.compile(r'"([A-Za-z_$][A-Za-z_$.-]{0,40})"(?=\s*:)')
_ENCODED = re.compile(r"[A-Za-z0-9+/]{16,}={0,2}")
_TEXTS = frozenset({"", "true", "false", "null"})


@dataclass(slots=True)
class Disguise:
    """One recording. key: random, and forgotten with it. addresses: those that were rewritten."""

    key: bytes = field(repr=False)
    addresses: set[str] = field(default_factory=set, repr=False)
    _known: dict[str, str] = field(default_factory=dict, repr=False)
    _used: set[str] = field(default_factory=set, repr=False)
    _hosts: dict[str, str] = field(default_factory=dict, repr=False)

    def body(self, body: bytes) -> bytes:
        """A body of the same shape; of what is no JSON the letters and digits are others."""
        try:
            document = json.loads(body)
        except (ValueError, RecursionError):
            return self._broken(body)
        gaps = (", ", ": ") if b'": ' in body else (",", ":")
        told = self._value(document, "", 0)
        return json.dumps(told, ensure_ascii=False, separators=gaps).encode("utf-8", "replace")

    def header(self, name: str, value: str) -> str:
        """The value of a header that is kept with a request."""
        if name == "content-type" or (name == "user-agent" and shapes.PRODUCT.fullmatch(value)):
            return value
        is_state = name.endswith("-state") and value.lower() in STATE_WORDS
        return value if is_state else self.text(value)

    def text(self, text: str) -> str:
        """Other words of the same letters."""
        return self._parted(text, keep=False)

    def survives(self, told: bytes) -> bool:
        """Whether one of the addresses stands in it all the same."""
        low = told.decode("utf-8", "replace").casefold()
        return any(found[0] in self.addresses for found in _ADDRESS.finditer(low))

    def _broken(self, body: bytes) -> bytes:
        """No document: names of members are told by the colon behind them."""
        try:
            text, encoding = body.decode("utf-8"), "utf-8"
        except UnicodeDecodeError:
            text, encoding = body.decode("latin-1"), "latin-1"
        parts, end = [], 0
        for found in _NAMED.finditer(text):
            parts += [self.text(text[end : found.start()]), found[0]]
            end = found.end()
        whole = "".join([*parts, self.text(text[end:])])
        return whole.encode(encoding, "replace")

    def _value(self, value: Any, name: str, depth: int) -> Any:
        if depth > DEEPEST:
            return None
        if isinstance(value, dict):
            return {self._key(k): self._value(v, k, depth + 1) for k, v in value.items()}
        if isinstance(value, list):
            return [self._value(one, name, depth + 1) for one in value]
        if isinstance(value, str):
            return self._string(value, name.lower(), depth)
        if value is None or isinstance(value, bool) or _is_telling_number(value, name.lower()):
            return value
        return 0.5 if isinstance(value, float) else self._number(value)

    def _key(self, name: str) -> str:
        return name if shapes.MEMBER.fullmatch(name) else self.text(name)

    def _number(self, value: int) -> int:
        sign = -1 if value < 0 else 1
        return sign * int(self._token(str(abs(value))))

    def _string(self, value: str, name: str, depth: int) -> str:
        if value.lower() in _TEXTS or _is_telling(value, name):
            return value
        if shapes.IDENTIFIER.fullmatch(value) or shapes.MOMENT.fullmatch(value):
            return value
        inner = self._inner(value, name, depth)
        if inner is not None:
            return inner
        is_path = "/" in value or value.startswith("urn:") or name in shapes.PATHS
        return self._parted(value, keep=is_path)

    def _inner(self, value: str, name: str, depth: int) -> str | None:
        """A document inside a text, as it is, in base 64, or between the dots of a token."""

        def told(text: bytes | str) -> str:
            document = json.loads(text)
            if not isinstance(document, dict | list):
                raise TypeError
            return json.dumps(self._value(document, name, depth + 1), ensure_ascii=False)

        try:
            if value[:1] in {"{", "["}:
                return told(value)
            if value.count(".") == 2 and value.startswith("ey"):  # noqa: PLR2004 - a token's dots
                head, payload, mark = value.split(".")
                inner = told(_opened(payload))
                return f"{head}.{_closed(inner)}.{'A' * len(mark)}"
            if _ENCODED.fullmatch(value):
                return b64encode(told(b64decode(value, validate=True)).encode()).decode()
        except (ValueError, TypeError, RecursionError):
            return None
        return None

    def _parted(self, text: str, *, keep: bool) -> str:
        """Addresses as addresses, hosts as hosts, all else word by word."""
        parts, end = [], 0
        for found in _ADDRESS.finditer(text):
            parts += [self._hosted(text[end : found.start()], keep=keep), self._address(found)]
            end = found.end()
        return "".join([*parts, self._hosted(text[end:], keep=keep)])

    def _address(self, found: re.Match[str]) -> str:
        self.addresses.add(found[0].casefold())
        local = "#EXT#".join(self._words(one, keep=False) for one in found[1].split("#EXT#"))
        return f"{local}@{self._host(found[2])}"

    def _hosted(self, text: str, *, keep: bool) -> str:
        parts, end = [], 0
        for found in _HOST.finditer(text):
            parts += [self._words(text[end : found.start()], keep=keep), "//", self._host(found[1])]
            end = found.end()
        return "".join([*parts, self._words(text[end:], keep=keep)])

    def _host(self, host: str) -> str:
        low = host.casefold().rstrip(".")
        vendor = next((one for one in shapes.VENDORS if f".{low}".endswith(f".{one}")), None)
        if vendor is not None:
            own = low.removesuffix(vendor)
            return self._words(own, keep=True) + vendor
        if low not in self._hosts:
            self._hosts[low] = f"r{len(self._hosts) + 1}.example.com"
        return self._hosts[low]

    def _words(self, text: str, *, keep: bool) -> str:
        prefix = shapes.PREFIX.match(text)
        start = prefix.end() if prefix is not None else 0
        told = _PIECE.sub(lambda found: self._word(found[0], keep=keep), text[start:])
        return text[:start] + "".join(c if c.isascii() or c.isalnum() else "★" for c in told)

    def _word(self, word: str, *, keep: bool) -> str:
        if shapes.UUID.fullmatch(word):
            return self._uuid(word)
        return word if keep and word in WORDS else self._token(word)

    def _token(self, word: str) -> str:
        """The same word is the same word, in whatever case; two words are two words."""
        is_name = word.isalpha()
        known = word.casefold() if is_name else word
        if known not in self._known:
            self._known[known] = self._fresh(known)
        told = self._known[known]
        if not is_name or len(told) != len(word):
            return told
        return "".join(
            new.upper() if old.isupper() else new for new, old in zip(told, word, strict=True)
        )

    def _fresh(self, word: str) -> str:
        told = ""
        for turn in range(_TRIES):
            drawn = self._drawn(f"{turn}:{word}").digest()
            told = "".join(
                _other(old, drawn[place % len(drawn)] + place // len(drawn), is_first=place == 0)
                for place, old in enumerate(word)
            )
            if told not in self._used:
                break
        self._used.add(told)
        return told

    def _uuid(self, value: str) -> str:
        known = f"uuid {value.casefold()}"
        if known not in self._known:
            drawn = self._drawn(known).hexdigest()
            parts = (drawn[:8], drawn[8:12], f"4{drawn[13:16]}", f"8{drawn[17:20]}", drawn[20:32])
            self._known[known] = "-".join(parts)
        return self._known[known]

    def _drawn(self, text: str) -> blake2b:
        return blake2b(text.encode("utf-8", "surrogatepass"), key=self.key)


def _other(old: str, chance: int, *, is_first: bool) -> str:
    """Another one of the same kind and length; a number does not begin with 0."""
    kinds = (string.ascii_lowercase, string.ascii_uppercase, string.digits)
    kind = next((one for one in kinds if old in one), "")
    if not kind:
        kind = shapes.LETTERS.get(len(old.encode("utf-8", "replace")), "★☆")
    if kind is string.digits and is_first and old != "0":
        kind = kind[1:]
    others = kind.replace(old, "")
    return others[chance % len(others)]


def _is_telling(value: str, name: str) -> bool:
    if shapes.CONSTANT.fullmatch(value):
        return True
    if shapes.SNAKE.fullmatch(value) and shapes.PARTS.issuperset(value.split("_")):
        return True
    if name in STATES and value.lower() in STATE_WORDS:
        return True
    return name in TELLING and shapes.TYPE.fullmatch(value) is not None


def _is_telling_number(value: float, name: str) -> bool:
    is_small = isinstance(value, int) and abs(value) < 10  # noqa: PLR2004 - a status, a version
    return is_small or name in TELLING or (name in CLOCKS and shapes.FIRST <= value <= shapes.LAST)


def _opened(part: str) -> bytes:
    return b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)


def _closed(text: str) -> str:
    return b64encode(text.encode(), altchars=b"-_").decode().rstrip("=")
