"""What operators set up, in one transaction."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, select

from domain.intake import FeedView
from domain.ports import SigningSecret
from worker.adapters.db import rows
from worker.adapters.db.directory_accesses import DirectoryAccessSetup
from worker.adapters.db.engine import Database, translated
from worker.adapters.db.observing_setup import ObservingSetup
from worker.adapters.db.setup_accounts import AccountSetup
from worker.adapters.db.setup_addresses import AddressSetup
from worker.adapters.db.setup_endpoints import EndpointSetup
from worker.adapters.db.setup_lists import ListSetup
from worker.adapters.db.setup_part import LINK_SECONDS
from worker.adapters.db.setup_settings import SettingSetup
from worker.adapters.db.setup_tokens import TokenSetup
from worker.adapters.db.setup_waiting import WaitingSetup
from worker.adapters.db.taking_over import TakeOverSetup
from worker.adapters.db.templates import TemplateSetup
from worker.adapters.db.uow import database_now
from worker.adapters.vault import Vault


class SQLSetup(
    DirectoryAccessSetup,
    AccountSetup,
    TakeOverSetup,
    EndpointSetup,
    AddressSetup,
    ListSetup,
    ObservingSetup,
    SettingSetup,
    TemplateSetup,
    TokenSetup,
    WaitingSetup,
):
    """All that operators set up, each change with its audit row."""


@contextmanager
def setting_up(
    database: Database, vault: Vault, *, actor: str, link_seconds: float = LINK_SECONDS
) -> Iterator[SQLSetup]:
    """Set-up in one transaction, committed at the end unless something was raised."""
    with translated(), database.begin() as connection:
        yield SQLSetup(connection, vault, actor=actor, link_seconds=link_seconds)
        connection.commit()


def feed_view(connection: Connection, vault: Vault, feed: str) -> FeedView | None:
    """What ingest needs of a feed, its live secrets opened; None if there is no such feed."""
    feeds, connections, secrets = rows.feeds, rows.connections, rows.feed_secrets
    found = connection.execute(
        select(
            feeds.c.source,
            feeds.c.state,
            connections.c.id,
            connections.c.account_id,
            connections.c.state.label("connection_state"),
        )
        .join(connections, connections.c.id == feeds.c.connection_id)
        .where(feeds.c.id == feed)
    ).first()
    if found is None or found.state == "retired" or found.connection_state == "retired":
        return None
    now = database_now(connection)
    live = connection.execute(
        select(secrets.c.id, secrets.c.ciphertext)
        .where(secrets.c.feed_id == feed)
        .where(secrets.c.expires_at.is_(None) | (secrets.c.expires_at > now))
        .order_by(secrets.c.created_at.desc())
    )
    return FeedView(
        id=feed,
        connection=found.id,
        account=found.account_id,
        source=found.source,
        is_held=found.connection_state != "active" or found.state != "active",
        secrets=tuple(SigningSecret(row.id, vault.open(row.ciphertext).decode()) for row in live),
    )
