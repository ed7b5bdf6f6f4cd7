"""Tasks about people."""

from __future__ import annotations

from celery import Celery

from domain.inbox import Kind
from worker.tasks.base import drain, register


def register_all(app: Celery) -> None:
    """users.create, users.update, users.suspend, users.reactivate, users.change_email."""
    for kind in (
        Kind.USERS_CREATE,
        Kind.USERS_UPDATE,
        Kind.USERS_SUSPEND,
        Kind.USERS_REACTIVATE,
        Kind.USERS_CHANGE_EMAIL,
    ):
        register(app, kind.value, drain(kind))
