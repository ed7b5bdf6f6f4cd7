"""A rule that cannot fail protects nothing: each is shown a mistake, and something like it."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest

from tests.architecture import rules

LONG_FUNCTION = "def f():\n" + "    x = 1\n" * rules.MAX_FUNCTION_LINES
LONG_METHOD = "class A:\n    async " + LONG_FUNCTION.replace("\n", "\n    ")
FULL_FUNCTION = "def f():\n" + "    x = 1\n" * (rules.MAX_FUNCTION_LINES - 1)
SILENT_METHOD = 'class A:\n    """An A."""\n    def b(self): ...'


def found_by(rule: rules.Rule, text: str, path: str = "worker/tasks/users.py") -> list[str]:
    return rule(rules.Source(PurePosixPath(path), text))


@pytest.mark.parametrize(
    ("rule", "mistake", "path"),
    [
        (rules.long_file, "x = 1\n" * (rules.MAX_FILE_LINES + 1), "domain/model.py"),
        (rules.long_functions, LONG_FUNCTION, "domain/model.py"),
        (
            rules.long_functions,
            "class A:\n    async " + LONG_FUNCTION.replace("\n", "\n    "),
            "a.py",
        ),
        (rules.broker_schedules, "drain.apply_async(countdown=5)", "worker/tasks/users.py"),
        (rules.broker_schedules, "drain.apply_async(eta=tomorrow)", "worker/tasks/users.py"),
        (rules.broker_schedules, "@app.task(autoretry_for=(OSError,))\ndef f(): ...", "a.py"),
        (rules.broker_schedules, "class Drain(Task):\n    autoretry_for = (OSError,)", "a.py"),
        (rules.broker_schedules, "raise self.retry(exc=error)", "worker/tasks/users.py"),
        (rules.stray_commits, "session.commit()", "worker/services/apply.py"),
        (rules.stray_commits, "work.commit()", "worker/tasks/users.py"),
        (rules.stray_commits, "self._unit.connection.commit()", "worker/web/hooks.py"),
        (rules.other_clocks, "def due():\n    return datetime.now(UTC)", "worker/adapters/db/a.py"),
        (rules.silent_module, "# a comment is no docstring\nx = 1", "domain/model.py"),
        (rules.silent_definitions, "def decide(): ...", "domain/decide.py"),
        (
            rules.silent_definitions,
            'class A:\n    """An A."""\n    def b(self): ...',
            "domain/a.py",
        ),
        (rules.vague_name, "", "worker/utils.py"),
        (rules.vague_name, "", "worker/helpers/dates.py"),
        (rules.vague_name, "", "domain/manager.py"),
    ],
)
def test_catches(rule: rules.Rule, mistake: str, path: str) -> None:
    assert found_by(rule, mistake, path)


@pytest.mark.parametrize(
    ("rule", "fine", "path"),
    [
        (rules.long_file, "x = 1\n" * rules.MAX_FILE_LINES, "domain/model.py"),
        (rules.long_functions, FULL_FUNCTION, "domain/model.py"),
        (rules.long_functions, LONG_FUNCTION, "worker/adapters/db/bulk.py"),
        (rules.broker_schedules, "beta = 1\nretry(x)\ndecide_retry(policy=p)", "worker/a.py"),
        (rules.stray_commits, "connection.commit()", "worker/adapters/db/unit.py"),
        (rules.stray_commits, "work.commit()", "worker/services/drain.py"),
        (
            rules.other_clocks,
            "def database_now():\n    return datetime.now(UTC)",
            "worker/adapters/db/uow.py",
        ),
        (rules.silent_module, '"""What lives here."""', "domain/model.py"),
        (rules.silent_definitions, "def _private(): ...\nx = lambda: 1", "domain/model.py"),
        (rules.vague_name, "", "worker/adapters/db/mapping.py"),
    ],
)
def test_lets_pass(rule: rules.Rule, fine: str, path: str) -> None:
    assert found_by(rule, fine, path) == []


@pytest.mark.parametrize(
    "trace",
    [
        "cd /wor" + "k/main",
        "--find-links /op" + "t/wheels",
        "https://py" + "pi.org/simple",
        "files.python" + "hosted.org",
        "see .libr" + "ary/env",
        "farm-" + "studio",
    ],
)
def test_catches_traces_of_a_machine(trace: str) -> None:
    assert rules.machine_traces("README.md", f"first line\nsay {trace} here") != []


@pytest.mark.parametrize(
    "text",
    [
        "worker/tasks and deploy/work/a and /worker and /workspace and /options",
        "the library, a_library, and https://example.com/libraries",
        "lib.library and network/optional",
    ],
)
def test_lets_ordinary_words_pass(text: str) -> None:
    assert rules.machine_traces("README.md", text) == []
