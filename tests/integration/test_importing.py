"""`directory import`: what can be taken goes in, the rest of a file is told by line and reason."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import UsageError
from domain.importing import RefusedLineError
from tests.exploring import patient
from tests.harness import Feed, Rosterd
from tests.preloaded import run
from tests.tenants import contents
from worker.adapters.lines import LONGEST_LINE, records

Import = Callable[..., tuple[int, dict[str, Any], dict[int, str]]]


@pytest.fixture
def feed(rosterd: Rosterd) -> Feed:
    return rosterd.account(owner="boss@example.com")


@pytest.fixture
def importing(rosterd: Rosterd, feed: Feed, tmp_path: Path) -> Import:
    """Run an import: exit code, summary, code of refusal by line."""

    def run(text: str | bytes, *words: str) -> tuple[int, dict[str, Any], dict[int, str]]:
        file = tmp_path / "people.txt"
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        if "--dry-run" not in words:
            words = (*words, "--reason", "moving in")
        done = rosterd.cli("directory", "import", str(file), "--json", *words)
        assert done.returncode in {0, 1}, done.stderr
        *refused, last = [json.loads(line) for line in done.stdout.splitlines()]
        return done.returncode, last["summary"], {one["line"]: one["code"] for one in refused}

    return run


CSV = """kind,email,given_name,family_name,role,state,group
group,,,,,,Engineering
user,ana@example.com,Ana,Silva,administrator,active,Engineering
,bob@example.com,Bob,,,,
membership,bob@example.com,,,,,Engineering
user,cleo@example.com,,,guest,suspended,
"""
LINES = [
    {"kind": "group", "name": "Engineering"},
    {"kind": "user", "email": "ana@example.com", "given_name": "Ana", "family_name": "Silva"},
    {"kind": "membership", "group": "Engineering", "user": "ana@example.com"},
]


def jsonl(*lines: Any) -> str:
    return "".join(json.dumps(line) + "\n" for line in lines)


def people(rosterd: Rosterd) -> dict[str, tuple[str, str]]:
    told = json.loads(rosterd.cli("user", "list", "--json").stdout)
    return {one["email"]: (one["state"], one["role"]) for one in told}


def test_people_groups_and_memberships_come_in_and_twice_is_once(
    rosterd: Rosterd, importing: Import
) -> None:
    code, summary, refused = importing(CSV)
    assert (code, refused) == (0, {})
    assert summary["added"] == {"users": 3, "groups": 1, "memberships": 2}
    assert people(rosterd) == {
        "boss@example.com": ("active", "owner"),
        "ana@example.com": ("active", "administrator"),
        "bob@example.com": ("invited", "member"),
        "cleo@example.com": ("suspended", "guest"),
    }
    (ana,) = json.loads(rosterd.cli("user", "list", "--email", "ana@example.com", "--json").stdout)
    (entry,) = json.loads(rosterd.cli("user", "show", ana["id"], "--json").stdout)["timeline"]
    assert (entry["action"], entry["reason"]) == ("user.import", "moving in")
    before = contents(rosterd)
    code, summary, refused = importing(CSV)
    assert (code, summary["unchanged"], refused) == (0, 5, {})
    assert not any(summary["added"].values())
    assert contents(rosterd) == before


def test_what_export_prints_can_be_imported_elsewhere(rosterd: Rosterd, importing: Import) -> None:
    importing(CSV)
    told = rosterd.cli("directory", "export", "--account", "acme").stdout
    rosterd.account(name="other")
    code, summary, refused = importing(told, "--account", "other")
    assert (code, refused) == (0, {}), refused
    assert summary["added"] == {"users": 4, "groups": 1, "memberships": 2}
    again = rosterd.cli("directory", "export", "--account", "other").stdout
    assert again == told


def test_nobody_is_mailed_unless_it_is_asked_for(rosterd: Rosterd, importing: Import) -> None:
    mails = len(rosterd.mails())
    importing(CSV)
    assert len(rosterd.mails()) == mails
    more = "email,state\ndora@example.com,\neve@example.com,active\n"
    importing(more, "--invite")
    assert len(rosterd.mails()) == mails + 1
    assert rosterd.accept("dora@example.com") == 200
    assert people(rosterd)["dora@example.com"][0] == "active"
    importing(more, "--invite")
    assert len(rosterd.mails()) == mails + 1


def test_a_dry_run_tells_what_comes_and_does_none_of_it(
    rosterd: Rosterd, importing: Import
) -> None:
    text = CSV + "membership,nobody@example.com,,,,,Engineering\nuser,x@forbidden.org,,,,,\n"
    before = contents(rosterd)
    rehearsed = importing(text, "--dry-run")
    assert contents(rosterd) == before
    done = importing(text)
    assert rehearsed[1]["dry_run"] is True
    assert (
        (rehearsed[0], rehearsed[2])
        == (done[0], done[2])
        == (1, {7: "unknown_user", 8: "domain_not_allowed"})
    )
    for name in ("added", "unchanged", "refused"):
        assert rehearsed[1][name] == done[1][name]
    assert importing(text, "--dry-run")[1]["unchanged"] == 5


def test_a_dry_run_knows_in_a_later_batch_what_an_earlier_one_would_have_added(
    rosterd: Rosterd, importing: Import
) -> None:
    rows = [*LINES[:1], *({"email": f"u{i}@example.com"} for i in range(700))]
    rows += [
        {"kind": "membership", "group": "engineering", "user": f"U{i}@example.com"}
        for i in range(700)
    ]
    rows += [{"email": "u3@example.com", "display_name": "Other"}]
    text = jsonl(*rows)
    rehearsed, done = importing(text, "--dry-run"), importing(text)
    assert rehearsed[2] == done[2] == {1402: "differs"}
    assert rehearsed[1]["added"] == done[1]["added"]
    assert done[1]["added"] == {"users": 700, "groups": 1, "memberships": 700}


REFUSED: dict[str, list[Any]] = {
    "bad_address": [
        {"email": "nobody"},
        {"email": ""},
        {"email": "a b@example.com"},
        {"email": f"{'x' * 65}@example.com"},
        {"kind": "membership", "group": "Engineering", "user": "Engineering"},
    ],
    "bad_text": [
        {"email": "a@example.com\r\nBcc: b@example.com"},
        {"email": "moc.elpmaxe@\u202eexample.com"},
        {"email": "a@example.com", "given_name": "A\u202eB"},
        {"email": "a@example.com", "display_name": "x" * 256},
        {"kind": "group", "name": "a\nb"},
    ],
    "bad_role": [{"email": "a@example.com", "role": "king"}],
    "bad_state": [{"email": "a@example.com", "state": "withdrawn"}],
    "bad_kind": [{"kind": "robot", "email": "a@example.com"}],
    "bad_group": [{"kind": "group", "name": "x" * 101}, {"kind": "group", "name": ""}],
    "unknown_field": [{"emial": "a@example.com"}],
    "unknown_group": [
        {"kind": "membership", "group": "Nothing", "user": "boss@example.com"},
        {"email": "a@example.com", "group": "Nothing"},
    ],
    "unknown_user": [{"kind": "membership", "group": "Security", "user": "a@example.com"}],
    "domain_not_allowed": [{"email": "a@example.org"}, {"email": "a@sub.example.com"}],
    "malformed": [[], 1, None, "text", {"email": 7}, {"email": {"a": 1}}, {"email": ["a"]}],
    "managed": [{"email": "a@example.com", "managed": True, "connection": "okta"}],
    "differs": [{"email": "BOSS@example.com", "role": "member"}],
    "follows_role": [{"kind": "membership", "group": "Owners", "user": "boss@example.com"}],
}


def test_every_line_that_is_refused_is_told_and_the_others_go_in(
    rosterd: Rosterd, importing: Import
) -> None:
    lines: list[Any] = []
    expected = {}
    for code, wrong in REFUSED.items():
        for line in wrong:
            lines += [line, {"email": f"good{len(lines)}@example.com"}]
            expected[len(lines) - 1] = code
    before = len(people(rosterd))
    status, summary, refused = importing(jsonl(*lines))
    assert (status, refused) == (1, expected)
    assert summary["added"]["users"] == len(expected)
    assert len(people(rosterd)) == before + len(expected)


def test_e8_g6_what_an_identity_provider_governs_is_left_to_it(
    rosterd: Rosterd, feed: Feed, importing: Import
) -> None:
    rosterd.hire(feed, "u1")
    rosterd.tell(feed, "group.upserted", {"id": "g1", "name": "Crew"})
    before = rosterd.export()
    _, _, refused = importing(
        jsonl(
            {"email": "U1@example.com"},
            {"kind": "group", "name": "crew"},
            {"kind": "membership", "group": "Crew", "user": "u1@example.com"},
            {"kind": "membership", "group": "Security", "user": "u1@example.com"},
        )
    )
    assert refused == {1: "address_taken", 2: "managed_group", 3: "managed_group"}
    after = rosterd.export()
    assert [line for line in after if line not in before] == [
        line for line in after if line["kind"] == "membership"
    ]


def test_duplicates_in_a_file_are_one_person(rosterd: Rosterd, importing: Import) -> None:
    text = "email,given_name\nana@example.com,Ana\nANA@example.com,Ana\nana@example.com,Anna\n"
    status, summary, refused = importing(text)
    assert (status, summary["added"]["users"], summary["unchanged"]) == (1, 1, 1)
    assert refused == {4: "differs"}


def test_groups_that_hold_each_other_are_refused_by_line_and_the_rest_goes_in(
    rosterd: Rosterd, importing: Import
) -> None:
    names = ("One", "Two", "Three")
    circle = [
        {"kind": "membership", "group": group, "user": inside}
        for group, inside in (*zip(names, (*names[1:], names[0]), strict=True), ("One", "One"))
    ]
    member = {"kind": "membership", "group": "One", "user": "ana@example.com"}
    groups = [{"kind": "group", "name": name} for name in names]
    lines = [*groups, *circle, {"email": "ana@example.com"}, member]
    for words in (("--dry-run",), ()):
        status, summary, refused = importing(jsonl(*lines), *words)
        assert (status, set(refused.values())) == (1, {"bad_address"})
        assert sorted(refused) == [4, 5, 6, 7]
        assert summary["added"] == {"groups": 3, "users": 1, "memberships": 1}
    (edge,) = [line for line in rosterd.export() if line["kind"] == "membership"]
    assert (edge["group"], edge["user"], edge["connection"]) == ("One", "ana@example.com", None)


#: The first thousands grow what holds a batch.
FEW, MANY = 10_000, 30_000
#: Bytes of a line that is kept, at least: no line is that short as an object.
LEAST = 320
#: A command of rosterd's, and at its end how much memory it had at most, in KiB.
PEAK = """
import atexit, resource, runpy, sys
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
atexit.register(lambda: print(peak(), file=sys.stderr))
runpy.run_module("worker", run_name="__main__")
"""


def lines_of_many(path: Path, count: int) -> None:
    """Distinct people, every tenth told twice and every hundredth wrong, with their groups."""
    with path.open("w") as file:
        file.write('{"kind": "group", "name": "Crew"}\n')
        for number in range(1, count):
            told = number - 1 if number % 10 == 0 else number
            email = "nobody" if number % 100 == 1 else f"u{told}@example.com"
            file.write(f'{{"email": "{email}", "group": "Crew"}}\n')


def peak_of(rosterd: Rosterd, file: Path) -> tuple[int, dict[str, Any]]:
    """Memory at most of an import in a process of its own, in KiB, and what it summed up."""
    words = ("directory", "import", str(file), "--dry-run", "--json")
    settings = rosterd.settings
    environment = {
        **os.environ,
        "ROSTERD_DATA_DIR": str(settings.data_dir),
        "ROSTERD_DATABASE_URL": settings.database,
        "ROSTERD_BROKER_URL": settings.broker,
    }
    done = run([sys.executable, "-c", PEAK, *words], env=environment, capture_output=True)
    assert done.returncode == 1, "some lines are refused"
    *_, last = done.stdout.splitlines()
    return int(done.stderr.splitlines()[-1]), json.loads(last)["summary"]


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_many_lines_take_the_memory_of_a_few(rosterd: Rosterd, feed: Feed, tmp_path: Path) -> None:
    assert feed.id
    peaks = {}
    for count in (FEW, MANY):
        lines_of_many(tmp_path / "many", count)
        peaks[count], summary = peak_of(rosterd, tmp_path / "many")
        assert summary["through_line"] == count
        assert summary["refused"] == {"bad_address": count // 100}
        assert sum(summary["added"].values()) + summary["unchanged"] > count
        assert summary["added"]["groups"] == 1
        assert summary["added"]["users"] + summary["unchanged"] == count - count // 100 - 1
    assert peaks[MANY] < peaks[FEW] + (MANY - FEW) * LEAST // 1024, peaks
    assert len(people(rosterd)) == 1, "it was a dry run"


def test_bytes_of_other_encodings_are_refused_by_line_or_as_a_file(
    rosterd: Rosterd, importing: Import, tmp_path: Path
) -> None:
    good = b"\xef\xbb\xbfemail;given_name\r\nana@example.com;Ana\r\n"
    bad = b"b\xff@example.com;B\r\nc@example.com;\xfcmit\r\n" + b"x" * LONGEST_LINE + b"y;\r\n"
    tail = b'd@example.com;"D\r\ne@example.com;E;E\r\nf@example.com;F'
    status, summary, refused = importing(good + bad + tail)
    assert status == 1
    assert refused == {
        3: "bad_encoding",
        4: "bad_encoding",
        5: "too_long",
        6: "malformed",
        7: "malformed",
    }
    assert summary["added"]["users"] == 2
    for text in ("email\nz@example.com\n".encode("utf-16"), b"\x00\x01", b"emial\nz@example.com\n"):
        (tmp_path / "odd").write_bytes(text)
        done = rosterd.cli("directory", "import", str(tmp_path / "odd"), "--reason", "x")
        assert done.returncode == 2, done.stderr
    assert "z@example.com" not in people(rosterd)
    for words in (["nothing"], [str(tmp_path)]):
        assert rosterd.cli("directory", "import", *words, "--reason", "x").returncode == 2
    assert rosterd.cli("directory", "import", str(tmp_path / "odd")).returncode == 2


def test_an_import_that_was_cut_off_goes_on(
    rosterd: Rosterd, importing: Import, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import worker.adapters.db.importing as adapter

    size = rosterd.settings.effective_batch_size
    text = jsonl(*({"email": f"u{i}@example.com"} for i in range(size * 3)))
    (tmp_path / "file").write_text(text)
    write, times = adapter.SQLImportWork.write, []

    def breaking(self: Any, *given: Any) -> None:
        write(self, *given)
        times.append(1)
        if len(times) == 2:
            raise UsageError("cut off")

    with monkeypatch.context() as patched:
        patched.setattr(adapter.SQLImportWork, "write", breaking)
        done = rosterd.cli("directory", "import", str(tmp_path / "file"), "--reason", "x")
    assert done.returncode == 2
    assert f"stopped after line {size}" in done.stderr
    assert len(people(rosterd)) == min(100, size + 1)
    _, summary, refused = importing(text)
    assert (summary["added"]["users"], summary["unchanged"], refused) == (size * 2, size, {})
    _, summary, _ = importing(text, "--after-line", str(size * 2))
    assert (summary["unchanged"], summary["through_line"]) == (size, size * 3)


def test_whatever_bytes_a_file_holds_each_line_is_read_or_refused(tmp_path: Path) -> None:
    file = tmp_path / "file"
    lines = st.lists(st.binary(max_size=40).map(lambda text: text.replace(b"\n", b"")), max_size=6)

    @patient(300)
    @given(head=st.sampled_from([b"email,given_name", b'{"email": "a@example.com"}']), rest=lines)
    def read(head: bytes, rest: list[bytes]) -> None:
        file.write_bytes(b"\n".join([head, *rest]))
        with file.open("rb") as source:
            try:
                found = list(records(source))
            except UsageError:
                return
        assert all(isinstance(one.fields, dict | RefusedLineError) for one in found)
        assert [one.number for one in found] == sorted({one.number for one in found})

    read()
