"""Operators sign in, are signed out, and others try to: over HTTP and the command line."""

from __future__ import annotations

import re
import threading
from datetime import timedelta
from typing import Any

import httpx2
import pytest
from sqlalchemy import update

from domain.errors import NothingFoundError, UsageError
from domain.permissions import Asker, NotPermittedError, Role, permissions_of
from domain.sign_in import FREE_OF_ADDRESS, FREE_OF_NAME, LINK_LIFE
from tests.harness import Rosterd
from worker.adapters.db import rows
from worker.adapters.db.operator_rows import operator_passwords, sessions, sign_in_tries
from worker.adapters.vault import token_digest
from worker.web.signin.session import COOKIE, SECURE_COOKIE

PASSWORD = "correct horse battery"
EVE = "eve@example.com"


def signed_in(rosterd: Rosterd, email: str = EVE, role: str = "viewer") -> str:
    """The browser signs in by a link; the cookie's value."""
    rosterd.operator(email, role)
    answer = rosterd.http.post(f"/sign-in/{rosterd.sign_in_link(email)}", follow_redirects=False)
    assert answer.status_code == 303
    return answer.cookies[COOKIE]


def status(rosterd: Rosterd, path: str = "/", **headers: str) -> int:
    return rosterd.http.get(path, headers=headers, follow_redirects=False).status_code


def with_password(rosterd: Rosterd, email: str = EVE) -> None:
    rosterd.operator(email)
    done = rosterd.cli("operator", "password", email, typed=PASSWORD + "\n")
    assert done.returncode == 0, done.stderr


def tell_password(rosterd: Rosterd, email: str, password: str, **more: Any) -> httpx2.Response:
    form = {"email": email, "password": password}
    answer: httpx2.Response = rosterd.http.post(
        "/sign-in", data={**form, **more}, follow_redirects=False
    )
    return answer


def moved(rosterd: Rosterd, **values: Any) -> None:
    """What time does to every session and link."""
    with rosterd.parts.database.begin() as connection:
        connection.execute(update(sessions).values(**values))
        connection.commit()


def audited(rosterd: Rosterd, action: str) -> list[dict[str, Any]]:
    return rosterd.table(rows.audit, rows.audit.c.action == action)


# -- links --------------------------------------------------------------------------------


def test_a_link_is_looked_at_by_scanners_and_used_once(rosterd: Rosterd) -> None:
    rosterd.operator(EVE)
    link = f"/sign-in/{rosterd.sign_in_link(EVE)}"
    for _ in range(3):
        assert "<form" in rosterd.http.get(link).text
        assert rosterd.http.head(link).status_code == 200
    assert not rosterd.http.cookies
    assert rosterd.http.post(link, follow_redirects=False).status_code == 303
    assert status(rosterd) == 200
    for again in (rosterd.http.get(link), rosterd.http.post(link)):
        assert again.status_code == 410
    (told,) = audited(rosterd, "operator.sign_in")
    assert told["actor"] == f"operator:{EVE}"
    assert b'"way":"link"' in told["after"]


