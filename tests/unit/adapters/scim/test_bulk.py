"""RFC 7644 3.7: what a bulk request is, in which order it is done, and what is told of it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.exploring import patient
from worker.adapters.scim.bulk import Done, Operation, in_order, read_bulk, references, run_bulk
from worker.adapters.scim.errors import SCIMError, invalid_value

BASE = "https://rosterd.example.com/scim/v2"


def creation(bulk_id: str, **data: Any) -> dict[str, Any]:
    return {"method": "POST", "path": "/Users", "bulkId": bulk_id, "data": data}


def run(*operations: Any, **more: Any) -> list[dict[str, Any]]:
    """Every creation gets the id `id-` and its bulkId; a title of "bad" is refused."""

    def perform(operation: Operation) -> Done:
        if isinstance(operation.data, dict) and operation.data.get("title") == "bad":
            raise invalid_value("bad")
        done.append(operation)
        id_ = operation.resource or f"id-{operation.bulk_id}"
        return Done(201, f"{BASE}/{operation.endpoint}/{id_}", 'W/"1"')

    done: list[Operation] = []
    response = run_bulk(read_bulk({"Operations": list(operations), **more}), perform, base=BASE)
    performed.clear()
    performed.extend(done)
    answers: list[dict[str, Any]] = response["Operations"]
    return answers


performed: list[Operation] = []


def test_references_become_ids_wherever_they_stand() -> None:
    team = {
        "method": "POST",
        "path": "/Groups",
        "bulkId": "t",
        "data": {"displayName": "T", "members": [{"value": "bulkId:a"}, {"value": "x"}]},
    }
    patch = {
        "method": "patch",
        "path": "Groups/bulkId:t",
        "data": {"Operations": [{"op": "remove", "path": 'members[value eq "bulkId:a"]'}]},
    }
    answers = run(patch, team, creation("a", userName="a"))
    assert [one["status"] for one in answers] == ["201"] * 3
    assert [one.endpoint for one in performed] == ["Users", "Groups", "Groups"]
    assert performed[1].data["members"] == [{"value": "id-a"}, {"value": "x"}]
    assert performed[2].resource == "id-t"
    assert performed[2].data["Operations"][0]["path"] == 'members[value eq "id-a"]'
    assert answers[0]["location"] == f"{BASE}/Groups/id-t"
    assert answers[2] == {
        "method": "POST",
        "bulkId": "a",
        "version": 'W/"1"',
        "location": f"{BASE}/Users/id-a",
        "status": "201",
    }


@pytest.mark.parametrize(
    "operations",
    [
        [creation("a", manager="bulkId:a")],
        [creation("a", manager="bulkId:b"), creation("b", manager="bulkId:a")],
        [creation("a", x="bulkId:b"), creation("b", x="bulkId:c"), creation("c", x="bulkId:a")],
    ],
)
def test_nothing_of_a_circle_is_done(operations: list[Any]) -> None:
    performed.clear()
    answers = run(creation("z"), *operations)
    assert [one["status"] for one in answers] == ["201", *["409"] * len(operations)]
    assert [one.bulk_id for one in performed] == ["z"]


def test_what_refers_to_a_circle_is_not_done() -> None:
    circle = creation("a", x="bulkId:b"), creation("b", x="bulkId:a")
    answers = run(creation("c", x="bulkId:a"), *circle, creation("d"))
    assert [one["status"] for one in answers] == ["409", "409", "409", "201"]


def test_what_refers_to_what_failed_fails_and_the_rest_is_done() -> None:
    answers = run(creation("a", title="bad"), creation("b", manager="bulkId:a"), creation("c"))
    assert [one["status"] for one in answers] == ["400", "400", "201"]
    assert "location" not in answers[0]
    assert answers[1]["response"]["scimType"] == "invalidValue"
    assert "bulkId:a" in answers[1]["response"]["detail"]


def test_after_so_many_errors_no_other_is_begun() -> None:
    bad = [creation(f"b{n}", title="bad") for n in range(3)]
    answers = run(bad[0], creation("a"), bad[1], creation("c"), failOnErrors=2)
    assert [one["status"] for one in answers] == ["400", "201", "400"]
    assert len(run(*bad, creation("d"))) == 4


@pytest.mark.parametrize(
    ("told", "scim_type"),
    [
        ("POST", "invalidSyntax"),
        ({"method": "GET", "path": "/Users/1"}, "invalidSyntax"),
        ({"path": "/Users/1", "data": {}}, "invalidSyntax"),
        ({"method": "POST", "path": "/Users", "data": {}}, "invalidValue"),
        ({"method": "POST", "path": "/Users/1", "bulkId": "z", "data": {}}, "invalidValue"),
        ({"method": "PUT", "path": "/Users", "data": {}}, "invalidValue"),
        ({"method": "PUT", "path": "/Bulk", "data": {}}, "invalidValue"),
        ({"method": "POST", "path": "/Bulk", "bulkId": "z", "data": {}}, "invalidValue"),
        ({"method": "POST", "path": "/Me", "bulkId": "z", "data": {}}, "invalidValue"),
        ({"method": "PATCH", "path": 7, "data": {}}, "invalidValue"),
        ({"method": "DELETE", "path": "/Users/\0"}, "invalidValue"),
        ({"method": "PATCH", "path": "/Users/1"}, "invalidSyntax"),
        ({"method": "DELETE", "path": "/Users/bulkId:none"}, "invalidValue"),
    ],
)
def test_an_operation_that_is_none_fails_alone(told: Any, scim_type: str) -> None:
    answers = run(told, creation("a"))
    assert [one["status"] for one in answers] == ["400", "201"]
    assert answers[0]["response"]["scimType"] == scim_type


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ([], 400),
        ({}, 400),
        ({"Operations": []}, 400),
        ({"Operations": {}}, 400),
        ({"Operations": [creation("a"), creation("a")]}, 400),
        ({"Operations": [creation("a")], "failOnErrors": 0}, 400),
        ({"Operations": [creation("a")], "failOnErrors": "1"}, 400),
        ({"Operations": [creation(str(n)) for n in range(1_001)]}, 413),
    ],
)
def test_what_is_no_bulk_request_is_refused_whole(body: Any, status: int) -> None:
    with pytest.raises(SCIMError) as refused:
        read_bulk(body)
    assert refused.value.status == status


@patient(200)
@given(data=st.data(), count=st.integers(1, 8))
def test_each_comes_behind_what_it_refers_to_and_the_rest_stays_in_order(
    data: st.DataObject, count: int
) -> None:
    told = [
        creation(
            str(n), refs=[f"bulkId:{r}" for r in data.draw(st.sets(st.integers(0, n))) if r < n]
        )
        for n in data.draw(st.permutations(range(count)))
    ]
    ordered = in_order(read_bulk({"Operations": told}).operations)
    ids = [one.bulk_id for one in ordered]
    assert sorted(ids, key=str) == sorted(map(str, range(count)))
    for place, one in enumerate(ordered):
        assert references(one) <= set(ids[:place])
    if not any(map(references, ordered)):
        assert [one.place for one in ordered] == list(range(count))
