"""The life of an event as data: kinds, lanes, states, outcomes, reasons, allowed transitions."""

from __future__ import annotations

from enum import StrEnum


class Lane(StrEnum):
    """Priority class of an event."""

    URGENT = "urgent"
    STANDARD = "standard"
    BULK = "bulk"


class Kind(StrEnum):
    """The most urgent thing in an event; also the name of the Celery task that applies it."""

    USERS_CREATE = "users.create"
    USERS_UPDATE = "users.update"
    USERS_SUSPEND = "users.suspend"
    USERS_REACTIVATE = "users.reactivate"
    USERS_CHANGE_EMAIL = "users.change_email"
    GROUPS_UPSERT = "groups.upsert"
    GROUPS_DELETE = "groups.delete"
    GROUPS_ADD_MEMBERS = "groups.add_members"
    GROUPS_REMOVE_MEMBERS = "groups.remove_members"
    SORT = "events.sort"
    #: Says too little, and may be a suspension: sent to be read before all others.
    HYDRATE = "events.hydrate"


#: The largest batch of the urgent lane: whoever comes next waits for the end of one (G5, G7).
URGENT_BATCH = 100
#: The largest batch of the bulk lane: what is live is looked for between two of them.
BULK_BATCH = 100
#: Where several connections have something urgent, so many events of each are a batch: one of
#: them may have thousands, and the others are not to wait for more of those.
QUIET_SHARE = 25
#: The same of what is live and not urgent.
LIVE_SHARE = 100

URGENT_KINDS = frozenset(
    {Kind.USERS_SUSPEND, Kind.GROUPS_REMOVE_MEMBERS, Kind.GROUPS_DELETE, Kind.HYDRATE}
)


def lane_of(kind: Kind) -> Lane:
    """The lane in which a live event of this kind waits (G5, D10)."""
    return Lane.URGENT if kind in URGENT_KINDS else Lane.STANDARD


class State(StrEnum):
    """Where an event is. Open states are worked on; `held` and `dead` wait for a person."""

    PENDING = "pending"
    RETRYING = "retrying"
    WAITING = "waiting"
    HELD = "held"
    DEAD = "dead"
    ENDED = "ended"


OPEN_STATES = frozenset({State.PENDING, State.RETRYING, State.WAITING})

TRANSITIONS: dict[State, frozenset[State]] = {
    State.PENDING: frozenset(State) - {State.PENDING},
    State.RETRYING: frozenset(State) - {State.PENDING},
    State.WAITING: frozenset(State) - {State.PENDING},
    State.HELD: frozenset({State.PENDING, State.ENDED}),
    State.DEAD: frozenset({State.PENDING, State.ENDED}),
    State.ENDED: frozenset({State.PENDING, State.DEAD}),
}


def may_become(now: State, then: State) -> bool:
    """Whether an event may go from one state to the other (staying is always allowed)."""
    return now is then or then in TRANSITIONS[now]


class Outcome(StrEnum):
    """How an event ended; earlier outcomes stay as attempts (D15)."""

    APPLIED = "applied"
    UNCHANGED = "unchanged"
    SUPERSEDED = "superseded"
    IGNORED = "ignored"
    DEAD = "dead"
    DISCARDED = "discarded"


class Reason(StrEnum):
    """Why an event waits, was ignored or died."""

    # ignored
    OUT_OF_SCOPE = "out_of_scope"
    GUEST = "guest"
    UNKNOWN_TYPE = "unknown_type"
    NO_DIRECTORY_CHANGE = "no_directory_change"
    RETIRED = "retired"
    # held
    BREAKER = "breaker"
    OBSERVING = "observing"
    PAUSED = "paused"
    # waiting
    NOT_SEEN = "not_seen"
    ADDRESS_TAKEN = "address_taken"
    READING = "reading"
    # dead
    UNPARSEABLE = "unparseable"
    CONFLICT = "conflict"
    TOO_OLD = "too_old"
    DOMAIN_NOT_ALLOWED = "domain_not_allowed"
    OWNED_ELSEWHERE = "owned_elsewhere"
    PROTECTED_USER = "protected_user"
    PROTECTED_GROUP = "protected_group"
    GROUP_EXISTS = "group_exists"
    ERROR = "error"
    WORKER_LOST = "worker_lost"
    FOREIGN_MESSAGE = "foreign_message"
    NEEDS_READING = "needs_reading"
    NO_ADDRESS = "no_address"
