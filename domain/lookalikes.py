"""Names of hosts that are made to be taken for others: mixed scripts, letters that look Latin."""

from __future__ import annotations

import unicodedata
from itertools import chain

#: Scripts that one word of these languages is written in together (UTS 39, highly restrictive).
_TOGETHER = (
    frozenset({"LATIN", "CJK", "HIRAGANA", "KATAKANA"}),
    frozenset({"LATIN", "CJK", "BOPOMOFO"}),
    frozenset({"LATIN", "CJK", "HANGUL"}),
)
#: Small letters that a reader takes for the Latin ones below them.
_LOOKS = dict(
    chain(
        zip("аеорсухіјѕԁԛԝһӏьвкмнт", "aeopcyxijsdqwhlbbkmht", strict=True),
        zip("αορνιτκυχγ", "aopvitkuxy", strict=True),
    )
)


def suspicion(host: str) -> str | None:
    """Why a host, in its own letters, may be meant to be misread; None if nothing is odd."""
    for label in host.split("."):
        scripts = _scripts(label)
        if len(scripts) > 1 and not any(scripts <= allowed for allowed in _TOGETHER):
            named = " and ".join(sorted(name.capitalize() for name in scripts))
            return f"{label} mixes letters of {named}"
        if not label.isascii() and all(c.isascii() or c in _LOOKS for c in label):
            latin = "".join(_LOOKS.get(c, c) for c in label)
            return f"{label} looks like {latin}, and is not in Latin letters"
    return None


def _scripts(label: str) -> set[str]:
    """The first word of a letter's Unicode name is its script, for all that hosts are made of."""
    return {unicodedata.name(c, "UNNAMED").split()[0] for c in label if c.isalpha()}
