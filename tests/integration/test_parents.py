"""C4: a parent's token sees and works its children, and nobody else's; never the other way."""

from __future__ import annotations

import json

from tests.api import Client, is_problem
from tests.harness import Rosterd

SCOPES = ("directory:read", "directory:write")


def test_c4_a_parents_token_works_its_children_and_nobody_elses(rosterd: Rosterd) -> None:
    people = {}
    for name, parent in (("msp", None), ("child", "msp"), ("below", "child"), ("other", None)):
        more = ("--parent", parent) if parent else ()
        assert rosterd.cli("account", "add", name, "--domain", "example.com", *more).returncode == 0
        words = ("--account", name, f"{name}@example.com", "--json")
        people[name] = json.loads(rosterd.cli("user", "add", *words).stdout)["id"]
    owned = {
        row["name"]: row["id"]
        for row in json.loads(rosterd.cli("account", "list", "--json").stdout)
    }
    seen = {
        name: {
            one
            for one, person in people.items()
            if Client(rosterd, *SCOPES, account=name).ask("GET", f"/users/{person}").status_code
            == 200
        }
        for name in owned
    }
    assert seen == {
        "msp": {"msp", "child", "below"},
        "child": {"child", "below"},
        "below": {"below"},
        "other": {"other"},
    }
    app = Client(rosterd, *SCOPES, account="msp")
    told = app.ask("PATCH", f"/users/{people['below']}", json={"role": "administrator"})
    assert told.status_code == 200, told.text
    assert [one["email"] for one in app.all("/users")] == ["msp@example.com"]
    listed = app.all("/users", account=owned["child"])
    assert [one["email"] for one in listed] == ["child@example.com"]
    made = app.post("/groups", {"name": "Crew", "account": owned["child"]}, 201)
    path = f"/groups/{made['id']}/members/{people['child']}"
    assert app.ask("PUT", path).status_code in {200, 204}
    for method, path, body in (
        ("PATCH", f"/users/{people['other']}", {"role": "administrator"}),
        ("POST", f"/users/{people['other']}/suspend", None),
        ("GET", f"/users?account={owned['other']}", None),
    ):
        is_problem(app.ask(method, path, json=body), 404, "not_found")
    assert app.ask("POST", f"/users/{people['below']}/suspend").status_code == 200
    for client, status in ((Client(rosterd, *SCOPES, account="other"), 404), (app, 204)):
        gone = client.ask("DELETE", f"/users/{people['below']}", headers={"X-Reason": "left"})
        assert gone.status_code == status, gone.text
    child = Client(rosterd, *SCOPES, account="child")
    refused = child.ask("PATCH", f"/users/{people['msp']}", json={"role": "owner"})
    is_problem(refused, 404, "not_found")
