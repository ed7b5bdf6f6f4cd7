"""What the suite leaves out and in what order it runs, on a suite of a dozen tests."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from tests.databases import left_out
from tests.order import SECONDS, arranged

TESTS = Path(__file__).parents[1]
HAPPY = """
    import pytest

    @pytest.fixture(params=["sqlite", "postgres"])
    def database_url(request):
        return request.param

    def test_u1_a_rule(database_url): ...

    @pytest.mark.every_database
    def test_marked(database_url): ...

    @pytest.mark.parametrize("shape", [f"shape {n}" for n in range(20)])
    def test_a_page(database_url, shape): ...

    def test_without(): ...
"""


@pytest.fixture
def suite(tmp_path: Path) -> list[pytest.Item]:
    (tmp_path / "test_happy.py").write_text(textwrap.dedent(HAPPY))
    found: list[pytest.Item] = []

    class Kept:
        def pytest_collection_finish(self, session: pytest.Session) -> None:
            found.extend(session.items)

    inside = ["--collect-only", "-q", f"--rootdir={tmp_path}", f"--confcutdir={tmp_path}"]
    options = [
        "--import-mode=importlib",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:xdist",
        "-c",
        "/dev/null",
        "-W",
        "ignore",
    ]
    pytest.main([str(tmp_path), *inside, *options], plugins=[Kept()])
    return found


def _names(items: list[pytest.Item]) -> list[str]:
    return [item.nodeid.rpartition("::")[2] for item in items]


def test_rules_and_what_is_marked_stay_on_each_database(suite: list[pytest.Item]) -> None:
    for has_postgres in (True, False):
        gone = _names(left_out(suite, has_postgres=has_postgres))
        assert len(gone) == 20
        assert all(name.startswith("test_a_page") for name in gone)


def test_the_others_are_shared_among_the_databases_that_there_are(
    suite: list[pytest.Item],
) -> None:
    gone = _names(left_out(suite, has_postgres=True))
    on_sqlite = sum("postgres" in name for name in gone)
    assert 3 < on_sqlite < 17
    assert len({name.replace("postgres", "").replace("sqlite", "") for name in gone}) == 20
    assert all("postgres" in name for name in _names(left_out(suite, has_postgres=False)))


def test_who_asked_for_one_database_gets_it(suite: list[pytest.Item]) -> None:
    asked = [item for item in suite if "postgres" in item.nodeid]
    assert left_out(asked, has_postgres=False) == []
    assert left_out(asked, has_postgres=True) == []


class _Test:
    def __init__(self, nodeid: str) -> None:
        self.nodeid = nodeid


def test_what_takes_long_begins_first_in_each_part() -> None:
    long = [f"tests/{module}::test_{number}" for module in SECONDS for number in range(2)]
    short = [f"tests/unit/test_{number % 50}.py::test_{number}" for number in range(1_000)]
    items = [_Test(name) for name in sorted(long + short)]
    found = [item.nodeid for item in arranged(items, workers=4)]  # type: ignore[arg-type]
    assert sorted(found) == sorted(long + short)
    for workers in (4, 3, 2, 1):
        # As xdist deals them.
        part, found = found[: len(found) // workers], found[len(found) // workers :]
        weights = [SECONDS.get(name[6:].partition("::")[0], 0) for name in part]
        assert weights == sorted(weights, reverse=True)
        assert weights[0]


def test_modules_that_take_long_are_there() -> None:
    assert [module for module in SECONDS if not (TESTS / module).exists()] == []
