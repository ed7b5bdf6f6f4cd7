"""What the command line does, and where `/api/v1` does it, or why it does not.

`python -m tests.parity` prints the table in deploy/parity.md; tests/integration/test_parity.py
holds both against the commands and the operations that there are.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping

#: By command: operations of the API, as its description names them.
ROUTES: Mapping[str, tuple[str, ...]] = {
    "account add": ("POST /accounts",),
    "account list": ("GET /accounts",),
    "account show": ("GET /accounts/{account}",),
    "account set": ("PATCH /accounts/{account}",),
    "audit list": ("GET /audit", "GET /groups/{group}/timeline"),
    "connection access": (
        "GET /connections/{connection}/access",
        "PUT /connections/{connection}/access",
        "DELETE /connections/{connection}/access",
        "POST /connections/{connection}/access/check",
    ),
    "connection subscriptions": (
        "GET /connections/{connection}/subscriptions",
        "POST /connections/{connection}/subscriptions/renew",
    ),
    "connection add": ("POST /connections",),
    "connection list": ("GET /connections",),
    "connection show": ("GET /connections/{connection}",),
    "connection watch": ("GET /events/tail",),
    "connection plan": ("POST /connections/{connection}/plans",),
    "connection go-live": ("POST /connections/{connection}/go-live",),
    "connection pause": ("POST /connections/{connection}/pause",),
    "connection resume": ("POST /connections/{connection}/resume",),
    "connection retire": ("POST /connections/{connection}/retire",),
    "connection replace": ("POST /connections/{connection}/replace",),
    "connection set": (
        "GET /connections/{connection}/settings",
        "PATCH /connections/{connection}/settings",
        "POST /connections/{connection}/address",
    ),
    "connection backfill": ("POST /connections/{connection}/reconciliations",),
    "connection list-is": ("POST /connections/{connection}/list",),
    "directory import": ("POST /accounts/{account}/directory",),
    "directory export": ("GET /accounts/{account}/directory",),
    "directory review": ("GET /accounts/{account}/access-review",),
    "domain allow": ("PUT /accounts/{account}/domains/{domain}",),
    "domain forbid": ("DELETE /accounts/{account}/domains/{domain}",),
    "domain list": ("GET /accounts/{account}/domains",),
    "domain check": ("GET /accounts/{account}/domains/check",),
    "endpoint add": ("POST /endpoints",),
    "endpoint list": ("GET /endpoints",),
    "endpoint show": ("GET /endpoints/{endpoint}", "GET /endpoints/{endpoint}/deliveries"),
    "endpoint test": ("POST /endpoints/{endpoint}/test",),
    "endpoint pause": ("POST /endpoints/{endpoint}/pause",),
    "endpoint resume": ("POST /endpoints/{endpoint}/resume",),
    "endpoint rotate": ("POST /endpoints/{endpoint}/rotate",),
    "endpoint remove": ("DELETE /endpoints/{endpoint}",),
    "dead list": ("GET /dead-letters",),
    "dead groups": ("GET /dead-letters/groups", "GET /dead-letters/groups/examples"),
    "dead note": ("POST /dead-letters/groups/notes", "GET /dead-letters/groups/notes"),
    "dead show": ("GET /dead-letters/{letter}", "GET /events/{event}"),
    "dead discard": ("POST /dead-letters/discard",),
    "dead restore": ("POST /dead-letters/restore",),
    "dead replay": ("POST /replays", "POST /replays/{replay}/start"),
    "erasure list": ("GET /erasures",),
    "erasure show": ("GET /erasures/{erasure}",),
    "erasure verify": ("GET /erasures/{erasure}/verification",),
    "event edit-and-replay": ("POST /events/{event}/edit-and-replay",),
    "record": ("POST /feeds/{feed}/recordings",),
    "reconcile": (
        "POST /connections/{connection}/reconciliations",
        "GET /connections/{connection}/reconciliations",
        "GET /reconciliations/{reconciliation}",
        "GET /reconciliations/{reconciliation}/differences",
        "POST /reconciliations/{reconciliation}/cancel",
    ),
    "replay list": ("GET /replays",),
    "replay show": (
        "GET /replays/{replay}",
        "GET /replays/{replay}/items",
        "GET /replays/{replay}/report",
    ),
    "replay plan": ("POST /replays",),
    "replay start": ("POST /replays/{replay}/start",),
    "replay pause": ("POST /replays/{replay}/pause",),
    "replay resume": ("POST /replays/{replay}/resume",),
    "replay cancel": ("POST /replays/{replay}/cancel",),
    "endpoint replay": ("POST /endpoints/{endpoint}/replay",),
    "event list": ("GET /events",),
    "event tail": ("GET /events/tail",),
    "event show": ("GET /events/{event}",),
    "feed add": ("POST /connections/{connection}/feeds",),
    "feed list": ("GET /connections/{connection}/feeds", "GET /feeds/{feed}"),
    "feed rotate": ("POST /feeds/{feed}/rotate",),
    "feed pause": ("POST /feeds/{feed}/pause",),
    "feed resume": ("POST /feeds/{feed}/resume",),
    "feed retire": ("POST /feeds/{feed}/retire",),
    "group list": ("GET /groups",),
    "group show": ("GET /groups/{group}", "GET /groups/{group}/members"),
    "group add": ("POST /groups",),
    "group rename": ("PATCH /groups/{group}",),
    "group grant": ("PUT /groups/{group}/permissions/{permission}",),
    "group revoke": ("DELETE /groups/{group}/permissions/{permission}",),
    "group delete": ("DELETE /groups/{group}",),
    "group move": ("POST /groups/{group}/move",),
    "group member add": ("PUT /groups/{group}/members/{user}",),
    "group member remove": ("DELETE /groups/{group}/members/{user}",),
    "hold list": ("GET /holds",),
    "hold show": ("GET /holds/{hold}",),
    "hold approve": ("POST /holds/{hold}/approve",),
    "hold reject": ("POST /holds/{hold}/reject",),
    "hold raise-once": ("POST /holds/{hold}/raise-once",),
    "links export": ("GET /connections/{connection}/links",),
    "links import": ("POST /connections/{connection}/links",),
    "mail preview": ("GET /accounts/{account}/mail-templates/{kind}/preview",),
    "mail template set": ("PUT /accounts/{account}/mail-templates/{kind}",),
    "mail template show": ("GET /accounts/{account}/mail-templates/{kind}",),
    "mail template list": ("GET /accounts/{account}/mail-templates",),
    "mail template reset": ("DELETE /accounts/{account}/mail-templates/{kind}",),
    "operator alerts": ("GET /alerts",),
    "operator add": ("POST /operators",),
    "operator list": ("GET /operators",),
    "operator role": ("PATCH /operators/{operator}",),
    "operator remove": ("DELETE /operators/{operator}",),
    "operator link": ("POST /operators/{operator}/link",),
    "operator password": ("PUT /operators/{operator}/password",),
    "operator sessions": ("GET /operators/{operator}/sessions",),
    "operator sign-out": (
        "DELETE /operators/{operator}/sessions",
        "DELETE /operators/{operator}/sessions/{session}",
    ),
    "source check": ("POST /sources/check",),
    "source list": ("GET /sources",),
    "status": ("GET /status",),
    "token add": ("POST /tokens",),
    "token list": ("GET /tokens",),
    "token revoke": ("DELETE /tokens/{token}",),
    "user list": ("GET /users",),
    "user show": ("GET /users/{user}", "GET /users/{user}/groups", "GET /users/{user}/standing"),
    "user timeline": ("GET /users/{user}/timeline",),
    "user add": ("POST /users",),
    "user role": ("PATCH /users/{user}",),
    "user break-glass": ("PUT /users/{user}/break-glass", "DELETE /users/{user}/break-glass"),
    "user suspend": ("POST /users/{user}/suspend",),
    "user reactivate": ("POST /users/{user}/reactivate",),
    "user change-email": ("PUT /users/{user}/email",),
    "user private-space": ("GET /users/{user}/can-open-private-space",),
    "user delete": ("DELETE /users/{user}",),
    "user revoke-invitation": ("POST /users/{user}/revoke-invitation",),
    "user bounce": ("POST /users/{user}/bounce",),
    "user override": ("PUT /users/{user}/override", "DELETE /users/{user}/override"),
    "user overrides": ("GET /overrides",),
    "user move": ("POST /users/{user}/move",),
    "user accept": ("POST /users/{user}/accept",),
    "user resend": ("POST /users/{user}/resend",),
}

PROCESS = "a process of this machine"
FILES = "files and keys of this machine"
#: Commands that the API has no part in, each with why.
OWN: Mapping[str, str] = {
    "backup": FILES,
    "beat": PROCESS,
    "completion": "the shell's own",
    "demo": PROCESS,
    "doctor": "looks at this machine's settings, broker and clock; `/health` tells the rest",
    "keys new": FILES,
    "keys rotate": FILES,
    "migrate": "the schema, before any process serves",
    "play": PROCESS,
    "restore": FILES,
    "up": PROCESS,
    "web": PROCESS,
    "worker": PROCESS,
    "connection check": "asks from outside whether requests come in; one to the API has",
}

#: Operations of the API that are no command of their own.
BESIDES: Mapping[str, str] = {
    "GET /problems/{code}": "what the code of an error means",
}


def table() -> str:
    """The table as Markdown."""
    lines = ["| `rosterd` | `/api/v1` |", "|---|---|"]
    told = {**{k: "<br>".join(f"`{one}`" for one in v) for k, v in ROUTES.items()}, **OWN}
    lines += [f"| `{command}` | {told[command]} |" for command in sorted(told)]
    return "\n".join(lines) + "\n"


def text() -> str:
    """The whole of deploy/parity.md."""
    return (
        "# Commands and the API\n\n"
        "What the command line does, `/api/v1` does, or it says why not (`python -m tests.parity`"
        " prints this anew).\n\n" + table()
    )


if __name__ == "__main__":
    sys.stdout.write(text())
