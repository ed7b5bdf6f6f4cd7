"""Accounts take turns in being mailed (G7): thousands of one delay nobody else's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.consequences import NoticeKind
from tests.harness import Rosterd
from worker.adapters.db import bulk, rows
from worker.adapters.db.notice_turns import AT_ONCE
from worker.adapters.db.notices import SQLOutbox

HOUR = timedelta(hours=1)


def waiting(rosterd: Rosterd, counts: Mapping[str, int], *, later: int = 0) -> None:
    """So many mails of each account, and some of each that are not due yet."""
    table = rows.notices
    shape = {
        "person_id": "",
        "kind": NoticeKind.INVITATION.value,
        "address": "eve@example.com",
        "state": "pending",
        "attempts": 0,
        "fence": 0,
        "created_at": rosterd.at(0),
    }
    found = [
        {**shape, "id": f"{account}-{n}", "account_id": account, "due_at": rosterd.at(n - 9_999)}
        for account, count in counts.items()
        for n in range(count)
    ]
    found += [
        {**shape, "id": f"{account}-later-{n}", "account_id": account, "due_at": rosterd.at(99_999)}
        for account in counts
        for n in range(later)
    ]
    with rosterd.parts.database.begin() as connection:
        connection.execute(table.delete())
        bulk.insert(connection, table, found)
        connection.commit()


def test_g7_one_mail_of_an_account_does_not_wait_for_thousands_of_another(
    rosterd: Rosterd,
) -> None:
    waiting(rosterd, {"acme": 300, "globex": 2, "": 1})
    box = SQLOutbox(rosterd.parts.database, rosterd.parts.vault)
    first = [notice.account_id for notice in box.claim(limit=20, lease=HOUR)]
    assert Counter(first) == {"acme": 10, "globex": 2, "": 1}


def test_an_account_that_comes_late_is_next(rosterd: Rosterd) -> None:
    """Each turn goes on after the account that was served last, and begins anew."""
    everybody = {f"a{number:02}": 50 for number in range(AT_ONCE + 5)}
    waiting(rosterd, everybody)
    box = SQLOutbox(rosterd.parts.database, rosterd.parts.vault)
    turns = [{one.account_id for one in box.claim(limit=10, lease=HOUR)} for _ in range(3)]
    assert set().union(*turns) == set(everybody)


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    counts=st.dictionaries(st.sampled_from(["", "a", "b", "c", "d"]), st.integers(0, 40)),
    limit=st.integers(1, 30),
    senders=st.integers(1, 3),
)
def test_each_mail_is_claimed_once_and_nobody_is_left_out(
    rosterd: Rosterd, counts: dict[str, int], limit: int, senders: int
) -> None:
    waiting(rosterd, counts, later=2)
    boxes = [SQLOutbox(rosterd.parts.database, rosterd.parts.vault) for _ in range(senders)]
    left, claimed = Counter(counts), []
    for turn in range(sum(counts.values()) + 1):
        taken = boxes[turn % senders].claim(limit=limit, lease=HOUR)
        assert min(left.total(), 1) <= len(taken) <= limit
        got = Counter(notice.account_id for notice in taken)
        hungry = [account for account, count in left.items() if count]
        if len(hungry) <= limit and taken:
            assert set(got) == set(hungry), "each account that waits has a share"
        left -= got
        claimed += [notice.id for notice in taken]
        if not taken:
            break
    assert sorted(claimed) == sorted(
        f"{a}-{n}" for a, count in counts.items() for n in range(count)
    )
