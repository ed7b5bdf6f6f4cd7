"""Whatever is installed with rosterd may be given on with it: licences by name, none unknown."""

from __future__ import annotations

import re
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
#: Each permits use and passing on under its own terms; LGPL: linked, not changed.
ALLOWED = re.compile(
    r"apache|bsd|mit\b|isc\b|psf|python software|mozilla|mpl|lgpl|lesser general|"
    r"unlicense|zlib|0bsd|public domain",
    re.IGNORECASE,
)
REFUSED = re.compile(r"affero|agpl|(?<!l)gpl|business source|sspl|elastic", re.IGNORECASE)


def pinned() -> list[str]:
    """Names of the packages that rosterd needs to run, on this platform."""
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    return re.findall(r"^([a-z0-9._-]+)==[^\s;]+(?: \\)?$", text, re.MULTILINE)


def licence(name: str) -> str:
    """What a package says of itself: expression, classifiers, or the first line of its text."""
    told: Any = distribution(name).metadata
    classifiers = [c for c in told.get_all("Classifier") or [] if c.startswith("License ::")]
    if told["License-Expression"] or classifiers:
        return "; ".join([told["License-Expression"] or "", *classifiers])
    return (told["License"] or "").strip().partition("\n")[0]


def test_every_package_has_a_licence_that_lets_us_pass_it_on() -> None:
    names = pinned()
    assert len(names) > 20
    found = {name: licence(name) for name in names}
    wrong = {
        name: text
        for name, text in found.items()
        if not ALLOWED.search(text) or REFUSED.search(text.replace("LGPL", ""))
    }
    assert wrong == {}
