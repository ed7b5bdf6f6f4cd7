"""`/api`: what applications and operators ask and change over HTTP, one router file per noun."""

from __future__ import annotations

from worker.web.api.front import PREFIX, build_api

__all__ = ["PREFIX", "build_api"]
