"""compose.yaml: Compose itself takes it, its backup can be restored, its settings are all named."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy.engine import make_url

from tests.conftest import missing
from tests.harness import Rosterd
from worker.adapters.db.scratch import scratch_database
from worker.settings import Settings

DEPLOY = Path(__file__).parents[2] / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
EXAMPLE = (DEPLOY / "env.example").read_text(encoding="utf-8")


def compose() -> list[str]:
    """The command: the plug-in, or the program of its own that Debian has."""
    plugin = ["docker", "compose"]
    if (
        shutil.which("docker")
        and not subprocess.run([*plugin, "version"], capture_output=True, check=False).returncode
    ):
        return plugin
    if shutil.which("docker-compose") is None:
        missing("compose", "there is no docker compose (Debian: apt-get install docker-compose)")
    return ["docker-compose"]


@pytest.mark.parametrize("valkeys", ["", "0"])
def test_compose_itself_takes_the_file_with_every_profile(tmp_path: Path, valkeys: str) -> None:
    command = compose()
    shutil.copytree(DEPLOY, tmp_path / "deploy")
    (tmp_path / "deploy" / ".env").write_text(EXAMPLE)
    # The release of Debian 12 is older than the line that names the project.
    file = tmp_path / "deploy" / "compose.yaml"
    file.write_text(re.sub(r"^name: .*\n", "", file.read_text(), flags=re.MULTILINE))
    profiles = {name for one in COMPOSE["services"].values() for name in one.get("profiles", [])}
    environment = {
        **os.environ,
        "POSTGRES_PASSWORD": "secret",
        "COMPOSE_VALKEY": valkeys,
        "COMPOSE_PROFILES": ",".join(sorted(profiles)),
    }
    done = subprocess.run(
        [*command, "-f", str(file), "config"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = yaml.safe_load(done.stdout)["services"]
    assert told.keys() == COMPOSE["services"].keys()
    assert int(told["valkey"]["deploy"]["replicas"]) == int(valkeys or 1)


def test_no_process_of_ours_waits_for_a_broker() -> None:
    for name in ("web", "worker", "urgent", "beat", "flower", "celery-exporter"):
        awaited = COMPOSE["services"][name].get("depends_on", {})
        assert not {"valkey", "rabbitmq"} & set(awaited), name


def test_every_setting_is_explained_to_whom_fills_in_env() -> None:
    named = set(re.findall(r"^#? ?(ROSTERD_[A-Z_]+)=", EXAMPLE, re.MULTILINE))
    wanted = {
        str(field.validation_alias or f"ROSTERD_{name.upper()}")
        for name, field in Settings.model_fields.items()
    }
    assert wanted - named == set()


def test_compose_substitutes_nothing_that_env_does_not_name() -> None:
    text = (DEPLOY / "compose.yaml").read_text(encoding="utf-8")
    asked = set(re.findall(r"\$\{([A-Z_]+)", text))
    assert {name for name in asked if f"{name}=" not in EXAMPLE} == set()


def test_what_composes_backup_writes_is_restored_by_compose_and_by_rosterd(
    postgres_url: str, tmp_path: Path
) -> None:
    if shutil.which("pg_dump") is None:
        missing("pg_dump", "there is no pg_dump")
    rosterd = Rosterd(postgres_url, tmp_path)
    feed = rosterd.account()
    with rosterd.serving():
        rosterd.hire(feed, "u1")
        file = tmp_path / "rosterd.dump"
        file.write_bytes(_tool("backup", postgres_url))
        done = rosterd.cli("restore", "--check", str(file))
        assert done.returncode == 0, done.stderr
        with scratch_database(postgres_url, tmp_path) as empty:
            _tool("restore", empty, file.read_bytes())
            other = Rosterd(empty, tmp_path)
            assert other.cli("directory", "export", "--account", "acme").stdout == (
                rosterd.cli("directory", "export", "--account", "acme").stdout
            )
            other.close()
    rosterd.close()


def _tool(service: str, url: str, given: bytes = b"") -> bytes:
    """Run the service's command against this database, as its environment says."""
    told = COMPOSE["services"][service]
    place = make_url(url)
    values = {
        "PGHOST": place.host,
        "PGPORT": place.port,
        "PGUSER": place.username,
        "PGDATABASE": place.database,
        "PGPASSWORD": place.password,
    }
    assert told["environment"].keys() <= values.keys()
    words = [
        f"--dbname={place.database}" if word == "--dbname=rosterd" else word
        for word in told["entrypoint"]
    ]
    environment = {name: str(value) for name, value in values.items() if value is not None}
    return subprocess.run(
        words, env={**os.environ, **environment}, input=given, capture_output=True, check=True
    ).stdout
