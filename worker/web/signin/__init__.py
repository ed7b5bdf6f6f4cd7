"""Signing in: links, passwords, sessions, and whose request a cookie makes it."""

from __future__ import annotations

from worker.web.signin.pages import routes
from worker.web.signin.refusals import REFUSALS

__all__ = ["REFUSALS", "routes"]
