"""What stays of a request that somebody else may see, and what does not."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import pytest

from domain.disguise import Disguise


def told(document: object, disguise: Disguise | None = None) -> Any:
    made = (disguise or Disguise(b"key")).body(json.dumps(document).encode())
    return json.loads(made)


def test_the_same_person_is_the_same_stand_in_wherever_they_stand() -> None:
    seen = told(
        {
            "name": "Ana Silva",
            "given": "ANA",
            "email": "ana.silva@acme.org",
            "again": "Ana.Silva@ACME.org",
            "note": "Ana left; write to <ana.silva@acme.org>.",
        }
    )
    first, family = seen["name"].split(" ")
    assert (len(first), len(family)) == (3, 5)
    assert first != "Ana"
    assert seen["given"] == first.upper()
    assert seen["email"] == f"{first}.{family}@r1.example.com".lower()
    assert seen["again"].lower() == seen["email"]
    assert f"<{seen['email']}>." in seen["note"]


def test_two_people_stay_two_and_another_recording_knows_nothing_of_it() -> None:
    numbers = [f"u{number}" for number in range(40)]
    seen = told(numbers)
    assert len(set(seen)) == 40
    assert not [one for one, other in zip(numbers, seen, strict=True) if one == other]
    assert told({"name": "Marguerite"}) != told({"name": "Marguerite"}, Disguise(b"other"))


def test_how_it_is_built_stays() -> None:
    document = {
        "type": "user.updated",
        "eventType": "user.lifecycle.suspend",
        "event_type_id": 551,
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "@odata.type": "#Microsoft.Graph.User",
        "members@delta": [],
        "state": "suspended",
        "name": "SUSPEND_USER",
        "parameter": "group_id",
        "published": "2026-03-09T08:30:00.250Z",
        "event_timestamp": "2017-12-05 19:13:06 UTC",
        "createInstant": 1773045000000,
        "active": False,
        "value": "False",
        "nothing": None,
        "empty": "",
        "status": 3,
    }
    assert told(document) == document


def test_a_state_that_is_a_place_is_none() -> None:
    assert told({"state": "Bavaria"})["state"] != "Bavaria"
    assert told({"birthday": "1990-01-02"})["birthday"] != "1990-01-02"


def test_lengths_cases_and_marks_stay() -> None:
    seen = told({"name": "Zoë O'Brien-Smith 李", "id": "00u1aB9", "n": 9007199254740993, "m": -42})
    assert [len(part) for part in seen["name"].split(" ")] == [3, 13, 1]
    assert seen["name"][5] == "'"
    assert len(seen["name"].encode()) == len("Zoë O'Brien-Smith 李".encode())
    assert [c.isdigit() for c in seen["id"]] == [c.isdigit() for c in "00u1aB9"]
    assert len(str(seen["n"])) == 16
    assert -100 < seen["m"] < -9


def test_paths_keep_their_words_and_lose_their_ids() -> None:
    seen = told(
        {
            "href": "https://api.pingone.eu/v1/environments/e17x/users/u29z/memberOfGroups/g88y",
            "resourcePath": "users/u29z/groups/g88y",
            "path": 'members[value eq "u29z"]',
            "url": "https://acme.okta.com/api/v1/users/u29z",
            "other": "https://sso.acme.org/users",
        }
    )
    user = seen["resourcePath"].split("/")[1]
    assert user != "u29z"
    assert f"/users/{user}/memberOfGroups/" in seen["href"]
    assert seen["href"].startswith("https://api.pingone.eu/v1/environments/")
    assert seen["path"] == f'members[value eq "{user}"]'
    assert "acme" not in seen["url"] + seen["other"]
    assert seen["url"].endswith(f".okta.com/api/v1/users/{user}")
    assert seen["other"] == "https://r1.example.com/users"


def test_what_is_inside_a_text_is_disguised_as_itself() -> None:
    inner = {"email": "ana@acme.org", "enabled": False}
    token = f"eyJhbGciOiJub25lIn0.{b64encode(json.dumps(inner).encode()).decode().rstrip('=')}.c2ln"
    seen = told(
        {
            "representation": json.dumps(inner),
            "event_payload": b64encode(json.dumps(inner).encode()).decode(),
            "token": token,
            "cut": '{"email": "ana@acme.org", "firstNa',
            "email": "ana@acme.org",
        }
    )
    assert json.loads(seen["representation"]) == {"email": seen["email"], "enabled": False}
    assert "acme" not in json.dumps(seen)
    head, _, mark = seen["token"].split(".")
    assert (head, mark) == ("eyJhbGciOiJub25lIn0", "AAAA")


@pytest.mark.parametrize("key", ["ana@acme.org", "Ana Silva", "4915112345678", "u1234"])
def test_a_member_that_is_called_like_somebody_is_not(key: str) -> None:
    (seen,) = told({key: True})
    assert seen != key


def test_uuids_stay_uuids_and_guests_stay_guests() -> None:
    seen = told(
        {
            "id": "6f1c0d2e-3b4a-4c5d-8e9f-0a1b2c3d4e5f",
            "same": "6F1C0D2E-3B4A-4C5D-8E9F-0A1B2C3D4E5F",
            "href": "https://api.pingone.eu/v1/users/6f1c0d2e-3b4a-4c5d-8e9f-0a1b2c3d4e5f",
            "upn": "ana_acme.org#EXT#@corp.onmicrosoft.com",
        }
    )
    assert seen["id"] == seen["same"] != "6f1c0d2e-3b4a-4c5d-8e9f-0a1b2c3d4e5f"
    assert [len(part) for part in seen["id"].split("-")] == [8, 4, 4, 4, 12]
    assert seen["href"].endswith(f"/users/{seen['id']}")
    assert "#EXT#@" in seen["upn"]


def test_headers_tell_programs_and_not_who() -> None:
    disguise = Disguise(b"key")
    assert disguise.header("content-type", "application/json") == "application/json"
    assert disguise.header("user-agent", "Okta-Hooks/1.0") == "Okta-Hooks/1.0"
    assert "ana" not in disguise.header("user-agent", "mine (ana@acme.org)").lower()
    assert disguise.header("webhook-id", "msg_2Lm9") != "msg_2Lm9"


@pytest.mark.parametrize(
    "body", [b"", b"\xff\xfeA\0n\0a\0", b"Ana Silva", b'{"name": "Ana Silva", NaN', b"[" * 5000]
)
def test_what_is_no_json_keeps_its_length_and_tells_nobody(body: bytes) -> None:
    seen = Disguise(b"key").body(body)
    assert len(seen) == len(body)
    assert b"Silva" not in seen


def test_what_is_left_is_found() -> None:
    disguise = Disguise(b"key")
    made = disguise.body(b'{"email": "ana@acme.org"}')
    assert not disguise.survives(made)
    assert disguise.survives(b"to Ana@Acme.org")
