"""Python's interpreter lock, as processes want it whose threads do different work.

A worker's pool child drains, sends mails and asks identity providers in threads of its own; a web
process answers in several. A thread that waited for the database has to get the lock back, and one
that computes (mails are written in plain Python) gives it up only when its time is over.
"""

from __future__ import annotations

import sys

#: Python's own is ten times as long: a drain that asks its database fifteen times waited for that
#: each time. `bench replay` shows what it costs those who are live, whose drain shares a process
#: with the mails of what is replayed.
SECONDS = 0.0005


def give_way_often() -> None:
    """Let whoever waits for the lock have it after half a millisecond."""
    sys.setswitchinterval(SECONDS)
