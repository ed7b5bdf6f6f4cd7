"""The chart renders, is what Kubernetes takes, and starts exactly what the Procfile starts."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import typer
import yaml
from typer.main import get_command

from tests.conftest import missing
from worker.cli.main import build_cli
from worker.settings import Settings

ROOT = Path(__file__).parents[2]
CHART = ROOT / "deploy" / "helm" / "rosterd"
MONITORING = ROOT / "deploy" / "monitoring"
EVERYTHING = (
    "keda.enabled=true",
    "podMonitor.enabled=true",
    "prometheusRule.enabled=true",
    "ingress.enabled=true",
)
#: Kinds that are not Kubernetes' own: their operators hold the schemas.
FOREIGN = {"ScaledObject", "PodMonitor", "PrometheusRule"}
#: As the Dockerfile sets it.
IMAGE_DATA_DIR = "/var/lib/rosterd"
OLDEST, NEWEST = "1.27", "1.34"


def helm() -> str:
    beside = Path(sys.executable).with_name("helm")
    found = str(beside) if beside.exists() else shutil.which("helm")
    if found is None:
        missing("helm", "there is no helm here")
    return str(found)


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([helm(), *words], capture_output=True, text=True, check=False)


def rendered(*values: str) -> list[dict[str, Any]]:
    """Every object of the chart with these values set."""
    given = ",".join(("existingSecret=rosterd", *values))
    done = run("template", "acme", str(CHART), "--set", given)
    assert done.returncode == 0, done.stderr
    return [one for one in yaml.safe_load_all(done.stdout) if one]


def pods(objects: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Component and pod of whatever starts pods."""
    for one in objects:
        if one["kind"] in {"Deployment", "Job"}:
            template = one["spec"]["template"]
            yield template["metadata"]["labels"]["app.kubernetes.io/component"], template["spec"]


def procfile() -> dict[str, list[str]]:
    lines = (ROOT / "Procfile").read_text().splitlines()
    return {
        name: shlex.split(command)[1:]
        for name, _, command in (line.partition(":") for line in lines)
    }


def test_helm_itself_finds_nothing_wrong() -> None:
    done = run("lint", "--strict", str(CHART), "--set", "existingSecret=rosterd")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_kubernetes_would_take_every_object(version: str) -> None:
    objects = rendered(*EVERYTHING)
    for one in objects:
        if one["kind"] not in FOREIGN:
            kubernetes_validate.validate(one, version, strict=True)
    assert {one["kind"] for one in objects} == FOREIGN | {
        "Deployment",
        "Ingress",
        "Job",
        "NetworkPolicy",
        "PodDisruptionBudget",
        "Service",
    }


def test_it_starts_what_the_procfile_starts_and_every_option_exists() -> None:
    wanted = procfile()
    started = dict(pods(rendered()))
    assert started.keys() == (wanted.keys() - {"release"}) | {"migrate"}
    commands = get_command(build_cli())
    for component, pod in started.items():
        (container,) = pod["containers"]
        words = wanted["release" if component == "migrate" else component]
        assert container["args"][: len(words)] == words
        command = commands.get_command(typer.Context(commands), words[0])  # type: ignore[attr-defined]
        command.make_context(words[0], list(container["args"][1:]))


def test_a_pod_may_do_nothing_it_does_not_need() -> None:
    for component, pod in pods(rendered()):
        (container,) = pod["containers"]
        assert pod["securityContext"]["runAsNonRoot"] is True, component
        assert pod["automountServiceAccountToken"] is False
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert pod["terminationGracePeriodSeconds"] >= 40


def test_only_web_and_counters_are_reached_and_budgets_keep_some_of_each_running() -> None:
    objects = rendered()
    (policy,) = [one for one in objects if one["kind"] == "NetworkPolicy"]
    opened = {port["port"] for rule in policy["spec"]["ingress"] for port in rule["ports"]}
    assert opened == {8080, 9101}
    budgets = {one["metadata"]["name"] for one in objects if one["kind"] == "PodDisruptionBudget"}
    assert budgets == {f"acme-rosterd-{name}" for name in ("web", "worker", "bulk", "urgent")}


