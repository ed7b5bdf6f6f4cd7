"""What is printed: when, on whose word, which rule, what came of it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

from tests.servers import await_true


class Timeline:
    """Lines with the seconds since the beginning, and how long each effect took."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self.rules: set[str] = set()

    def chapter(self, title: str) -> None:
        """A heading."""
        sys.stdout.write(f"\n{title}\n")

    def so(self, rules: str, what: str, check: Callable[[], Any], *, seconds: float = 30) -> Any:
        """Wait for what a rule promises, and print how long it took; what the check found."""
        asked = time.monotonic()
        found = await_true(check, seconds=seconds, name=what)
        now = time.monotonic()
        self.rules |= set(rules.split())
        took = (now - asked) * 1000
        sys.stdout.write(f"{now - self._began:7.2f} s  {took:6.0f} ms  {rules:<10} {what}\n")
        sys.stdout.flush()
        return found
