"""Tasks about groups and memberships."""

from __future__ import annotations

from celery import Celery

from domain.inbox import Kind
from worker.tasks.base import drain, register


def register_all(app: Celery) -> None:
    """groups.upsert, groups.delete, groups.add_members, groups.remove_members."""
    for kind in (
        Kind.GROUPS_UPSERT,
        Kind.GROUPS_DELETE,
        Kind.GROUPS_ADD_MEMBERS,
        Kind.GROUPS_REMOVE_MEMBERS,
    ):
        register(app, kind.value, drain(kind))
