"""Text of strangers, as it may be shown: one line, no hidden characters, no borrowed direction.

Names come from identity providers and end in mails and on pages that people trust. What is left
of them can add no header, turn no text around, and pass for no other name or address.
"""

from __future__ import annotations

import re
import unicodedata

from domain.lookalikes import suspicion

#: Longest name that is used to address somebody.
LONGEST_NAME = 64
#: First-strong isolate and its end: what stands between them turns nothing outside (UAX 9).
_ISOLATE, _END = "\u2068", "\u2069"
_RIGHT_TO_LEFT = frozenset({"R", "AL", "AN"})
#: Controls, format characters (bidi, joiners, tags), surrogates, private use, not assigned,
#: line and paragraph separators.
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
#: Scripts of which letters look alike. More than one of them in a name is a name in disguise.
_ALIKE = frozenset({"LATIN", "CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE", "COPTIC", "LISU"})
#: What joins letters or keeps them apart in names of many languages, and hides nothing.
JOINERS = "\u200c\u200d"
_NAME_SIGNS = frozenset(" '\u2019\u2018`.,-\u2010\u00b7\u30fb()")
#: Mail programs make a link of it.
_DOMAIN_LIKE = re.compile(r"\.\w\w")
_PILED_MARKS = 3


_ADDRESS = re.compile(r"[^\s<>\"'(),;:]+(?=@[^\s@])")


def without_addresses(text: str) -> str:
    """A text in which addresses say no more than where they are: `…@example.com`."""
    return _ADDRESS.sub("…", text)


def one_line(text: str, *, limit: int = 200) -> str:
    """A single line without hidden characters, shortened with an ellipsis to at most `limit`."""
    seen = "".join(c if unicodedata.category(c) not in _HIDDEN else _gap(c) for c in text)
    line = " ".join(seen.split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def has_hidden(text: str, *, allowed: str = "") -> bool:
    """Whether line ends, controls, or characters that cannot be seen are in it."""
    return any(unicodedata.category(c) in _HIDDEN and c not in allowed for c in text)


def with_escapes(text: str, *, allowed: str = "\n\t") -> str:
    """The text with everything in it that cannot be seen written out, as JSON writes it.

    A terminal obeys control characters, and a right-to-left override turns the rest of a line.
    """
    if text.isprintable():
        return text
    return "".join(
        _escape(c) if unicodedata.category(c) in _HIDDEN and c not in allowed else c for c in text
    )


def _escape(char: str) -> str:
    pair = char.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{pair[at : at + 4]}" for at in range(0, len(pair), 4))


def _gap(char: str) -> str:
    """Line ends and tabs part words; what is invisible leaves nothing."""
    return " " if char.isspace() or unicodedata.category(char) in ("Zl", "Zp") else ""


def isolated(line: str) -> str:
    """The line between isolates where anything in it is written from right to left."""
    if any(unicodedata.bidirectional(char) in _RIGHT_TO_LEFT for char in line):
        return f"{_ISOLATE}{line}{_END}"
    return line


def plain_name(text: str) -> str:
    """A person's name to address them with; "" for what is no plain name.

    No name: more than 64 characters, signs that names do not have, something that reads as a
    domain, letters of two scripts that look alike, or marks piled on each other.
    """
    name = one_line(unicodedata.normalize("NFKC", text), limit=LONGEST_NAME + 1)
    is_plain = (
        0 < len(name) <= LONGEST_NAME
        and all(_is_of_names(char) for char in name)
        and any(unicodedata.category(char)[0] == "L" for char in name)
        and not _DOMAIN_LIKE.search(name)
        and not any(is_disguised(word) for word in name.split())
        and not _is_piled(name)
    )
    return name if is_plain else ""


def is_disguised(word: str) -> bool:
    """Whether letters of scripts that look alike stand in one word."""
    scripts = {unicodedata.name(char, "?").split()[0] for char in word if char.isalpha()}
    return len(scripts & _ALIKE) > 1


def shown_address(address: str) -> str:
    """An address as it may be shown: a domain in disguise in its ASCII form, the rest as it is."""
    local, _, domain = one_line(address, limit=320).rpartition("@")
    return f"{local}@{ascii_domain(domain) if suspicion(domain) else domain}"


def ascii_label(label: str) -> str:
    """One label of a domain in the form that is looked up (RFC 5891: lower case, NFC, Punycode)."""
    if label.isascii():
        return label
    text = unicodedata.normalize("NFC", label.lower())
    return text if text.isascii() else "xn--" + text.encode("punycode").decode("ascii")


def ascii_domain(domain: str) -> str:
    """A whole domain in ASCII; dots of other scripts part labels, too."""
    return ".".join(ascii_label(label) for label in re.split(r"[.\u3002\uff0e\uff61]", domain))


def _is_of_names(char: str) -> bool:
    return char in _NAME_SIGNS or unicodedata.category(char)[0] in "LM" or char.isdecimal()


def _is_piled(name: str) -> bool:
    count = 0
    for char in unicodedata.normalize("NFD", name):
        count = count + 1 if unicodedata.category(char) == "Mn" else 0
        if count > _PILED_MARKS:
            return True
    return False
