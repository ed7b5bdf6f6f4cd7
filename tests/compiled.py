"""Statements compiled once a test process instead of once a test.

Each rosterd of a test has engines of its own, and an engine compiles each statement that it has not
seen; a process that serves for weeks compiles it once. Where SQLAlchemy keeps what it compiled is
part of the engine, and the key bears its dialect: both are handed on here.
"""

from __future__ import annotations

from typing import Any
from unittest import mock

from sqlalchemy import Engine, create_engine, event, util
from sqlalchemy.engine import URL, Dialect

from worker.adapters.db import engine as engines

#: More than rosterd has statements: nothing is thrown out.
_MOST = 5_000
_Kept = tuple[Dialect, Any]
_kept: dict[tuple[str, str | None, int | None], _Kept] = {}


def sharing() -> Any:
    """A patch under which engines for the same server share what they compiled."""
    return mock.patch.object(engines, "create_engine", _create)


def apart() -> Any:
    """A patch under which engines share nothing, for tests that break what is inside of them."""
    return mock.patch.object(engines, "create_engine", create_engine)


def _create(url: URL, **options: Any) -> Engine:
    engine = create_engine(url, **options)
    server = url.get_backend_name(), url.host, url.port
    if server in _kept:
        engine.dialect, engine._compiled_cache = _kept[server]
        return engine

    @event.listens_for(engine, "connect")
    def _keep(_raw: Any, _record: Any) -> None:
        # Only now has the dialect asked the server what it can do.
        _kept.setdefault(server, (engine.dialect, util.LRUCache(_MOST)))

    return engine
