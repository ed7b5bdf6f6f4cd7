"""Logs: a static event name plus fields; people's data never reaches a line."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any

import structlog

#: Fields whose values tell of people, or let somebody in.
PRIVATE = re.compile(
    r"(^|_)(email|address|name|given_name|family_name|display_name|body|secret|token|password|"
    r"authorization|cookie)$"
)
#: PostgreSQL quotes there the row that it refuses.
QUOTED_ROW = re.compile(r"DETAIL: .*")
ADDRESS = re.compile(r"[^\s@\"'<>]+@[^\s@\"'<>]+")
REDACTED = "[redacted]"


def redact(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    """Replace values of private fields, addresses and quoted rows inside any other text."""
    for key, value in event.items():
        if key == "event":
            continue
        if PRIVATE.search(key):
            event[key] = REDACTED
        elif isinstance(value, str):
            event[key] = _redacted(value)
    return event


def _redacted(text: str) -> str:
    if "DETAIL:" in text:
        text = QUOTED_ROW.sub(f"DETAIL: {REDACTED}", text)
    return ADDRESS.sub(REDACTED, text) if "@" in text else text


def configure_logs(*, level: str, format_: str) -> None:
    """One formatter for our lines and everybody else's, on standard error."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        redact,
    ]
    is_json = format_ == "json" or (format_ == "auto" and not sys.stderr.isatty())
    renderer: Any = (
        structlog.processors.JSONRenderer() if is_json else structlog.dev.ConsoleRenderer()
    )
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processor=renderer)
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in ("alembic", "granian", "_granian", "amqp", "kombu", "celery"):
        logging.getLogger(name).setLevel(logging.WARNING)
