"""Shim for `celery -A worker.tasks.app worker`: the app with every task registered."""

from __future__ import annotations

from worker.tasks.build import build_app

app = build_app()
