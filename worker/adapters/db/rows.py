"""The tables.

Text ids of users, groups, memberships and addresses begin with their owner's id, so that one
`= ANY(..)` finds a batch of them whatever accounts it spans.
"""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from worker.adapters.db.types import Moment, RowNumber

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

accounts = Table(
    "accounts",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("parent_id", Text),
    Column("allows_several", Boolean, nullable=False),
    Column("created_at", Moment, nullable=False),
)

domains = Table(
    "domains",
    metadata,
    Column("account_id", Text, primary_key=True),
    Column("domain", Text, primary_key=True),
    Column("created_at", Moment, nullable=False),
)

connections = Table(
    "connections",
    metadata,
    Column("id", Text, primary_key=True),
    Column("account_id", Text, nullable=False, index=True),
    Column("name", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("scope_rule", Text, nullable=False),
    Column("scope_keys", Text, nullable=False),
    Column("settings", Text, nullable=False),
    Column("created_at", Moment, nullable=False),
    UniqueConstraint("account_id", "name"),
)

#: `dialect`: of SCIM, the identity provider that speaks, as its requests tell.
feeds = Table(
    "feeds",
    metadata,
    Column("id", Text, primary_key=True),
    Column("connection_id", Text, nullable=False, index=True),
    Column("source", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("last_heard_at", Moment),
    Column("dialect", Text),
)

feed_secrets = Table(
    "feed_secrets",
    metadata,
    Column("id", Text, primary_key=True),
    Column("feed_id", Text, nullable=False, index=True),
    Column("ciphertext", LargeBinary, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("expires_at", Moment),
)

tokens = Table(
    "tokens",
    metadata,
    Column("id", Text, primary_key=True),
    Column("prefix", Text, nullable=False, index=True),
    Column("hash", LargeBinary, nullable=False),
    Column("account_id", Text),
    Column("feed_id", Text),
    Column("name", Text, nullable=False),
    Column("scopes", Text, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("expires_at", Moment),
    Column("last_used_at", Moment),
    Column("revoked_at", Moment),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", RowNumber, primary_key=True),
    Column("feed_id", Text, nullable=False),
    Column("received_at", Moment, nullable=False, index=True),
    Column("credential_id", Text),
    Column("headers", LargeBinary, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("body_digest", LargeBinary, nullable=False),
    Column("is_cut", Boolean, nullable=False),
)

events = Table(
    "events",
    metadata,
    Column("id", RowNumber, primary_key=True),
    Column("account_id", Text, nullable=False),
    Column("connection_id", Text, nullable=False),
    Column("feed_id", Text, nullable=False),
    Column("delivery_id", RowNumber, nullable=False),
    Column("ordinal", Integer, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("content_digest", LargeBinary, nullable=False),
    Column("external_id", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("lane", Text, nullable=False),
    Column("occurred_at", Moment, nullable=False),
    Column("received_at", Moment, nullable=False),
    Column("is_clamped", Boolean, nullable=False),
    Column("state", Text, nullable=False),
    Column("outcome", Text),
    Column("reason", Text),
    Column("due_at", Moment),
    Column("attempts", SmallInteger, nullable=False),
    Column("crashes", SmallInteger, nullable=False),
    Column("waiting_since", Moment),
    Column("ended_at", Moment),
    Column("superseded_by", Text),
    Column("replay_id", Text),
    UniqueConstraint("connection_id", "digest"),
    postgresql_with={"fillfactor": "80"},
)

#: Open = due_at is set (D7). The claim orders by exactly this index.
OPEN = text("due_at IS NOT NULL")
Index(
    "ix_events_open",
    events.c.lane,
    events.c.kind,
    events.c.connection_id,
    events.c.due_at,
    events.c.id,
    postgresql_where=OPEN,
    sqlite_where=OPEN,
)
#: What failed or crashed before is claimed apart, without passing by the clean ones (D6, D8).
TROUBLED = text("due_at IS NOT NULL AND (crashes > 0 OR attempts > 0)")
Index(
    "ix_events_troubled",
    events.c.lane,
    events.c.kind,
    events.c.connection_id,
    events.c.due_at,
    events.c.id,
    postgresql_where=TROUBLED,
    sqlite_where=TROUBLED,
)
Index(
    "ix_events_unended",
    events.c.connection_id,
    events.c.lane,
    events.c.state,
    events.c.received_at,
    postgresql_where=text("state <> 'ended'"),
    sqlite_where=text("state <> 'ended'"),
)
Index("ix_events_subject", events.c.connection_id, events.c.subject, events.c.id)
#: Operators' lists. What goes its way, pending and then applied, is in the first of them only.
Index("ix_events_connection", events.c.connection_id, events.c.id)
for _name, _column, _rare in (
    ("ix_events_stuck", events.c.state, "state <> 'ended' AND state <> 'pending'"),
    ("ix_events_reason", events.c.reason, "reason IS NOT NULL"),
):
    Index(
        _name,
        events.c.connection_id,
        _column,
        events.c.id,
        postgresql_where=text(_rare),
        sqlite_where=text(_rare),
    )
Index("ix_events_delivery", events.c.delivery_id)

attempts = Table(
    "attempts",
    metadata,
    Column("id", RowNumber, primary_key=True),
    Column("event_id", RowNumber, nullable=False, index=True),
    Column("at", Moment, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("reason", Text),
    Column("detail", Text, nullable=False),
    Column("worker", Text, nullable=False),
)

dead_letters = Table(
    "dead_letters",
    metadata,
    Column("id", RowNumber, primary_key=True),
    Column("event_id", RowNumber, unique=True),
    Column("account_id", Text),
    Column("connection_id", Text),
    Column("state", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("fingerprint", Text, nullable=False, index=True),
    Column("first_error", Text, nullable=False),
    Column("last_error", Text, nullable=False),
    Column("first_at", Moment, nullable=False),
    Column("last_at", Moment, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("applied_part", Text),
    Column("note", Text, nullable=False),
    Column("payload", LargeBinary),
)

#: Lists, groups and gauges ask for what is open; what is settled stays (F30).
UNSETTLED = text("state = 'open'")
Index(
    "ix_dead_letters_open",
    dead_letters.c.id,
    postgresql_where=UNSETTLED,
    sqlite_where=UNSETTLED,
)

waits = Table(
    "waits",
    metadata,
    Column("event_id", RowNumber, primary_key=True),
    Column("key", Text, primary_key=True),
    Index("ix_waits_key", "key"),
)

users = Table(
    "users",
    metadata,
    Column("id", Text, primary_key=True),
    Column("account_id", Text, nullable=False),
    Column("connection_id", Text, nullable=False, index=True),
    Column("key", Text, nullable=False),
    Column("facts", LargeBinary, nullable=False),
    Column("person_id", Text),
    Column("pinned", LargeBinary),
    postgresql_with={"fillfactor": "80"},
)

people = Table(
    "people",
    metadata,
    Column("id", Text, primary_key=True),
    Column("account_id", Text, nullable=False),
    Column("email", Text, nullable=False),
    Column("requested", Text, nullable=False),
    Column("pending", Text),
    Column("state", Text, nullable=False),
    Column("connection_id", Text),
    Column("user_key", Text),
    Column("governed_by", Text),
    Column("claim", LargeBinary, nullable=False),
    Column("is_accepted", Boolean, nullable=False),
    Column("has_address", Boolean, nullable=False),
    Column("profile", LargeBinary, nullable=False),
    Column("role", Text, nullable=False),
    Column("is_break_glass", Boolean, nullable=False),
    Column("told", Text),
    Index("ix_people_account", "account_id", "id"),
    postgresql_with={"fillfactor": "80"},
)
Index(
    "ix_people_owners",
    people.c.account_id,
    postgresql_where=text("role = 'owner'"),
    sqlite_where=text("role = 'owner'"),
)
#: Whom provisioning asks for in every batch (U6): few, whatever the account's size.
KEEPS_OPEN = text("(role = 'owner' OR is_break_glass)")
Index(
    "ix_people_keepers",
    people.c.account_id,
    postgresql_where=KEEPS_OPEN,
    sqlite_where=KEEPS_OPEN,
)

#: What is asked for and rare: lists by state, by role and of people by hand (the API's).
for _name, _columns, _rare in (
    ("ix_people_state", ("account_id", "state", "id"), "state <> 'active'"),
    ("ix_people_role", ("account_id", "role", "id"), "role <> 'member'"),
    ("ix_people_by_hand", ("account_id", "id"), "connection_id IS NULL"),
):
    Index(
        _name,
        *(people.c[_column] for _column in _columns),
        postgresql_where=text(_rare),
        sqlite_where=text(_rare),
    )

addresses = Table(
    "addresses",
    metadata,
    Column("id", Text, primary_key=True),
    Column("person_id", Text),
)

groups = Table(
    "groups",
    metadata,
    Column("id", Text, primary_key=True),
    Column("account_id", Text, nullable=False),
    Column("connection_id", Text, nullable=False, index=True),
    Column("key", Text, nullable=False),
    Column("name", Text),
    Column("is_seen", Boolean, nullable=False),
    Column("facts", LargeBinary, nullable=False),
    Column("own_id", Text),
    Column("barred", Text),
)

memberships = Table(
    "memberships",
    metadata,
    Column("id", Text, primary_key=True),
    Column("connection_id", Text, nullable=False),
    Column("group_key", Text, nullable=False),
    Column("user_key", Text, nullable=False),
    Column("stamp", LargeBinary, nullable=False),
    Column("is_member", Boolean, nullable=False),
    Index("ix_memberships_group_user", "connection_id", "group_key", "user_key"),
    Index("ix_memberships_user", "connection_id", "user_key"),
)

links = Table(
    "links",
    metadata,
    Column("id", Text, primary_key=True),
    Column("token_hash", LargeBinary, nullable=False, unique=True),
    Column("account_id", Text, nullable=False),
    Column("person_id", Text, nullable=False, index=True),
    Column("kind", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("expires_at", Moment, nullable=False),
    Column("answered_at", Moment),
)
UNANSWERED = text("state = 'open'")
Index("ix_links_open", links.c.expires_at, postgresql_where=UNANSWERED, sqlite_where=UNANSWERED)

notices = Table(
    "notices",
    metadata,
    Column("id", Text, primary_key=True),
    Column("account_id", Text, nullable=False),
    Column("person_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("link_id", Text, index=True),
    Column("secret", LargeBinary),
    Column("state", Text, nullable=False),
    Column("attempts", SmallInteger, nullable=False),
    Column("fence", Integer, nullable=False),
    Column("due_at", Moment),
    Column("created_at", Moment, nullable=False),
    Column("sent_at", Moment),
    Column("last_error", Text),
    Column("content", LargeBinary),
)
UNSENT = text("state IN ('pending', 'failed')")
Index("ix_notices_unsent", notices.c.state, postgresql_where=UNSENT, sqlite_where=UNSENT)
Index("ix_notices_due", notices.c.due_at, postgresql_where=OPEN, sqlite_where=OPEN)
Index(
    "ix_notices_turns",
    notices.c.account_id,
    notices.c.due_at,
    postgresql_where=OPEN,
    sqlite_where=OPEN,
)

decisions = Table(
    "decisions",
    metadata,
    Column("id", RowNumber, primary_key=True),
    Column("account_id", Text, nullable=False),
    Column("connection_id", Text),
    Column("user_key", Text),
    Column("person_id", Text),
    Column("kind", Text, nullable=False),
    Column("inputs", LargeBinary, nullable=False),
    Column("event_id", RowNumber),
    Column("made_at", Moment, nullable=False),
    Column("made_by", Text, nullable=False),
)
#: The story of one event.
BY_EVENT = text("event_id IS NOT NULL")
Index(
    "ix_decisions_event",
    decisions.c.event_id,
    postgresql_where=BY_EVENT,
    sqlite_where=BY_EVENT,
)

audit = Table(
    "audit",
    metadata,
    Column("id", RowNumber, primary_key=True),
    Column("account_id", Text),
    Column("at", Moment, nullable=False),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("event_id", RowNumber),
    Column("before", LargeBinary),
    Column("after", LargeBinary),
    Column("reason", Text, nullable=False),
    Index("ix_audit_subject", "subject"),
)
Index("ix_audit_event", audit.c.event_id, postgresql_where=BY_EVENT, sqlite_where=BY_EVENT)
#: What people did, which is little beside what events did.
BY_HAND = text("event_id IS NULL")
Index(
    "ix_audit_by_hand",
    audit.c.account_id,
    audit.c.id,
    postgresql_where=BY_HAND,
    sqlite_where=BY_HAND,
)
Index("ix_audit_by_anybody", audit.c.id, postgresql_where=BY_HAND, sqlite_where=BY_HAND)

batch_markers = Table(
    "batch_markers",
    metadata,
    Column("id", Text, primary_key=True),
    Column("worker", Text, nullable=False),
    Column("event_ids", LargeBinary, nullable=False),
    Column("made_at", Moment, nullable=False),
)

workers = Table(
    "workers",
    metadata,
    Column("id", Text, primary_key=True),
    Column("host", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("lanes", Text, nullable=False),
    Column("started_at", Moment, nullable=False),
    Column("seen_at", Moment, nullable=False),
)

receipts = Table(
    "receipts",
    metadata,
    Column("feed_id", Text, primary_key=True),
    Column("result", Text, primary_key=True),
    Column("minute", Moment, primary_key=True),
    Column("count", Integer, nullable=False),
)

marks = Table(
    "marks",
    metadata,
    Column("name", Text, primary_key=True),
    Column("at", Moment, nullable=False),
)