def test_a_link_is_used_by_one_of_many_at_once(rosterd: Rosterd) -> None:
    rosterd.operator(EVE)
    link = rosterd.sign_in_link(EVE)
    opened: list[int] = []

    def use() -> None:
        answer = rosterd.http.post(f"/sign-in/{link}", follow_redirects=False)
        opened.append(answer.status_code)

    threads = [threading.Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(opened) == [303, *[410] * 7]


def test_a_link_ends_by_itself_and_with_its_operator(rosterd: Rosterd) -> None:
    rosterd.operator(EVE)
    late = rosterd.sign_in_link(EVE)
    moved(rosterd, expires_at=rosterd.now() - timedelta(seconds=1))
    assert status(rosterd, f"/sign-in/{late}") == 410
    assert rosterd.http.post(f"/sign-in/{late}").status_code == 410
    gone = rosterd.sign_in_link(EVE)
    (row,) = rosterd.table(sessions, sessions.c.hash == token_digest(gone))
    assert row["expires_at"] - rosterd.now() <= LINK_LIFE
    rosterd.cli("operator", "remove", EVE, "--reason", "left", "--yes")
    assert rosterd.http.post(f"/sign-in/{gone}").status_code == 410


def test_nothing_that_lets_somebody_in_is_stored_as_it_is(rosterd: Rosterd) -> None:
    token = signed_in(rosterd)
    with_password(rosterd, "bob@example.com")
    stored = str([rosterd.table(one) for one in (sessions, operator_passwords, rows.audit)])
    assert token not in stored
    assert PASSWORD not in stored
    assert "$argon2id$" in stored


# -- cookies --------------------------------------------------------------------------------


def test_the_cookie_is_for_this_host_for_requests_and_this_site_only(rosterd: Rosterd) -> None:
    rosterd.operator(EVE)
    answer = rosterd.http.post(f"/sign-in/{rosterd.sign_in_link(EVE)}", follow_redirects=False)
    told = answer.headers["set-cookie"].lower()
    assert {"httponly", "path=/", "samesite=lax"} <= {part.strip() for part in told.split(";")}
    assert "domain" not in told


def test_over_https_the_cookie_is_secure_and_bound_to_the_host(
    database_url: str, tmp_path: Any
) -> None:
    rosterd = Rosterd(database_url, tmp_path, ROSTERD_PUBLIC_URL="https://rosterd.example.com")
    with rosterd.serving():
        rosterd.operator(EVE)
        answer = rosterd.http.post(f"/sign-in/{rosterd.sign_in_link(EVE)}", follow_redirects=False)
        told = answer.headers["set-cookie"]
        assert told.startswith(f"{SECURE_COOKIE}=")
        assert "secure" in told.lower()
        token = told.partition("=")[2].partition(";")[0]
        assert status(rosterd, Cookie=f"{SECURE_COOKIE}={token}") == 200
        assert status(rosterd, Cookie=f"{COOKIE}={token}") == 303, "the name is part of the lock"
    rosterd.close()


@pytest.mark.parametrize("forged", ["", "guess", "a" * 43, "é", "%00", "x" * 4000])
def test_a_forged_cookie_opens_nothing(rosterd: Rosterd, forged: str) -> None:
    signed_in(rosterd)
    rosterd.http.cookies.clear()
    cookie = f"{COOKIE}={forged}".encode()
    for path in ("/", "/sessions", "/sign-out"):
        answer = rosterd.http.get(path, headers={b"cookie": cookie}, follow_redirects=False)
        assert answer.status_code == 303
        assert answer.headers["location"].startswith("/sign-in")
    assert rosterd.http.get("/status/stream", headers={b"cookie": cookie}).status_code in (303, 401)


def test_a_session_that_somebody_else_planted_is_not_taken_up(rosterd: Rosterd) -> None:
    rosterd.http.cookies.set(COOKIE, "planted-by-somebody-else-who-knows-it-0123456")
    token = signed_in(rosterd)
    assert token != "planted-by-somebody-else-who-knows-it-0123456"
    assert status(rosterd, Cookie=f"{COOKIE}=planted-by-somebody-else-who-knows-it-0123456") == 303


def test_signing_in_again_ends_the_session_that_the_browser_had(rosterd: Rosterd) -> None:
    first = signed_in(rosterd)
    rosterd.operator("bob@example.com")
    rosterd.http.post(f"/sign-in/{rosterd.sign_in_link('bob@example.com')}")
    assert "bob@example.com" in rosterd.http.get("/sign-out").text
    rosterd.http.cookies.clear()
    assert status(rosterd, Cookie=f"{COOKIE}={first}") == 303


# -- how long ---------------------------------------------------------------------------------


def test_an_unused_session_ends_and_a_used_one_goes_on(rosterd: Rosterd) -> None:
    signed_in(rosterd)
    now = rosterd.now()
    moved(rosterd, seen_at=now - timedelta(minutes=119), expires_at=now + timedelta(minutes=1))
    assert status(rosterd) == 200
    (row,) = rosterd.table(sessions)
    assert row["expires_at"] > rosterd.now() + timedelta(minutes=118), "used, so it goes on"
    moved(rosterd, expires_at=rosterd.now() - timedelta(seconds=1))
    assert status(rosterd) == 303


def test_however_much_it_is_used_a_session_ends(rosterd: Rosterd) -> None:
    signed_in(rosterd)
    now = rosterd.now()
    soon = now + timedelta(minutes=3)
    moved(rosterd, seen_at=now - timedelta(minutes=5), ends_at=soon, expires_at=soon)
    assert status(rosterd) == 200
    (row,) = rosterd.table(sessions)
    assert row["expires_at"] == row["ends_at"]


def test_a_session_of_the_release_before_is_over_its_operator_is_not(rosterd: Rosterd) -> None:
    signed_in(rosterd)
    moved(rosterd, id=None, seen_at=None, made_at=None, ends_at=None)
    assert status(rosterd) == 303
    rosterd.http.post(f"/sign-in/{rosterd.sign_in_link(EVE)}")
    assert status(rosterd) == 200


# -- taken away -------------------------------------------------------------------------------


def test_what_was_taken_away_a_second_ago_is_gone(rosterd: Rosterd) -> None:
    token = signed_in(rosterd, role="admin")
    use = rosterd.parts.operators.sign_in
    asker = use.asker(token)
    assert asker is not None
    assert asker.permissions == permissions_of(Role.ADMIN)
    assert rosterd.cli("operator", "role", EVE, "viewer").returncode == 0
    asker = use.asker(token)
    assert asker is not None
    assert asker.permissions == permissions_of(Role.VIEWER)
    rosterd.cli("operator", "remove", EVE, "--reason", "left", "--yes")
    assert use.asker(token) is None
    assert status(rosterd) == 303


def test_a_role_that_a_later_release_gave_opens_nothing(rosterd: Rosterd) -> None:
    from worker.adapters.db.operator_rows import operators

    token = signed_in(rosterd)
    with rosterd.parts.database.begin() as connection:
        connection.execute(update(operators).values(role="superadmin"))
        connection.commit()
    assert rosterd.parts.operators.sign_in.asker(token) is None


def test_sessions_are_listed_and_ended(rosterd: Rosterd) -> None:
    here = signed_in(rosterd)
    there = rosterd.session(EVE)
    bobs = rosterd.session(rosterd.operator("bob@example.com"))
    page = rosterd.http.get("/sessions").text
    assert page.count("Sign out</button>") == 2, "a viewer sees their own"
    listed = rosterd.json("operator", "sessions", EVE)
    assert {one["address"] for one in listed} == {"", "192.0.2.1"}
    assert len(rosterd.json("operator", "sessions")) == 3
    (other,) = [one["id"] for one in listed if one["address"] == "192.0.2.1"]
    (bob,) = [one["id"] for one in rosterd.json("operator", "sessions", "bob@example.com")]
    csrf = {"csrf": rosterd.csrf()}
    assert rosterd.http.post(f"/sessions/{bob}/end", data=csrf).status_code == 404
    assert rosterd.http.post(f"/sessions/{other}/end").status_code == 403
    assert rosterd.http.post(f"/sessions/{other}/end", data=csrf).status_code == 200
    use = rosterd.parts.operators.sign_in
    assert use.asker(there) is None
    assert use.asker(here) is not None
    assert use.asker(bobs) is not None
    done = rosterd.cli("operator", "sign-out", "bob@example.com", "--reason", "laptop lost")
    assert "ended: 1" in done.stdout
    assert use.asker(bobs) is None
    ended = audited(rosterd, "operator.end_session")
    assert [row["reason"] for row in ended] == ["", "laptop lost"]


def test_an_admin_ends_others_sessions_on_the_page(rosterd: Rosterd) -> None:
    signed_in(rosterd, role="admin")
    bobs = rosterd.session(rosterd.operator("bob@example.com"))
    assert "bob@example.com" in rosterd.http.get("/sessions").text
    (bob,) = rosterd.json("operator", "sessions", "bob@example.com")
    rosterd.http.post(f"/sessions/{bob['id']}/end", data={"csrf": rosterd.csrf()})
    assert rosterd.parts.operators.sign_in.asker(bobs) is None


# -- posts from elsewhere ---------------------------------------------------------------------

ELSEWHERE: list[dict[str, str]] = [
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://testserver.evil.example"},
    {"Sec-Fetch-Site": "cross-site", "Origin": "http://testserver"},
]


@pytest.mark.parametrize("headers", ELSEWHERE)
def test_a_post_from_another_site_does_nothing(rosterd: Rosterd, headers: dict[str, str]) -> None:
    signed_in(rosterd)
    csrf = {"csrf": rosterd.csrf()}
    out = rosterd.http.post("/sign-out", data=csrf, headers=headers)
    assert out.status_code == 403
    assert status(rosterd) == 200
    link = f"/sign-in/{rosterd.sign_in_link(EVE)}"
    assert rosterd.http.post(link, headers=headers).status_code == 403
    assert rosterd.http.get(link).status_code == 200, "not used up"
    with_password(rosterd, "bob@example.com")
    form = {"email": "bob@example.com", "password": PASSWORD}
    assert rosterd.http.post("/sign-in", data=form, headers=headers).status_code == 403


def test_a_post_without_this_sessions_token_does_nothing(rosterd: Rosterd) -> None:
    signed_in(rosterd)
    mine = rosterd.csrf()
    rosterd.operator("bob@example.com")
    rosterd.http.cookies.clear()
    rosterd.http.post(f"/sign-in/{rosterd.sign_in_link('bob@example.com')}")
    assert rosterd.csrf() != mine
    for wrong in ({}, {"csrf": ""}, {"csrf": mine}, {"csrf": "é" * 64}):
        assert rosterd.http.post("/sign-out", data=wrong).status_code == 403
    same = {"Sec-Fetch-Site": "same-origin", "Origin": "http://testserver"}
    done = rosterd.http.post("/sign-out", data={"csrf": rosterd.csrf()}, headers=same)
    assert done.status_code == 200
    assert status(rosterd) == 303


def test_a_form_of_any_size_is_not_taken(rosterd: Rosterd) -> None:
    assert rosterd.http.post("/sign-in", content=b"a=" + b"b" * 70_000).status_code == 413
    many = b"&".join(b"a%d=b" % n for n in range(2000))
    assert rosterd.http.post("/sign-in", content=many).status_code == 400
    assert rosterd.http.post("/sign-in", content=b"\xff\xfe&%ff").status_code == 401


# -- passwords --------------------------------------------------------------------------------


def test_a_password_signs_in_and_leads_back(rosterd: Rosterd) -> None:
    assert 'type="password"' not in rosterd.http.get("/sign-in").text, "nobody has one"
    with_password(rosterd)
    asked = rosterd.http.get("/dead?group=1", follow_redirects=False)
    assert asked.status_code == 404
    asked = rosterd.http.get("/sessions?x=1", follow_redirects=False)
    assert asked.headers["location"] == "/sign-in?next=%2Fsessions%3Fx%3D1"
    assert 'value="/sessions?x=1"' in rosterd.http.get(asked.headers["location"]).text
    done = tell_password(rosterd, "Eve@Example.com", PASSWORD, next="/sessions?x=1")
    assert (done.status_code, done.headers["location"]) == (303, "/sessions?x=1")
    assert status(rosterd) == 200
    assert rosterd.http.get("/sign-in", follow_redirects=False).status_code == 303


def test_after_a_password_nobody_is_sent_to_another_site(rosterd: Rosterd) -> None:
    with_password(rosterd)
    done = tell_password(rosterd, EVE, PASSWORD, next="//evil.example/")
    assert done.headers["location"] == "/"


def test_a_wrong_name_and_a_wrong_password_are_answered_alike(rosterd: Rosterd) -> None:
    with_password(rosterd)
    rosterd.operator("linked@example.com")
    answers = {
        re.sub(r'value="[^"]*"', "", tell_password(rosterd, name, guess).text)
        for name, guess in (
            (EVE, "wrong password here"),
            ("nobody@example.com", PASSWORD),
            ("linked@example.com", PASSWORD),
            ("", PASSWORD),
            (EVE, ""),
        )
    }
    assert len(answers) == 1
    assert "name or password is wrong" in answers.pop()


def test_a_name_without_a_password_costs_a_hash_too(
    rosterd: Rosterd, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

    with_password(rosterd)
    passwords = rosterd.parts.operators.passwords
    asked: list[str] = []

    class Counted:
        @staticmethod
        def verify_phc_encoded(raw: bytes, stored: str) -> None:
            asked.append(stored.rpartition("$")[0].rpartition("$")[0])
            Argon2id.verify_phc_encoded(raw, stored)

    monkeypatch.setattr("worker.adapters.passwords.Argon2id", Counted)
    (row,) = rosterd.table(operator_passwords)
    assert passwords.is_right(PASSWORD, row["hash"])
    assert not passwords.is_right(PASSWORD, None)
    assert len(asked) == 2
    assert asked[0] == asked[1], "of the same cost"


def test_guessing_one_name_has_to_wait_whether_it_is_an_operators_or_not(rosterd: Rosterd) -> None:
    with_password(rosterd)
    for name in (EVE, "nobody@example.com"):
        seen = [tell_password(rosterd, name, f"guess {n}") for n in range(FREE_OF_NAME + 2)]
        assert [one.status_code for one in seen] == [401] * FREE_OF_NAME + [429] * 2
        assert 0 < int(seen[-1].headers["retry-after"]) <= 30
    right = tell_password(rosterd, EVE.upper(), PASSWORD)
    assert right.status_code == 429, "the right one waits, too, or guessing would go on"
    with rosterd.parts.database.begin() as connection:
        connection.execute(update(sign_in_tries).values(free_at=rosterd.now()))
        connection.commit()
    assert tell_password(rosterd, EVE, PASSWORD).status_code == 303
    rosterd.http.cookies.clear()
    again = [tell_password(rosterd, EVE, f"guess {n}").status_code for n in range(FREE_OF_NAME)]
    assert again == [401] * FREE_OF_NAME, "the right one begins anew"


def test_a_link_gets_in_past_whoever_guesses(rosterd: Rosterd) -> None:
    with_password(rosterd)
    for n in range(FREE_OF_NAME + 1):
        tell_password(rosterd, EVE, f"guess {n}")
    assert rosterd.http.post(f"/sign-in/{rosterd.sign_in_link(EVE)}").status_code == 200
    assert status(rosterd) == 200


def test_guessing_many_names_from_one_address_has_to_wait(rosterd: Rosterd) -> None:
    with_password(rosterd)
    seen = [
        tell_password(rosterd, f"n{n}@example.com", "guess").status_code
        for n in range(FREE_OF_ADDRESS + 1)
    ]
    assert seen == [401] * FREE_OF_ADDRESS + [429]
    elsewhere = {"X-Forwarded-For": "203.0.113.9"}
    rosterd.http.headers.update(elsewhere)
    assert tell_password(rosterd, EVE, PASSWORD).status_code in (303, 429)


def test_many_guesses_at_once_are_no_more_than_one_after_the_other(rosterd: Rosterd) -> None:
    with_password(rosterd)
    seen: list[int] = []

    def guess(n: int) -> None:
        seen.append(tell_password(rosterd, EVE, f"guess {n}").status_code)

    threads = [threading.Thread(target=guess, args=(n,)) for n in range(FREE_OF_NAME * 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen.count(401) == FREE_OF_NAME
    assert seen.count(429) == FREE_OF_NAME * 2


def test_right_passwords_of_one_office_do_not_add_up(rosterd: Rosterd) -> None:
    with_password(rosterd)
    for _ in range(FREE_OF_ADDRESS + 3):
        rosterd.http.cookies.clear()
        assert tell_password(rosterd, EVE, PASSWORD).status_code == 303


def test_a_new_password_signs_out_and_an_easy_one_is_refused(rosterd: Rosterd) -> None:
    token = signed_in(rosterd)
    done = rosterd.cli("operator", "password", EVE, typed="short\n")
    assert (done.returncode, "12 to 200" in done.stderr) == (2, True)
    assert rosterd.parts.operators.sign_in.asker(token) is not None
    assert rosterd.cli("operator", "password", EVE, typed="").returncode == 2
    assert rosterd.cli("operator", "password", EVE, typed=f"{PASSWORD}\n").returncode == 0
    assert rosterd.parts.operators.sign_in.asker(token) is None
    assert tell_password(rosterd, EVE, PASSWORD).status_code == 303
    assert rosterd.cli("operator", "password", EVE, "--remove").returncode == 0
    assert tell_password(rosterd, EVE, PASSWORD).status_code == 401
    told = [row["action"] for row in rosterd.table(rows.audit) if "password" in row["action"]]
    assert told == ["operator.password", "operator.no_password"]


# -- who may appoint whom ---------------------------------------------------------------------


@pytest.fixture
def accounts(rosterd: Rosterd) -> dict[str, str]:
    """A parent, its child, a stranger; by name."""
    found: dict[str, str] = {}
    for name, parent in (("parent", None), ("child", "parent"), ("stranger", None)):
        with rosterd.setup() as use:
            of = found.get(parent) if parent else None
            found[name] = use.add_account(name, owner=None, domains=[], parent=of, several=False)
    return found


def asker(rosterd: Rosterd, email: str) -> Asker:
    found = rosterd.parts.operators.sign_in.asker(rosterd.session(email))
    assert found is not None
    return found


def test_c4_an_admin_of_an_account_appoints_in_it_and_below_it(
    rosterd: Rosterd, accounts: dict[str, str]
) -> None:
    admin = asker(rosterd, rosterd.operator("p@example.com", "admin", account=accounts["parent"]))
    rosterd.operator("all@example.com", "admin")
    rosterd.operator("s@example.com", "viewer", account=accounts["stranger"])
    appoint = rosterd.parts.operators.appoint
    assert admin.accounts == frozenset({accounts["parent"], accounts["child"]})
    appoint.add(admin, "c@example.com", "editor", account=accounts["child"], reason="new")
    assert [one["email"] for one in appoint.all(admin)] == ["c@example.com", "p@example.com"]
    for account in (accounts["stranger"], "acc_nobody"):
        with pytest.raises(NothingFoundError):
            appoint.add(admin, "x@example.com", "viewer", account=account)
    with pytest.raises(UsageError, match="name an account"):
        appoint.add(admin, "x@example.com", "viewer", account=None)
    for email in ("all@example.com", "s@example.com", "nobody@example.com"):
        rosterd_session = "ses_nobody"
        for forbidden in (
            lambda e=email: appoint.set_role(admin, e, "viewer"),
            lambda e=email: appoint.remove(admin, e, reason="x"),
            lambda e=email: appoint.link(admin, e),
            lambda e=email: appoint.set_password(admin, e, PASSWORD),
            lambda e=email: appoint.sessions(admin, e),
            lambda e=email: appoint.end_sessions(admin, e),
            lambda s=rosterd_session: appoint.end_session(admin, s),
        ):
            with pytest.raises(NothingFoundError):
                forbidden()
    strangers = rosterd.session("s@example.com")
    (held,) = rosterd.json("operator", "sessions", "s@example.com")
    assert "s@example.com" not in {one.email for one in appoint.sessions(admin)}
    with pytest.raises(NothingFoundError):
        appoint.end_session(admin, held["id"])
    assert rosterd.parts.operators.sign_in.asker(strangers) is not None
    child = asker(rosterd, "c@example.com")
    assert child.accounts == frozenset({accounts["child"]})
    (told,) = audited(rosterd, "operator.add")[3:]
    assert (told["actor"], told["reason"]) == ("operator:p@example.com", "new")
    assert told["account_id"] == accounts["child"]


@pytest.mark.parametrize("role", ["viewer", "operator", "editor"])
def test_whoever_is_no_admin_appoints_nobody(rosterd: Rosterd, role: str) -> None:
    who = asker(rosterd, rosterd.operator(EVE, role))
    rosterd.operator("bob@example.com")
    appoint = rosterd.parts.operators.appoint
    for forbidden in (
        lambda: appoint.all(who),
        lambda: appoint.add(who, "x@example.com", "admin", account=None),
        lambda: appoint.set_role(who, EVE, "admin"),
        lambda: appoint.link(who, "bob@example.com"),
        lambda: appoint.set_password(who, "bob@example.com", PASSWORD),
        lambda: appoint.remove(who, "bob@example.com", reason="x"),
        lambda: appoint.sessions(who),
        lambda: appoint.sessions(who, "bob@example.com"),
        lambda: appoint.end_sessions(who, "bob@example.com"),
    ):
        with pytest.raises(NotPermittedError):
            forbidden()
    assert len(appoint.sessions(who, EVE)) == 1, "one's own are one's own"


# -- the command line -------------------------------------------------------------------------


def test_every_operator_command_speaks_json_and_leaves_an_audit_row(rosterd: Rosterd) -> None:
    rosterd.account()
    added = rosterd.json("operator", "add", EVE, "--role", "editor", "--reason", "hired")
    assert added["role"] == "editor"
    assert rosterd.json("operator", "role", EVE, "admin", "--reason", "promoted") == {
        "email": EVE,
        "role": "admin",
        "was": "editor",
    }
    made = rosterd.json("operator", "link", EVE, "--reason", "first day")
    assert made["url"].startswith("http://127.0.0.1:8080/sign-in/")
    dry = rosterd.json("operator", "remove", EVE, "--reason", "left", "--dry-run")
    assert dry == {"email": EVE, "role": "admin"}
    assert [one["email"] for one in rosterd.json("operator", "list")] == [EVE]
    rosterd.json("operator", "remove", EVE, "--reason", "left", "--yes")
    assert rosterd.json("operator", "list") == []
    told = [
        (row["action"], row["subject"], row["reason"], row["before"], row["after"])
        for row in rosterd.table(rows.audit)
        if row["action"].startswith("operator.")
    ]
    assert told == [
        ("operator.add", EVE, "hired", b"null", b'{"role":"editor"}'),
        ("operator.role", EVE, "promoted", b'{"role":"editor"}', b'{"role":"admin"}'),
        ("operator.link", EVE, "first day", b"null", b"null"),
        ("operator.remove", EVE, "left", b'{"role":"admin"}', b"null"),
    ]


@pytest.mark.parametrize(
    "words",
    [
        ("role", "nobody@example.com", "admin"),
        ("link", "nobody@example.com"),
        ("remove", "nobody@example.com", "--reason", "x", "--yes"),
        ("password", "nobody@example.com", "--remove"),
        ("sign-out", "nobody@example.com"),
        ("sign-out", EVE, "--session", "ses_nobody"),
    ],
)
def test_nobody_is_no_operator(rosterd: Rosterd, words: tuple[str, ...]) -> None:
    rosterd.operator(EVE)
    done = rosterd.cli("operator", *words)
    assert done.returncode == 3
    assert "there is no" in done.stderr


def test_an_operator_is_one_whatever_the_case(rosterd: Rosterd) -> None:
    rosterd.operator(EVE)
    done = rosterd.cli("operator", "add", "EVE@example.com")
    assert (done.returncode, "an operator already" in done.stderr) == (2, True)
    assert rosterd.cli("operator", "add", "new@example.com", "--role", "root").returncode == 2


# -- what browsers are told -------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    ["/", "/sign-in", "/sign-in/x", "/sign-out", "/sessions", "/invitations/x", "/no-such-page"],
)
def test_every_page_bears_the_same_headers(rosterd: Rosterd, path: str) -> None:
    signed_in(rosterd)
    answer = rosterd.http.get(path, follow_redirects=False)
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert ("script-src" in policy) == (path in ("/", "/no-such-page"))
    assert answer.headers["referrer-policy"] == "same-origin"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", ["/", "/sign-in", "/sign-out", "/sessions"])
def test_no_page_has_script_or_style_in_it(rosterd: Rosterd, path: str) -> None:
    signed_in(rosterd)
    text = rosterd.http.get(path).text
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=", text)


def test_what_a_browser_says_of_itself_is_shown_and_never_run(rosterd: Rosterd) -> None:
    rosterd.http.headers["user-agent"] = "<script>alert(1)</script>"
    signed_in(rosterd)
    page = rosterd.http.get("/sessions").text
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page
