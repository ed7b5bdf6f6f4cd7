"""Whatever goes wrong while a directory is read, nobody who is there is put out (S3, D18)."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from domain.directories import DirectoryError
from domain.reconciliation import Order, Purpose
from tests.exploring import patient
from tests.fakes.directory import Truth, TruthDirectory
from tests.harness import Feed, Rosterd
from worker.adapters.db.reconciliation_rows import reconciliations

EXAMPLES = 12
FAULTS = ("error", "hire", "leave", "hide", "show", "shrink")


def _run(rosterd: Rosterd, feed: Feed, truth: Truth) -> None:
    """To its end, by workers who never wait."""
    reading = replace(rosterd.parts.reading, directory_of=lambda _id: TruthDirectory(truth))
    order = Order(Purpose.RECONCILE, applies=True, actor="test", reason="x")
    run = reading.reconcile.begin(feed.connection, order)
    for _ in range(400):
        held = reading.runs.take(run)
        if held is not None:
            reading.reconcile.step(held)
        elif rosterd.table(reconciliations, reconciliations.c.id == run)[0]["state"] != "running":
            return
        with rosterd.parts.database.begin() as sql:
            ready = {"due_at": rosterd.now(), "lease_until": None}
            sql.execute(reconciliations.update().values(**ready))
            sql.commit()
    raise AssertionError("the run does not end")


def test_s3_d18_nobody_is_put_out_by_an_incomplete_read(sqlite_url: str, tmp_path: Path) -> None:
    rosterd = Rosterd(sqlite_url, tmp_path)
    numbers = itertools.count()

    @patient(EXAMPLES)
    @given(data=st.data())
    def explore(data: st.DataObject) -> None:
        number = next(numbers)
        feed = rosterd.connect("acme", name=f"c{number}")
        keys = [f"{number}-{letter}" for letter in "abcde"]
        truth = Truth(page=data.draw(st.integers(1, 3)), counts=data.draw(st.booleans()))
        for key in keys:
            rosterd.tell(feed, "user.upserted", {"id": key, "email": f"u{key}@example.com"})
            truth.hire(key, f"u{key}@example.com")
        rosterd.tell(feed, "group.upserted", {"id": "g", "name": f"Group {number}"})
        truth.group_of("g", f"Group {number}", *keys)
        faults = data.draw(
            st.dictionaries(
                st.integers(0, 12), st.tuples(st.sampled_from(FAULTS), st.sampled_from(keys))
            )
        )
        gone: set[str] = set()
        calls = itertools.count()

        def between(_what: str) -> None:
            fault, key = faults.get(next(calls), ("", ""))
            if fault == "error":
                raise DirectoryError("it answered 503")
            if fault == "hire":
                truth.hire(f"{key}+", f"u{key}+@example.com")
            elif fault == "leave":
                gone.add(key)
                truth.people.pop(key, None)
                truth.members["g"].discard(key)
            elif fault == "hide":
                truth.hidden.add(key)
            elif fault == "show":
                truth.hidden.discard(key)
            elif fault == "shrink":
                truth.page = 1

        truth.between = between
        _run(rosterd, feed, truth)
        rosterd.drain()
        states = {one["external_id"]: one["state"] for one in rosterd.users()}
        assert {key: states[key] for key in keys if key not in gone} == {
            key: "invited" for key in keys if key not in gone
        }
        truth.between, truth.hidden = lambda _what: None, set()
        _run(rosterd, feed, truth)
        rosterd.drain()
        states = {one["external_id"]: one["state"] for one in rosterd.users()}
        assert {states[key] for key in gone} <= {"invited_suspended"}

    with rosterd.serving():
        with rosterd.setup() as use:
            rosterd.account_id = use.add_account(
                "acme", owner=None, domains=["example.com"], parent=None, several=True
            )
        explore()
    rosterd.close()
