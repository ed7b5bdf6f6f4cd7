"""Alembic's entry: runs on the connection that `worker.adapters.db.migrate` hands over."""

from __future__ import annotations

from alembic import context

from worker.adapters.db.rows import metadata


def run() -> None:
    """Apply the steps asked for, each in the caller's transaction."""
    context.configure(
        connection=context.config.attributes["connection"],
        target_metadata=metadata,
        render_as_batch=True,
        compare_type=True,
    )
    context.run_migrations()


run()
