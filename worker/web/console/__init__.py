"""The operators' page: read-only, behind a one-time link, alive by server-sent events."""

from __future__ import annotations

from worker.web.console.views import routes

__all__ = ["routes"]
