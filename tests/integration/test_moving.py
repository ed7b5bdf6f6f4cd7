"""Several connections, replacement and moves: whose a person is, and how that changes (C1, U7)."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.command import Done
from tests.harness import Feed, Rosterd
from worker.adapters.db import rows


def lived(rosterd: Rosterd, **settings: Any) -> Feed:
    """Ana is active, Ben has an address to confirm, Cleo is out, Dan invited; a group of all."""
    feed = rosterd.account(name="acme", **settings)
    rosterd.tell(feed, "group.upserted", {"id": "g1", "name": "Engineering"})
    for key in ("ana", "ben", "cleo", "dan"):
        rosterd.hire(feed, key, given_name=key.title())
        if key != "dan":
            rosterd.accept(f"{key}@example.com")
        rosterd.tell(feed, "group.member_added", {"group_id": "g1", "user_id": key})
    rosterd.tell(feed, "user.email_changed", {"id": "ben", "email": "ben2@example.com"})
    rosterd.tell(feed, "user.suspended", {"id": "cleo"})
    return feed


def observing(rosterd: Rosterd, name: str, *more: str) -> Feed:
    """A further connection, which governs nobody yet."""
    words = ("--account", "acme", "--source", "standard", "--name", name, "--observe", "--json")
    done = rosterd.cli("connection", "add", *words, *more)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    return Feed(told["feed"], told["id"], told["signing_secret"])


def activate(rosterd: Rosterd, feed: Feed) -> None:
    words = ("--reason", "test", "--yes", "--wait", "0")
    done = rosterd.cli("connection", "go-live", feed.connection, *words)
    assert done.returncode == 0, done.stderr


def links(rosterd: Rosterd, feed: Feed) -> list[dict[str, Any]]:
    done = rosterd.cli("links", "export", feed.connection)
    return [json.loads(line) for line in done.stdout.splitlines()]


def written(path: Path, lines: list[Any]) -> str:
    path.write_text("".join(x if isinstance(x, str) else json.dumps(x) + "\n" for x in lines))
    return str(path)


def replaced(rosterd: Rosterd, old: Feed, new: Feed, *more: str) -> Done:
    words = ("connection", "replace", old.connection, new.connection, "--reason", "left", "--yes")
    return rosterd.cli(*words, *more)


def renamed(rosterd: Rosterd, old: Feed, path: Path, change: Any) -> str:
    lines = [{**x, "external_id": change(x["external_id"])} for x in links(rosterd, old)]
    return written(path, lines)


def directory(rosterd: Rosterd) -> list[dict[str, Any]]:
    """The export without the names of connections."""
    lines = [{**line, "connection": None} for line in rosterd.export()]
    return sorted(lines, key=lambda line: json.dumps(line, sort_keys=True))


def states(rosterd: Rosterd) -> dict[str | None, str]:
    return {line["external_id"]: line["state"] for line in rosterd.users()}


def test_c1_there_and_back_is_the_same_directory_and_nobody_is_mailed(
    rosterd: Rosterd, tmp_path: Path
) -> None:
    first = lived(rosterd)
    before, mailed = directory(rosterd), len(rosterd.mails())
    second = observing(rosterd, "second")
    there = renamed(rosterd, first, tmp_path / "there", lambda key: f"x-{key}")
    done = replaced(rosterd, first, second, "--map", "file", "--file", there)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "5 linked" in done.stdout
    assert states(rosterd) == {
        "x-ana": "active",
        "x-ben": "active",
        "x-cleo": "suspended",
        "x-dan": "invited",
    }
    third = observing(rosterd, "third")
    back = renamed(rosterd, second, tmp_path / "back", lambda key: key.removeprefix("x-"))
    assert replaced(rosterd, second, third, "--map", "file", "--file", back).returncode == 0
    assert directory(rosterd) == before
    assert len(rosterd.mails()) == mailed
    assert rosterd.accept("ben2@example.com") == 200, "what was pending is pending still"
    assert rosterd.accept("dan@example.com") == 200
    activate(rosterd, third)
    rosterd.tell(third, "user.upserted", {"id": "cleo", "email": "cleo@example.com"})
    assert states(rosterd)["cleo"] == "suspended", "being described brings nobody back"
    for type_, key in (("user.reactivated", "cleo"), ("user.suspended", "ana")):
        rosterd.tell(third, type_, {"id": key})
    assert states(rosterd) == {
        "ana": "suspended",
        "ben": "active",
        "cleo": "active",
        "dan": "active",
    }
    assert rosterd.user("ben")["email"] == "ben2@example.com"  # type: ignore[index]
    rosterd.tell(third, "group.member_removed", {"group_id": "g1", "user_id": "ben"})
    left = {x["user"] for x in rosterd.export() if x["kind"] == "membership"}
    assert left == {"ana", "cleo", "dan"}
    assert rosterd.tell(first, "user.suspended", {"id": "ben"}) == 401


def test_c1_the_same_ids_take_everything_over_without_a_file(rosterd: Rosterd) -> None:
    first = lived(rosterd)
    before = directory(rosterd)
    second = observing(rosterd, "second")
    told = replaced(rosterd, first, second, "--map", "same", "--dry-run", "--json")
    assert json.loads(told.stdout)["linked"] == 5
    assert {x["connection"] for x in rosterd.users()} == {"standard"}, "a dry run"
    assert replaced(rosterd, first, second, "--map", "same").returncode == 0
    assert directory(rosterd) == before
    assert {x["connection"] for x in rosterd.users()} == {"second"}


def test_c1_u7_by_address_at_first_contact_nobody_is_invited_or_let_in(rosterd: Rosterd) -> None:
    first = lived(rosterd)
    second = observing(rosterd, "second")
    mailed = len(rosterd.mails())
    assert replaced(rosterd, first, second).returncode == 0
    activate(rosterd, second)
    for key in ("ana", "ben", "cleo", "dan"):
        rosterd.hire(second, f"y-{key}", f"{key}@example.com")
    assert states(rosterd) == {
        "y-ana": "active",
        "y-ben": "active",
        "y-cleo": "suspended",
        "y-dan": "invited",
    }
    assert len(rosterd.mails()) == mailed
    assert len(rosterd.table(rows.people)) == 4
    rosterd.hire(second, "y-cleo", "cleo@example.com", active=True)
    assert states(rosterd)["y-cleo"] == "active"


def test_c1_s1_another_scope_suspends_nobody_who_was_taken_over(rosterd: Rosterd) -> None:
    first = lived(rosterd)
    second = observing(rosterd, "second", "--scope", "groups:staff")
    assert replaced(rosterd, first, second, "--map", "same").returncode == 0
    activate(rosterd, second)
    rosterd.hire(second, "ana", given_name="Anna")
    assert states(rosterd)["ana"] == "active"
    member = {"group_id": "staff", "user_id": "ana"}
    rosterd.tell(second, "group.upserted", {"id": "staff", "name": "Staff"})
    rosterd.tell(second, "group.member_added", member)
    rosterd.tell(second, "group.member_removed", member)
    assert states(rosterd)["ana"] == "suspended"


def test_c1_e5_who_was_taken_over_while_out_returns_with_another_address(rosterd: Rosterd) -> None:
    first = lived(rosterd)
    second = observing(rosterd, "second")
    assert replaced(rosterd, first, second, "--map", "same").returncode == 0
    activate(rosterd, second)
    rosterd.hire(second, "cleo", "cleo2@example.com", active=True)
    assert (states(rosterd)["cleo"], states(rosterd)[None]) == ("invited", "suspended")


def test_c1_import_says_line_by_line_what_it_cannot_link(rosterd: Rosterd, tmp_path: Path) -> None:
    first = lived(rosterd, several=True)
    other = rosterd.connect("acme", name="other")
    rosterd.hire(other, "eve")
    ids = {x["external_id"]: x["person"] for x in links(rosterd, first) if x["kind"] == "user"}
    guest = json.loads(
        rosterd.cli(
            *("user", "add", "--account", "acme", "gus@example.com", "--role", "guest", "--json")
        ).stdout
    )["id"]
    rosterd.cli("connection", "retire", first.connection, "--reason", "x", "--yes")
    file = written(
        tmp_path / "links",
        [
            {"external_id": "n-ana", "email": "ANA@example.com"},
            {"external_id": "n-ana", "person": ids["ben"]},
            {"external_id": "n-2", "person": ids["ana"]},
            "\n",
            "{not json}\n",
            {"external_id": "n-3"},
            {"external_id": "n-4", "email": "nobody@example.com"},
            {"external_id": "eve", "person": ids["cleo"]},
            {"external_id": "n-5", "email": "eve@example.com"},
            {"external_id": "n-6", "person": guest},
            {"external_id": "n-7\u0000", "person": ids["dan"]},
            {"kind": "group", "external_id": "n-g", "group": "con_nobody:g1"},
            {"external_id": "n-dan", "person": ids["dan"]},
        ],
    )
    words = ("links", "import", other.connection, file, "--reason", "move", "--yes", "--json")
    before = rosterd.export()
    trial = rosterd.cli(*words, "--dry-run")
    assert rosterd.export() == before
    done = rosterd.cli(*words)
    assert done.returncode == trial.returncode == 1
    told = json.loads(done.stdout)
    assert [(x["line"], x["problem"]) for x in told["lines"]] == [
        (1, ""),
        (2, "duplicate"),
        (3, "duplicate"),
        (5, "unreadable"),
        (6, "unreadable"),
        (7, "nobody"),
        (8, "external_id_taken"),
        (9, "linked_as"),
        (10, "guest"),
        (11, "unreadable"),
        (12, "nobody"),
        (13, ""),
    ]
    assert [x["problem"] for x in json.loads(trial.stdout)["lines"]] == [
        x["problem"] for x in told["lines"]
    ]
    assert (states(rosterd)["n-ana"], states(rosterd)["n-dan"]) == ("active", "invited")
    again = json.loads(rosterd.cli(*words).stdout)
    assert again["unchanged"] == 2, "twice is once"


def test_c1_a_circle_of_external_ids_is_refused_at_one_connection_and_taken_over_at_another(
    rosterd: Rosterd, tmp_path: Path
) -> None:
    first = lived(rosterd, several=True)
    people = [x for x in links(rosterd, first) if x["kind"] == "user"]
    keys = [x["external_id"] for x in people]
    turned = [
        {**x, "external_id": key} for x, key in zip(people, [*keys[1:], keys[0]], strict=True)
    ]
    file = written(tmp_path / "circle", turned)
    words = ("--reason", "turned round", "--yes", "--json")
    before = directory(rosterd)
    done = rosterd.cli("links", "import", first.connection, file, *words)
    assert done.returncode == 1
    assert {x["problem"] for x in json.loads(done.stdout)["lines"]} == {"linked_as"}
    assert directory(rosterd) == before
    other = rosterd.connect("acme", name="other")
    rosterd.cli("connection", "retire", first.connection, "--reason", "x", "--yes")
    done = rosterd.cli("links", "import", other.connection, file, *words)
    assert done.returncode == 0, done.stdout
    assert {x["external_id"]: x["person"] for x in links(rosterd, other)} == {
        x["external_id"]: x["person"] for x in turned
    }


def test_c1_replace_with_conflicts_changes_nothing_unless_it_may(
    rosterd: Rosterd, tmp_path: Path
) -> None:
    first = lived(rosterd)
    second = observing(rosterd, "second")
    lines = links(rosterd, first)
    file = written(tmp_path / "links", [*lines, {"external_id": "twice", **_who(lines[0])}])
    refused = replaced(rosterd, first, second, "--map", "file", "--file", file)
    assert refused.returncode == 1
    assert "--partial" in refused.stdout
    assert "retiring" not in refused.stdout
    assert {x["connection"] for x in rosterd.users()} == {"standard"}
    shown = replaced(rosterd, first, second, "--map", "same", "--dry-run")
    told = f"retiring {first.connection}, a dry run: nothing is changed\n  0 people leave"
    assert told in shown.stdout
    assert "credentials die at once" in shown.stdout
    assert {x["connection"] for x in rosterd.users()} == {"standard"}
    replaced(rosterd, first, second, "--map", "file", "--file", file, "--partial")
    assert {x["connection"] for x in rosterd.users()} == {"second"}


def _who(line: dict[str, Any]) -> dict[str, Any]:
    return {"person": line["person"]}


def test_c1_whose_a_person_is_holds_until_an_operator_moves_them(rosterd: Rosterd) -> None:
    first = rosterd.account(several=True)
    other = rosterd.connect("acme", name="other")
    rosterd.hire(first, "ana")
    rosterd.accept("ana@example.com")
    mailed = len(rosterd.mails())
    rosterd.tell(other, "user.upserted", {"id": "o-ana", "email": "ana@example.com"}, id_="theirs")
    assert rosterd.outcome("theirs") == ("dead", "owned_elsewhere")
    (letter,) = rosterd.dead()
    assert first.connection in letter["last_error"]
    (who,) = [row["id"] for row in rosterd.table(rows.people)]
    words = ("user", "move", who, "--to", other.connection, "--external-id", "o-ana")
    assert rosterd.cli(*words, "--reason", "x", "--dry-run").returncode == 0
    assert rosterd.users()[0]["connection"] == "standard"
    assert rosterd.cli(*words, "--reason", "joined their team").returncode == 0
    assert [(x["connection"], x["external_id"]) for x in rosterd.users()] == [("other", "o-ana")]
    rosterd.tell(first, "user.suspended", {"id": "ana"}, id_="ours")
    assert rosterd.outcome("ours") == ("dead", "owned_elsewhere")
    rosterd.tell(other, "user.suspended", {"id": "o-ana"})
    assert states(rosterd) == {"o-ana": "suspended"}
    back = ("user", "move", who, "--to", first.connection, "--external-id", "ana")
    assert rosterd.cli(*back, "--reason", "came back").returncode == 0
    rosterd.tell(first, "user.reactivated", {"id": "ana"})
    assert states(rosterd) == {"ana": "active"}
    assert len(rosterd.mails()) == mailed
    taken = rosterd.cli(*words[:-1], "ana", "--reason", "x")
    assert taken.returncode == 0
    actions = [row["reason"] for row in rosterd.table(rows.audit, rows.audit.c.subject == who)]
    assert {"joined their team", "came back"} <= set(actions)


def test_c1_of_two_connections_at_once_exactly_one_owns(postgres_url: str, tmp_path: Path) -> None:
    rosterd = Rosterd(postgres_url, tmp_path)
    with rosterd.serving():
        first = rosterd.account(several=True)
        other = rosterd.connect("acme", name="other")
        for round_ in range(5):
            for feed in (first, other):
                data = {"id": f"{feed.id}-{round_}", "email": f"r{round_}@example.com"}
                rosterd.tell(feed, "user.upserted", data, drain=False)
            with ThreadPoolExecutor(2) as pool:
                list(pool.map(lambda _n: rosterd.drain(), range(2)))
        rosterd.drain()
        assert len(rosterd.users()) == 5
        outcomes = sorted((row["outcome"], row["reason"] or "") for row in rosterd.events())
        assert outcomes == [("applied", "")] * 5 + [("dead", "owned_elsewhere")] * 5
    rosterd.close()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--map", "magic"), "email, file or same"),
        (("--map", "file"), "belong together"),
        (("--reason", " "), "--reason is needed"),
    ],
)
def test_c1_what_makes_no_sense_is_refused(
    rosterd: Rosterd, words: tuple[str, ...], says: str
) -> None:
    first = rosterd.account()
    second = observing(rosterd, "second")
    done = replaced(rosterd, first, second, *words)
    assert (done.returncode, says in done.stderr) == (2, True), done.stderr
    itself = replaced(rosterd, first, first)
    assert "no other connection" in itself.stderr
