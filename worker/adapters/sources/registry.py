"""Every source that a feed can have, by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from domain.ports import Source
from worker.adapters.sources.okta import OktaSource
from worker.adapters.sources.standard import StandardSource
from worker.adapters.sources.workos import WorkosSource

SOURCES: Mapping[str, Source] = MappingProxyType(
    {
        "okta": OktaSource(),
        "standard": StandardSource(),
        "workos": WorkosSource(),
    }
)


def source_named(name: str) -> Source:
    """The source of that name; LookupError names the known ones."""
    try:
        return SOURCES[name]
    except KeyError:
        known = ", ".join(sorted(SOURCES))
        raise LookupError(f"no source {name!r}; known: {known}") from None
