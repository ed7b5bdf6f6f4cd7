"""`rosterd record`: files that say how requests are built, and nothing of anybody."""

from __future__ import annotations

import json
import stat
import threading
import time
from base64 import b64decode
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.api import Client
from tests.fuzz.shapes import SHAPES
from tests.harness import Feed, Rosterd
from worker.adapters.db import rows
from worker.cli.captured import read_request
from worker.cli.sender import Sent
from worker.cli.signing import SIGN

ANA, BO = "ana.vasconcelos@example.com", "bo.lindqvist@example.com"
PERSONAL = ("ana", "vasconcelos", "lindqvist", "4915112345678")


def post(rosterd: Rosterd, source: str, feed: Feed, document: object) -> None:
    body = json.dumps(document).encode()
    headers = SIGN[source](feed.secret, body, datetime.now(UTC))
    kept = {"content-type": "application/json", "user-agent": "Hooks/1.0"}
    assert rosterd.post(Sent(feed.path, {**kept, **headers}, body)) == 200
    rosterd.drain()


def told(
    rosterd: Rosterd, key: str, address: str, *, second: float = 1, **more: Any
) -> dict[str, Any]:
    return {
        "type": "user.upserted",
        "timestamp": rosterd.at(second).isoformat(),
        "data": {
            "id": key,
            "email": address,
            "given_name": "Ana",
            "family_name": "Vasconcelos",
            "attributes": {"phone": "4915112345678"},
            **more,
        },
    }


def recording(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "recording.json").read_bytes())
    return found


def test_the_last_requests_say_how_they_are_built_and_nothing_of_anybody(
    rosterd: Rosterd, tmp_path: Path
) -> None:
    feed = rosterd.account()
    post(rosterd, "standard", feed, told(rosterd, "u1", ANA))
    post(rosterd, "standard", feed, told(rosterd, "u2", BO))
    post(rosterd, "standard", feed, told(rosterd, "u1", "ana@elsewhere.org", second=2))
    folder = tmp_path / "made"
    done = rosterd.cli("record", feed.id, "--last", "2", "--to", str(folder), "--reason", "a bug")
    assert done.returncode == 0, done.stderr
    assert "names, addresses and numbers are replaced" in done.stderr
    found = recording(folder)
    assert (found["source"], found["kept_back"]) == ("standard", 0)
    assert [one["events"][0]["outcome"] for one in found["files"]] == ["applied", "dead"]
    assert found["files"][1]["events"][0]["reason"] == "domain_not_allowed"
    assert [one["is_faithful"] for one in found["files"]] == [True, True]
    for one in found["files"]:
        raw = (folder / one["file"]).read_bytes()
        low = raw.decode().lower()
        assert not [word for word in PERSONAL if word in low]
        assert feed.secret not in low
        document = json.loads(read_request(folder / one["file"]).body)
        assert document["type"] == "user.upserted"
        assert document["data"].keys() == told(rosterd, "u", ANA)["data"].keys()
        assert "user-agent: Hooks/1.0" in raw.decode()
    (row,) = rosterd.table(rows.audit, rows.audit.c.action == "feed.recorded")
    assert (row["subject"], row["reason"]) == (feed.id, "a bug")


def test_source_check_reads_each_file_as_authentic_and_as_the_same(
    rosterd: Rosterd, tmp_path: Path
) -> None:
    feed = rosterd.account()
    post(rosterd, "standard", feed, told(rosterd, "u1", ANA, active=False))
    folder = tmp_path / "made"
    shown = rosterd.cli("record", feed.id, "--last", "1", "--to", str(folder)).stdout
    line = next(line for line in shown.splitlines() if line.startswith("rosterd source check"))
    checked = rosterd.cli(*line.split()[1:], "--json")
    assert checked.returncode == 0, checked.stdout
    seen = json.loads(checked.stdout)
    assert seen["authentic"] is True
    assert [change["change"] for change in seen["events"][0]["changes"]] == ["ProvisionUser"]
    assert seen["events"][0]["lane"] == "urgent"


