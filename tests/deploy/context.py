"""What `docker build` sends to the builder: the checkout, less what .dockerignore holds back."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
_PARTS = {"**/": "(?:[^/]+/)*", "**": ".*", "*": "[^/]*", "?": "[^/]"}


def let_through(root: Path = ROOT) -> Iterator[str]:
    """Files of the build context, as paths from its root."""
    rules = list(_rules((root / ".dockerignore").read_text(encoding="utf-8")))
    wanted = {rule.partition("/")[0] for _, is_let_in, rule in rules if is_let_in}
    for entry in sorted(root.iterdir()):
        if entry.name not in wanted and _is_held_back(entry.name, rules):
            continue
        for path in [entry] if entry.is_file() else _files(entry):
            name = path.relative_to(root).as_posix()
            if not _is_held_back(name, rules):
                yield name


def _files(folder: Path) -> Iterator[Path]:
    for place, _, names in os.walk(folder):
        yield from (Path(place, name) for name in sorted(names))


def _rules(text: str) -> Iterator[tuple[re.Pattern[str], bool, str]]:
    """For each line: what it matches, whether it lets in, and the line itself."""
    for line in text.splitlines():
        if line.strip() and not line.startswith("#"):
            rule = line.strip().removeprefix("!").strip("/")
            words = re.split(r"(\*\*/|\*\*|\*|\?)", rule)
            pattern = "".join(_PARTS.get(word, re.escape(word)) for word in words)
            # A folder stands for all that is in it.
            yield re.compile(f"{pattern}(?:/.*)?"), line.startswith("!"), rule


def _is_held_back(name: str, rules: list[tuple[re.Pattern[str], bool, str]]) -> bool:
    """The last line that matches has the word."""
    said = [not is_let_in for pattern, is_let_in, _ in rules if pattern.fullmatch(name)]
    return said[-1] if said else False
