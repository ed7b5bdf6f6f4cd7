"""What `rosterd record` wrote, as a case: each request still proves itself and asks the same.

A folder in tests/recordings, or in ROSTERD_TEST_RECORDINGS, is one recording. What is changed on
purpose is recorded anew, or `asked` in its recording.json is written by hand.
"""

from __future__ import annotations

import json
import os
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from domain.ports import SigningSecret
from worker.adapters.recording import asked_of
from worker.adapters.sources.registry import SOURCES
from worker.cli.captured import read_request

OURS = Path(__file__).parents[3] / "recordings"
FOLDERS = [OURS, *map(Path, filter(None, [os.environ.get("ROSTERD_TEST_RECORDINGS")]))]
CONTENTS = [file for folder in FOLDERS for file in sorted(folder.glob("*/recording.json"))]
CASES: list[tuple[Path, dict[str, Any], dict[str, Any]]] = [
    (file.parent, told, one)
    for file in CONTENTS
    for told in [json.loads(file.read_bytes())]
    for one in told["files"]
]


def test_there_is_one() -> None:
    assert CASES


@pytest.mark.parametrize(
    ("folder", "told", "one"), CASES, ids=[f"{path.name}-{one['file']}" for path, _, one in CASES]
)
def test_recorded_request_asks_what_it_asked(
    folder: Path, told: dict[str, Any], one: dict[str, Any]
) -> None:
    source = SOURCES[told["source"]]
    request = read_request(folder / one["file"])
    assert asked_of(source, request.headers, request.body) == one["asked"]
    if told["secret"]:
        secret = SigningSecret("k", told["secret"])
        at = datetime.fromisoformat(one["received_at"])
        assert source.verify(request, [secret], at) is secret
