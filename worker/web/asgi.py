"""Shim for any ASGI server: `granian --interface asgi worker.web.asgi:app`."""

from __future__ import annotations

from worker.adapters.collector import collect_rarely
from worker.bootstrap import build
from worker.web.app import build_web

app = build_web(build())
collect_rarely()
