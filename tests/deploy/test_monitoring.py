"""deploy/: alerts fire and rest, each has its section; commands, metrics and units are real."""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
from pathlib import Path

from tests.command import run_command
from tests.conftest import missing
from tests.harness import Rosterd
from worker.telemetry import BUG_KINDS

DEPLOY = Path(__file__).parents[2] / "deploy"
RULES = (DEPLOY / "monitoring" / "rules.yaml").read_text(encoding="utf-8")
RUNBOOK = (DEPLOY / "runbook.md").read_text(encoding="utf-8")
DASHBOARD = json.loads(
    (DEPLOY / "monitoring" / "grafana" / "dashboards" / "rosterd.json").read_text(encoding="utf-8")
)
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
EXPRESSIONS = [target["expr"] for panel in PANELS for target in panel["targets"]]
ALERTS = re.findall(r"alert: (\w+)", RULES)


def test_promtool_lets_every_alert_fire_and_rest() -> None:
    if shutil.which("promtool") is None:
        missing("promtool", "there is no promtool (Debian: apt-get install prometheus)")
    for words in (["check", "rules", "rules.yaml"], ["test", "rules", "rules.test.yaml"]):
        done = subprocess.run(
            ["promtool", *words],
            check=False,
            cwd=DEPLOY / "monitoring",
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_fires_in_a_test_and_has_a_section_that_ends_it() -> None:
    tests = (DEPLOY / "monitoring" / "rules.test.yaml").read_text(encoding="utf-8")
    sections = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", RUNBOOK, re.DOTALL | re.MULTILINE))
    for alert in ALERTS:
        assert f"name: {alert} fires" in tests
        assert f"runbook.md#{alert.lower()}" in RULES
        assert "\nEnds " in sections[alert], f"{alert} does not say when it is over"
    assert set(sections) == set(ALERTS)


def test_every_metric_of_alerts_and_dashboard_is_exported(rosterd: Rosterd) -> None:
    feed = rosterd.account()
    rosterd.hire(feed, "u1")
    rosterd.http.post(feed.path, content=b"{}")
    with rosterd.setup() as use:
        token = use.add_token(None, name="prometheus", scopes=["metrics"])
    bearer = {"Authorization": f"Bearer {token}"}
    text = rosterd.http.get("/metrics", headers=bearer).text
    exported = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}
    exported |= {f"{name}_bucket" for name in exported}
    # prometheus_client names a counter's type without its suffix.
    exported |= {name.removesuffix("_total") + "_total" for name in exported}
    wanted = set(re.findall(r"\brosterd_\w+", RULES + " ".join(EXPRESSIONS)))
    assert wanted <= exported, wanted - exported


def test_each_kind_of_bug_that_is_reported_is_told_before_its_first() -> None:
    reported = {
        node.args[0].value
        for layer in ("domain", "worker")
        for path in sorted((DEPLOY.parent / layer).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func).endswith(("report", "_report"))
        and node.args
        and isinstance(node.args[0], ast.Constant)
    }
    assert reported == set(BUG_KINDS)


def test_prometheus_understands_every_expression_of_the_dashboard(tmp_path: Path) -> None:
    if shutil.which("promtool") is None:
        missing("promtool", "there is no promtool (Debian: apt-get install prometheus)")
    given = {"$__rate_interval": "1m", "$connection": ".*", "$account": ".*"}
    rules = []
    for number, expression in enumerate(EXPRESSIONS):
        for name, value in given.items():
            expression = expression.replace(name, value)  # noqa: PLW2901 - step by step
        rules.append({"record": f"panel:{number}", "expr": expression})
    file = tmp_path / "dashboard.json"
    file.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    done = subprocess.run(
        ["promtool", "check", "rules", str(file)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_panel_has_a_unit_and_says_what_it_tells_and_none_lies_over_another() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells
    for panel in PANELS:
        assert panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        named = re.findall(r"Alert: (\w+)", panel["description"])
        assert set(named) <= set(ALERTS), named
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


def test_every_command_of_the_runbook_exists() -> None:
    said = {match.strip() for match in re.findall(r"`rosterd ((?:[a-z][a-z-]* ?)+)", RUNBOOK)}
    assert len(said) > 8
    for words in said:
        done = run_command((*words.split(), "--help"), {})
        assert done.returncode == 0, f"rosterd {words}: {done.stderr}"


def test_systemd_takes_the_units_and_they_are_the_procfiles_commands(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        missing("systemd", "there is no systemd-analyze")
    procfile = (DEPLOY.parent / "Procfile").read_text(encoding="utf-8")
    units = sorted((DEPLOY / "systemd").iterdir())
    for unit in units:
        # The paths are those of the machine that it will run on.
        text = unit.read_text(encoding="utf-8")
        (tmp_path / unit.name).write_text(re.sub(r"ExecStart=\S+", "ExecStart=/bin/true", text))
        command = re.search(r"ExecStart=\S+/(rosterd \w+)", text)
        assert command is None or command.group(1) in procfile
    done = subprocess.run(
        ["systemd-analyze", "verify", *(str(tmp_path / unit.name) for unit in units)],
        check=False,
        capture_output=True,
        text=True,
    )
    ours = [line for line in done.stderr.splitlines() if str(tmp_path) in line]
    assert ours == [], done.stderr
    assert len(units) == 6
