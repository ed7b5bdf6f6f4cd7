"""`rosterd play` as a user types it: a rosterd of its own, real requests, what became of each."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.preloaded import run
from worker.cli.play import ACTIONS, TAKES


def play(*words: str, folder: Path, typed: str = "") -> subprocess.CompletedProcess[str]:
    """With a folder of its own for what is temporary."""
    mine = {name: value for name, value in os.environ.items() if not name.startswith("ROSTERD_")}
    environment = {**mine, "TMPDIR": str(folder), "NO_COLOR": "1"}
    return run(
        [sys.executable, "-m", "worker", "play", *words],
        input=typed,
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def told(line: str) -> dict[str, str] | None:
    """What stands behind `before` or `after`."""
    found: dict[str, str] | None = json.loads(line.split(maxsplit=1)[1])
    return found


def test_each_word_is_sent_and_shown_with_its_way_before_and_after(tmp_path: Path) -> None:
    words = "hire ana; accept ana; twice; late ana; leave ana; forged; garbage; show"
    done = play(words, folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    scenes = dict(scene.split("\n", 1) for scene in done.stdout.split("idp> ")[1:])
    assert list(scenes) == words.split("; ")
    ways = {
        "hire ana": "user.upserted ana -> standard -> applied",
        "twice": "no event: it was refused, or had come before",
        "late ana": "user.upserted ana -> standard -> superseded",
        "leave ana": "user.suspended ana -> urgent -> applied",
        "forged": "answered 401",
        "garbage": "dead (unparseable)",
    }
    assert "event" not in scenes["accept ana"], "it is the member who says yes"
    for word, way in ways.items():
        assert way in scenes[word], word
    moves = [
        tuple(one and one["state"] for one in map(told, scenes[word].splitlines()[-2:]))
        for word in ("hire ana", "accept ana", "leave ana")
    ]
    assert moves == [(None, "invited"), ("invited", "active"), ("active", "suspended")]
    assert json.loads(scenes["show"].splitlines()[-1])["email"] == "ana@example.com"
    assert list(tmp_path.rglob("*.eml")) == [], "its mails are gone with it"


@pytest.mark.parametrize("words", ["hire", "hire ana; dance", "move ana", "", " ; "])
def test_what_is_no_word_is_told_before_anything_starts(tmp_path: Path, words: str) -> None:
    done = play(words, folder=tmp_path)
    assert done.returncode == 2
    assert "hire ana            create ana@example.com" in done.stderr
    assert done.stdout == ""


def test_every_word_says_how_much_it_takes() -> None:
    assert set(TAKES) == {*ACTIONS, "show"}