def test_autoscaling_asks_for_a_metric_that_exists_and_owns_the_replicas() -> None:
    objects = rendered("keda.enabled=true")
    scaled = {
        one["spec"]["scaleTargetRef"]["name"]: one["spec"]["triggers"][0]["metadata"]["query"]
        for one in objects
        if one["kind"] == "ScaledObject"
    }
    assert scaled.keys() == {"acme-rosterd-worker", "acme-rosterd-bulk"}
    for name, lane in (("acme-rosterd-worker", "standard"), ("acme-rosterd-bulk", "bulk")):
        (worker,) = [
            one
            for one in objects
            if one["kind"] == "Deployment" and one["metadata"]["name"] == name
        ]
        assert "replicas" not in worker["spec"], "two hands on one wheel"
        assert f'rosterd_events{{lane=~"{lane}", state="pending"}}' in scaled[name]


def test_prometheus_is_let_in_and_finds_the_jobs_that_the_alerts_ask_for() -> None:
    (monitor,) = [o for o in rendered("podMonitor.enabled=true") if o["kind"] == "PodMonitor"]
    endpoints = {one["port"]: one for one in monitor["spec"]["podMetricsEndpoints"]}
    credentials = endpoints["http"]["authorization"]["credentials"]
    assert credentials == {"name": "rosterd", "key": "ROSTERD_METRICS_TOKEN"}
    assert "metrics_token" in Settings.model_fields
    jobs = {
        port: relabeling["replacement"]
        for port, one in endpoints.items()
        for relabeling in one["relabelings"]
        if relabeling["targetLabel"] == "job"
    }
    scraped = yaml.safe_load((MONITORING / "prometheus.yaml").read_text())["scrape_configs"]
    assert jobs == {"http": scraped[0]["job_name"], "metrics": scraped[1]["job_name"]}
    for pod in (pod for _, pod in pods(rendered())):
        ports = {port["name"] for port in pod["containers"][0].get("ports", [])}
        assert ports <= endpoints.keys()


def test_the_chart_brings_the_alerts_that_are_tested() -> None:
    (rule,) = [o for o in rendered("prometheusRule.enabled=true") if o["kind"] == "PrometheusRule"]
    tested = (MONITORING / "rules.yaml").read_text()
    assert rule["spec"] == yaml.safe_load(tested)
    copy = (CHART / "rules.yaml").read_text()
    assert copy == tested, "cp deploy/monitoring/rules.yaml deploy/helm/rosterd/rules.yaml"


def test_no_pod_starts_without_the_keys_nor_makes_its_own() -> None:
    for component, pod in pods(rendered()):
        (container,) = pod["containers"]
        (keys,) = [one for one in container["env"] if one["name"] == "ROSTERD_SECRET_KEYS"]
        wanted = {"name": "rosterd", "key": "ROSTERD_SECRET_KEYS", "optional": False}
        assert keys["valueFrom"]["secretKeyRef"] == wanted, component
        told = {one["name"]: one.get("value") for one in container["env"]}
        place = told.get("ROSTERD_DATA_DIR") or IMAGE_DATA_DIR
        (mount,) = [one for one in container["volumeMounts"] if one["mountPath"] == place]
        assert mount["readOnly"] is True, component


def test_pods_of_a_kind_are_spread_over_nodes_and_zones() -> None:
    for component, pod in pods(rendered()):
        spread = {one["topologyKey"]: one for one in pod["topologySpreadConstraints"]}
        assert spread.keys() == {"kubernetes.io/hostname", "topology.kubernetes.io/zone"}
        for one in spread.values():
            labels = one["labelSelector"]["matchLabels"]
            assert labels["app.kubernetes.io/component"] == component


def before_stop(*values: str) -> list[str]:
    """What a web pod runs when it is told to stop."""
    (container,) = dict(pods(rendered(*values)))["web"]["containers"]
    return list(container["lifecycle"]["preStop"]["exec"]["command"])


def test_a_web_pod_goes_on_until_nobody_sends_it_anything() -> None:
    program, *words = before_stop("web.stopDelaySeconds=1")
    assert program == "python", "the image has no shell and no sleep"
    began = time.monotonic()
    subprocess.run([sys.executable, *words], check=True)
    assert time.monotonic() - began >= 1
    assert before_stop()[-1] == "import time; time.sleep(5)"


def test_without_a_secret_it_says_what_to_do() -> None:
    done = run("template", "acme", str(CHART))
    assert done.returncode != 0
    assert "existingSecret: name the secret that holds ROSTERD_DATABASE_URL" in done.stderr