@pytest.mark.parametrize("source", [name for name in SIGN if name in SHAPES])
def test_every_sources_requests_are_recorded_for_what_they_are(
    rosterd: Rosterd, tmp_path: Path, source: str
) -> None:
    feed = rosterd.account(source=source, scope="everyone")
    shapes = SHAPES[source]
    for shape in shapes:
        post(rosterd, source, feed, shape)
    folder = tmp_path / "made"
    done = rosterd.cli("record", feed.id, "--last", "9", "--to", str(folder), "--json")
    assert done.returncode == 0, done.stderr
    found = recording(folder)
    assert len(found["files"]) == len(shapes)
    assert [one["is_faithful"] for one in found["files"]] == [True] * len(shapes)
    for one in found["files"]:
        assert b"u@example.com" not in (folder / one["file"]).read_bytes()
        proof = ("--source", source, "--secret", found["secret"], "--at", one["received_at"])
        checked = rosterd.cli("source", "check", str(folder / one["file"]), *proof, "--json")
        assert json.loads(checked.stdout)["authentic"] is True, checked.stdout


def test_the_next_requests_are_awaited_and_it_ends_by_itself(
    rosterd: Rosterd, tmp_path: Path
) -> None:
    feed, other = rosterd.account(), rosterd.account("other", name="other")
    post(rosterd, "standard", feed, told(rosterd, "u1", ANA))
    folder = tmp_path / "made"
    ended: list[Any] = []

    def run() -> None:
        options = ("--count", "2", "--wait", "60", "--to", str(folder))
        ended.append(rosterd.cli("record", feed.id, *options))

    recorder = threading.Thread(target=run)
    recorder.start()
    deadline = time.monotonic() + 60
    number = 1
    while recorder.is_alive() and time.monotonic() < deadline:
        number += 1
        post(rosterd, "standard", other, told(rosterd, f"v{number}", BO))
        post(rosterd, "standard", feed, told(rosterd, f"u{number}", BO))
        time.sleep(0.1)
    recorder.join(60)
    assert ended
    assert ended[0].returncode == 0, ended[0].stderr
    assert len(recording(folder)["files"]) == 2


def test_nothing_came_is_said_and_leaves_no_folder(rosterd: Rosterd, tmp_path: Path) -> None:
    feed = rosterd.account()
    done = rosterd.cli("record", feed.id, "--wait", "0", "--to", str(tmp_path / "made"))
    assert done.returncode == 3
    assert "nothing authentic came" in done.stderr
    assert not (tmp_path / "made").exists()


def test_files_are_their_owners_and_no_folder_is_written_over(
    rosterd: Rosterd, tmp_path: Path
) -> None:
    feed = rosterd.account()
    post(rosterd, "standard", feed, told(rosterd, "u1", ANA))
    folder = tmp_path / "made"
    assert rosterd.cli("record", feed.id, "--last", "1", "--to", str(folder)).returncode == 0
    modes = {stat.S_IMODE(one.stat().st_mode) for one in [folder, *folder.iterdir()]}
    assert modes == {0o700, 0o600}
    again = rosterd.cli("record", feed.id, "--last", "1", "--to", str(folder))
    assert again.returncode == 2
    assert "there already" in again.stderr


def test_who_is_nobodys_sender_cannot_be_recorded(rosterd: Rosterd) -> None:
    feed = rosterd.account()
    assert rosterd.cli("record", "fed_none").returncode == 3
    assert rosterd.cli("record", feed.id, "--count", "201").returncode == 2
    assert rosterd.cli("record", feed.id, "--wait", "3601").returncode == 2


def test_the_api_gives_the_same_to_whoever_may_see_bodies(rosterd: Rosterd) -> None:
    feed = rosterd.account()
    post(rosterd, "standard", feed, told(rosterd, "u1", ANA))
    path = f"/feeds/{feed.id}/recordings"
    Client(rosterd, "operations:read").post(path, {"last": 5}, status=403)
    application = Client(rosterd, "operator", account=None)
    answer = application.post(path, {"last": 5}, X_Reason="a bug")
    (request,) = answer["requests"]
    body = b64decode(request["body"]).decode()
    assert json.loads(body)["type"] == "user.upserted"
    assert not [word for word in PERSONAL if word in (body + json.dumps(answer)).lower()]
    assert request["is_faithful"] is True
    assert request["asked"][0]["changes"] == ["ProvisionUser"]
    again = {name: request[name] for name in ("headers", "body", "body_base64")}
    checked = application.post("/sources/check", again | {"source": "standard"})
    assert checked["events"][0]["changes"][0]["change"] == "ProvisionUser"
    (row,) = rosterd.table(rows.audit, rows.audit.c.action == "feed.recorded")
    assert (row["subject"], row["reason"]) == (feed.id, "a bug")
