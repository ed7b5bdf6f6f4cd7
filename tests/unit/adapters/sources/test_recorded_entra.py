"""Requests of Microsoft Graph as they were recorded or published: a verdict for each."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from domain import changes as c
from domain.hydration import What
from domain.inbox import Kind, Reason
from domain.ports import NotAuthenticError, Request, SigningSecret
from tests.unit.adapters.sources.asking import NOW
from worker.adapters.sources.detection import detected
from worker.adapters.sources.entra import EntraSource
from worker.cli.captured import read_request

SOURCE = EntraSource()
SECRET = SigningSecret("k", "the secret of a test")
#: One event: its kind, and what is read, what is asked or why nothing is.
Event = tuple[Kind, What | list[type] | Reason]

PERSON = (Kind.HYDRATE, What.PERSON)
GROUP = (Kind.HYDRATE, What.GROUP)
VERDICTS: Mapping[str, list[Event]] = {
    "graph-user-updated": [PERSON],
    "graph-group-deleted-arrives-as-updated": [GROUP],
    "graph-group-updated-members-delta": [
        GROUP,
        (Kind.GROUPS_ADD_MEMBERS, [c.AddMember]),
    ],
    "graph-lifecycle": [(Kind.SORT, Reason.NO_DIRECTORY_CHANGE)],
    "graph-message-created": [(Kind.SORT, Reason.UNKNOWN_TYPE)],
    "graph-rich-encrypted": [(Kind.SORT, Reason.UNKNOWN_TYPE)],
    "eventgrid-UserUpdated": [PERSON],
    "eventgrid-GroupUpdated": [GROUP],
    "eventgrid-UserDeleted": [(Kind.USERS_SUSPEND, [c.SuspendUser])],
    "eventgrid-GroupDeleted": [(Kind.GROUPS_DELETE, [c.DeleteGroup])],
}
#: Records of the audit log, as diagnostic settings export them: Graph sends no such notification,
#: and nothing in them proves a sender. They are refused.
NO_NOTIFICATIONS = {
    "auditlog-AddMemberToGroup",
    "auditlog-AddMemberToGroup-2",
    "auditlog-AddUser",
    "auditlog-RemoveMemberFromGroup",
}


def with_secret(node: Any) -> Any:
    """The document with our secret where the recorded one was taken out, or never was."""
    if isinstance(node, list):
        return [with_secret(one) for one in node]
    if not isinstance(node, dict):
        return node
    told = {name: with_secret(value) for name, value in node.items()}
    return told | ({"clientState": SECRET.value} if "subscriptionId" in node else {})


@pytest.mark.parametrize("name", VERDICTS)
def test_recorded_notification(payloads: Path, name: str) -> None:
    raw = (payloads / f"entra/{name}.json").read_bytes()
    with pytest.raises(NotAuthenticError):
        SOURCE.verify(Request("POST", {}, raw), [SECRET], NOW)
    assert detected(Request("POST", {}, raw))[:1] == ["entra"]
    body = json.dumps(with_secret(json.loads(raw))).encode()
    request = Request("POST", {}, body)
    assert SOURCE.verify(request, [SECRET], NOW) is SECRET
    document = SOURCE.read(SOURCE.opened(body)[0])
    split = SOURCE.split(document, request)
    parsed = [SOURCE.parse(document, index) for index in range(len(split))]
    told: list[Event] = []
    for event, asked in zip(split, parsed, strict=True):
        is_read = asked.wants is not None and not asked.changes
        said = asked.wants.what if is_read and asked.wants else [type(o) for o in asked.changes]
        told.append((event.kind, said or asked.ignored or []))
        assert event.id
    assert told == VERDICTS[name]


def test_recorded_handshake(payloads: Path) -> None:
    request = read_request(payloads / "entra/graph-validation.headers.txt")
    assert detected(request) == ["entra"]
    assert SOURCE.verify(request, [SECRET], NOW) is SECRET
    reply = SOURCE.handshake(request)
    assert reply is not None
    assert reply.body.startswith(b"Validation: Testing client application reachability for")


@pytest.mark.parametrize("name", sorted(NO_NOTIFICATIONS))
def test_audit_log_records_are_no_notifications(payloads: Path, name: str) -> None:
    raw = (payloads / f"entra/{name}.json").read_bytes()
    with pytest.raises(NotAuthenticError) as refusal:
        SOURCE.verify(Request("POST", {}, raw), [SECRET], NOW)
    assert refusal.value.reason == "missing"


def test_no_recorded_body_is_without_a_verdict(payloads: Path) -> None:
    found = {it.stem for it in (payloads / "entra").glob("*.json")}
    assert found == VERDICTS.keys() | NO_NOTIFICATIONS
