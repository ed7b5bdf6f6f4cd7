"""Writes of one connection that come at once: made together, each answered by itself."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from domain.ports import InfrastructureError
from domain.resources import Answer, Ask, Composed, ResourceKind, Speaker
from worker.services.writing import Apart, Told
from worker.web.scim.together import Together

SPEAKER = Speaker("tok", frozenset(), "acc", "con", "fee", "active")


def ask(path: str) -> Ask:
    return Ask(
        speaker=SPEAKER,
        kind=ResourceKind.USER,
        method="PATCH",
        path=path,
        told={},
        compose=lambda _before: Composed({}, lambda _key: ()),
        describe=lambda _document, _key: (),
    )


class Recording:
    """A use case that answers with the path as detail; the first batch waits to be let go."""

    def __init__(self, tell: Callable[[str], Told | None] = lambda _path: None) -> None:
        self.batches: list[list[str]] = []
        self.alone: list[str] = []
        self.has_begun, self.may_end = threading.Event(), threading.Event()
        self._tell = tell

    def write(self, one: Ask) -> Answer:
        self.alone.append(one.path)
        return Answer(detail=f"{one.path} alone")

    def write_all(self, asks: Sequence[Ask]) -> list[Told]:
        self.batches.append([one.path for one in asks])
        self.has_begun.set()
        assert self.may_end.wait(5)
        return [self._tell(one.path) or Answer(detail=one.path) for one in asks]


def told(use: Recording, *paths: str) -> list[Future[Any]]:
    """The first path's batch is at work while the others come."""
    together = Together(lambda: use)  # type: ignore[arg-type,return-value]
    with ThreadPoolExecutor(len(paths)) as threads:
        first = threads.submit(together.write, ask(paths[0]))
        assert use.has_begun.wait(5)
        others = []
        for number, path in enumerate(paths[1:], 1):
            others.append(threads.submit(together.write, ask(path)))
            deadline = time.monotonic() + 5
            while len(together._waiting["con"]) < number and time.monotonic() < deadline:
                time.sleep(0.001)
        use.may_end.set()
    assert not together._waiting, "nobody leads once nothing waits"
    return [first, *others]


def test_what_waits_is_made_in_one_batch_and_nobody_waits_for_company() -> None:
    use = Recording()
    answers = [one.result().detail for one in told(use, "a", "b", "c", "d")]
    assert answers == ["a", "b", "c", "d"]
    assert use.batches == [["a"], ["b", "c", "d"]]


def test_who_is_left_out_is_first_in_the_next_batch() -> None:
    seen: set[str] = set()

    def second_time(path: str) -> Told | None:
        is_first = path in ("b", "c") and path not in seen
        seen.add(path)
        return Apart.NEXT if is_first else None

    use = Recording(second_time)
    answers = [one.result().detail for one in told(use, "a", "b", "c", "d")]
    assert answers == ["a", "b", "c", "d"]
    assert use.batches == [["a"], ["b", "c", "d"], ["b", "c"]]


def test_what_cannot_be_made_with_others_is_made_alone() -> None:
    use = Recording(lambda path: Apart.ALONE if path == "c" else None)
    answers = [one.result().detail for one in told(use, "a", "b", "c")]
    assert answers == ["a", "b", "c alone"]
    assert use.alone == ["c"]


def test_an_exception_is_whose_it_is() -> None:
    use = Recording(lambda path: ValueError(path) if path == "b" else None)
    first, second, third = told(use, "a", "b", "c")
    assert (first.result().detail, third.result().detail) == ("a", "c")
    with pytest.raises(ValueError, match="b"):
        second.result()


def test_what_breaks_a_batch_is_found_by_making_each_alone() -> None:
    use = Recording()
    all_of_them = use.write_all

    def breaks(asks: Sequence[Ask]) -> list[Told]:
        if len(asks) > 1:
            raise InfrastructureError("met", is_conflict=True)
        return all_of_them(asks)

    use.write_all = breaks  # type: ignore[method-assign]
    answers = [one.result().detail for one in told(use, "a", "b", "c")]
    assert answers == ["a", "b alone", "c alone"]
