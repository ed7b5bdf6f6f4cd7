"""What importing may load and build, seen from a fresh interpreter, and the layer contracts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from functools import cache
from typing import Any

from tests.architecture import rules

# Built for other people's command lines: `celery -A worker.tasks.app` and any ASGI server.
SHIMS = frozenset(
    {
        "worker.tasks.app",
        "worker.web.asgi",
        "worker.cli.bench.empty_app",
        "worker.cli.bench.noop_app",
    }
)

# -S leaves out site-packages: whatever is not the standard library cannot even be found.
LOAD_WITHOUT_PACKAGES = """
    import importlib, json, sys

    sys.path.insert(0, sys.argv[1])
    names = json.loads(sys.argv[2])
    for name in names:
        importlib.import_module(name)
    loaded = {name.partition(".")[0] for name in sys.modules} - {"__main__", "domain"}
    print(json.dumps(sorted(loaded - set(sys.stdlib_module_names))))
"""

LOAD_AND_TELL_WHAT_WAS_BUILT = """
    import collections, gc, importlib, json, os, socket, subprocess, sys, threading

    sys.path.insert(0, sys.argv[1])
    # The collector would look at every object again and again while nothing is given back.
    gc.disable()
    happened = []
    module = ""
    PLUMBING = ("_collections_abc", "collections.abc", "os")

    def watch(event, arguments):
        # Looking up a name, speaking to anyone, starting anyone.
        if event in ("socket.connect", "socket.bind", "socket.getaddrinfo", "subprocess.Popen"):
            happened.append(f"{module}: {event} {arguments[-1]!r}")
            raise OSError(f"{event} while importing {module}")
        if event == "os.fork":
            happened.append(f"{module}: {event}")

    class Environment(type(os.environ)):
        # Ours only: libraries read their own variables as they load.
        def __getitem__(self, key):
            if key.startswith("ROSTERD_"):
                happened.append(f"{module}: reads {key}")
            return super().__getitem__(key)

        def __iter__(self):
            reader = sys._getframe(1)
            while reader and reader.f_globals.get("__name__") in PLUMBING:
                reader = reader.f_back
            name = reader.f_globals.get("__name__", "") if reader else ""
            if name.partition(".")[0] in ("domain", "pydantic_settings", "worker"):
                happened.append(f"{module}: reads the whole environment")
            return super().__iter__()

    sys.addaudithook(watch)
    os.environ.__class__ = Environment

    def built():
        kinds = {}
        for module_name, kind in (
            ("sqlalchemy.engine", "Engine"), ("sqlalchemy.pool", "Pool"), ("celery", "Celery"),
            ("kombu", "Connection"), ("redis", "Redis"), ("redis", "ConnectionPool"),
            ("starlette.applications", "Starlette"), ("jinja2", "Environment"),
        ):
            if module_name in sys.modules:
                kinds[f"{module_name}.{kind}"] = getattr(sys.modules[module_name], kind)
        found = collections.Counter(map(type, gc.get_objects()))
        return {
            label: sum(count for type_, count in found.items() if issubclass(type_, kind))
            for label, kind in kinds.items()
        }

    names, before = json.loads(sys.argv[2]), {}
    # Looking at every object takes longer than loading a module: once, unless told to say where.
    looks = names if sys.argv[3:] == ["each"] else names[-1:]
    for module in names:
        try:
            importlib.import_module(module)
        except Exception as error:
            happened.append(f"{module}: {type(error).__name__}: {error}")
        if module in looks:
            after = built()
            happened += [f"{module}: built {k}" for k, n in after.items() if n > before.get(k, 0)]
            before = after
        threads = [t.name for t in threading.enumerate() if t is not threading.main_thread()]
        happened += [f"{module}: left thread {name}" for name in threads]
    print(json.dumps(happened))
"""


def modules(folder: str) -> list[str]:
    names = []
    for source in rules.sources(folder):
        parts = source.parts[:-1] if source.parts[-1] == "__init__" else source.parts
        # alembic runs these files by path, with its own context around them.
        if "migrations" not in parts:
            names.append(".".join(parts))
    assert names, f"no module below {folder}: this test would pass on anything"
    return names


def run(script: str, names: Any, *flags: str, more: tuple[str, ...] = ()) -> Any:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("ROSTERD_", "COV"))}
    told = [str(rules.ROOT), json.dumps(names), *more]
    done = subprocess.run(
        [sys.executable, *flags, "-c", textwrap.dedent(script), *told],
        capture_output=True,
        check=False,
        env=environment,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_importing_the_domain_loads_the_standard_library_only() -> None:
    assert run(LOAD_WITHOUT_PACKAGES, modules("domain"), "-I", "-S") == []


def test_importing_the_worker_builds_nothing() -> None:
    names = [name for name in modules("worker") if name not in SHIMS]
    if run(LOAD_AND_TELL_WHAT_WAS_BUILT, names):
        assert run(LOAD_AND_TELL_WHAT_WAS_BUILT, names, more=("each",)) == []
        raise AssertionError("something was built, and not when one module was looked at a time")


#: What a fresh interpreter loads, one after the other: starting one for each takes seconds.
STEPS = {
    "help": "from worker.cli.main import build_cli; build_cli('--help')",
    # By a child: whoever starts processes is loaded by no command but theirs.
    "starts": "import worker.cli.forked, worker.cli.processes, worker.cli.running, worker.cli.up",
    "account": "build_cli('account')",
    "bootstrap": "import worker.bootstrap",
    "web": "import worker.web.app",
    "every command": "build_cli()",
}
TELL_WHAT_EACH_LOADS = """
    import gc, json, os, sys

    gc.disable()
    sys.path.insert(0, sys.argv[1])
    found, (steps, apart) = {}, json.loads(sys.argv[2])
    for name, words in steps.items():
        if name == apart:
            reads, writes = os.pipe()
            if not os.fork():
                exec(words)
                os.write(writes, json.dumps(list(sys.modules)).encode())
                os._exit(0)
            os.close(writes)
            found[name] = json.load(open(reads))
            continue
        exec(words)
        found[name] = list(sys.modules)
    print(json.dumps(found))
"""
HEAVY = {"alembic", "celery", "granian", "prometheus_client", "pydantic", "sqlalchemy"}


@cache
def loaded() -> dict[str, set[str]]:
    """The modules that are there after each of these steps."""
    told = run(TELL_WHAT_EACH_LOADS, [STEPS, "starts"])
    return {name: set(modules) for name, modules in told.items()}


def test_the_web_process_starts_without_what_takes_long_to_load() -> None:
    """A quarter of its start: SCIM's library comes with the first request that needs it."""
    assert "worker.web.app" in loaded()["web"]
    assert "scim2_models" not in loaded()["web"]


def test_a_list_of_commands_loads_none_of_them() -> None:
    """Nor what they stand on: each takes longer to load than to answer `--help`."""
    assert loaded()["help"] & HEAVY == set()
    assert loaded()["every command"] & HEAVY != set()


def test_a_command_loads_no_other() -> None:
    others = {"worker.cli.bench", "worker.cli.demo", "worker.cli.doctor", "worker.cli.up"}
    assert loaded()["account"] & others == set()
    assert loaded()["every command"] >= others


def test_who_starts_processes_has_not_loaded_counters_yet() -> None:
    """prometheus_client decides as it is loaded whether processes count together."""
    assert "worker.cli.up" in loaded()["starts"]
    assert "prometheus_client" not in loaded()["starts"]
    assert "prometheus_client" in loaded()["bootstrap"]


def test_the_layer_contracts_hold() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()"],
        cwd=rules.ROOT,
        capture_output=True,
        check=False,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
