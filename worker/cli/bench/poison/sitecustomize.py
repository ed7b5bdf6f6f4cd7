"""Put on PYTHONPATH by `bench isolation`: reading any event of one type breaks its whole batch.

From outside, because no request is known that does it: a batch that breaks is a bug (D8).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from worker.adapters.sources.standard import StandardSource

POISON = "user.exploded"


def _exploding(parse: Callable[..., Any]) -> Callable[..., Any]:
    def parse_or_explode(source: StandardSource, document: Any, index: int) -> Any:
        if document.get("type") == POISON:
            raise RuntimeError("this event breaks whoever reads it")
        return parse(source, document, index)

    return parse_or_explode


StandardSource.parse = _exploding(StandardSource.parse)  # type: ignore[method-assign]
