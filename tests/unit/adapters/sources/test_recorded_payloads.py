"""Bodies and signatures that vendors and others published, read from beside the repository."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from domain import changes
from domain.inbox import Kind, Reason
from domain.ports import NotAuthenticError, Parsed, Request, SigningSecret, UnparseableError
from worker.adapters.sources.okta import OktaSource
from worker.adapters.sources.standard import StandardSource
from worker.adapters.sources.workos import WorkosSource

Send = Callable[..., Request]
STANDARD, OKTA, WORKOS = StandardSource(), OktaSource(), WorkosSource()


@pytest.fixture(scope="module")
def vectors(payloads: Path) -> dict[str, dict[str, Any]]:
    listed = json.loads((payloads / "vectors/signature-vectors.json").read_bytes())
    return {vector["name"]: vector for vector in listed}


@pytest.mark.parametrize("prefix", ["webhook", "svix"])
@pytest.mark.parametrize(
    ("name", "valid"),
    [
        ("standard-webhooks-symmetric", True),
        ("svix-docs-symmetric", True),
        ("standard-webhooks-ed25519", True),
        ("wrong-signature", False),
        ("rotation-list-one-valid", True),
        ("right-signature-wrong-version-tag", False),
    ],
)
def test_published_signature(
    vectors: dict[str, dict[str, Any]], prefix: str, name: str, valid: bool
) -> None:
    vector = vectors[name]
    assert vector["valid"] is valid
    secret = SigningSecret("k", vector.get("secret") or vector["public_key"])
    headers = {f"{prefix}-{part}": vector[part] for part in ("id", "timestamp", "signature")}
    request = Request("POST", headers, vector["body"].encode())
    sent = datetime.fromtimestamp(int(vector["timestamp"]), UTC)
    if valid:
        assert STANDARD.verify(request, [secret], sent) is secret
    with pytest.raises(NotAuthenticError) as refusal:
        STANDARD.verify(request, [secret], sent + timedelta(days=1))
    assert refusal.value.reason == ("stale" if valid else "wrong")


@pytest.mark.parametrize("name", ["unpadded-secret-one", "unpadded-secret-two"])
def test_secret_without_padding(
    vectors: dict[str, dict[str, Any]], send_standard: Send, now: datetime, name: str
) -> None:
    signed = send_standard(b"{}", secret=vectors[name]["equals_secret"])
    secret = SigningSecret("k", vectors[name]["secret"])
    assert STANDARD.verify(signed, [secret], now) is secret


def test_every_vector_of_ours_is_tried(vectors: dict[str, dict[str, Any]]) -> None:
    ours = {name for name, it in vectors.items() if it["scheme"].startswith("standard-webhooks")}
    assert ours == {
        "standard-webhooks-symmetric",
        "svix-docs-symmetric",
        "standard-webhooks-ed25519",
        "wrong-signature",
        "rotation-list-one-valid",
        "right-signature-wrong-version-tag",
    }


IGNORED_OKTA = {
    "eventhook-application.user_membership.add-null-target": Reason.NO_DIRECTORY_CHANGE,
    "eventhook-batch-of-two": Reason.UNKNOWN_TYPE,
    "eventhook-group.user_membership.add-null-target": Reason.NO_DIRECTORY_CHANGE,
    "eventhook-security.breached_credential.detected": Reason.UNKNOWN_TYPE,
    "eventhook-user.session.start": Reason.UNKNOWN_TYPE,
    "logevent-user.account.lock": Reason.UNKNOWN_TYPE,
    "logevent-user.account.update_password": Reason.UNKNOWN_TYPE,
    "logevent-user.session.clear": Reason.UNKNOWN_TYPE,
}
APPLIED_OKTA: dict[str, type[changes.Change]] = {
    "logevent-group.user_membership.add": changes.AddMember,
    "logevent-group.user_membership.remove": changes.RemoveMember,
    "logevent-user.lifecycle.create": changes.ProvisionUser,
    "logevent-user.lifecycle.deactivate": changes.SuspendUser,
    "logevent-user.lifecycle.suspend": changes.SuspendUser,
}


def okta_delivery(path: Path) -> dict[str, Any]:
    """The recorded delivery, or a recorded log event in the envelope that deliveries have."""
    document: dict[str, Any] = json.loads(path.read_bytes())
    return document if path.stem.startswith("eventhook-") else {"data": {"events": [document]}}


@pytest.mark.parametrize("name", sorted([*IGNORED_OKTA, *APPLIED_OKTA]))
def test_recorded_okta_event(payloads: Path, send_okta: Send, name: str) -> None:
    request = send_okta(okta_delivery(payloads / f"okta/{name}.json"))
    document = OKTA.read(request.body)
    split = OKTA.split(document, request)
    assert all(one.id and one.occurred_at for one in split)
    for index, one in enumerate(split):
        parsed = OKTA.parse(document, index)
        if name in IGNORED_OKTA:
            assert parsed == Parsed(ignored=IGNORED_OKTA[name])
        else:
            assert [type(change) for change in parsed.changes] == [APPLIED_OKTA[name]]
            assert one.subject


def test_recorded_okta_batch_is_split(payloads: Path, send_okta: Send) -> None:
    request = send_okta(okta_delivery(payloads / "okta/eventhook-batch-of-two.json"))
    assert len({one.id for one in OKTA.split(OKTA.read(request.body), request)}) == 2


def test_every_okta_body_is_tried(payloads: Path) -> None:
    assert {it.stem for it in payloads.glob("okta/*.json")} == {*IGNORED_OKTA, *APPLIED_OKTA}


APPLIED_WORKOS: dict[str, tuple[Kind, type[changes.Change]]] = {
    "dsync.user.created": (Kind.USERS_CREATE, changes.ProvisionUser),
    "dsync.user.updated": (Kind.USERS_UPDATE, changes.ProvisionUser),
    "dsync.user.deleted": (Kind.USERS_SUSPEND, changes.SuspendUser),
    "dsync.group.created": (Kind.GROUPS_UPSERT, changes.PutGroup),
    "dsync.group.updated": (Kind.GROUPS_UPSERT, changes.PutGroup),
    "dsync.group.deleted": (Kind.GROUPS_DELETE, changes.DeleteGroup),
    "dsync.group.user_added": (Kind.GROUPS_ADD_MEMBERS, changes.AddMember),
    "dsync.group.user_removed": (Kind.GROUPS_REMOVE_MEMBERS, changes.RemoveMember),
}
IGNORED_WORKOS = {
    **{
        f"dsync.{verb}": Reason.NO_DIRECTORY_CHANGE
        for verb in ("activated", "deactivated", "deleted")
    },
    **{
        f"authkit-{thing}.{verb}": Reason.UNKNOWN_TYPE
        for thing in ("user", "organization_membership")
        for verb in ("created", "updated", "deleted")
    },
}
OLD_WORKOS = "dsync.user.created-2021-okta-raw"


@pytest.mark.parametrize("name", sorted([*APPLIED_WORKOS, *IGNORED_WORKOS]))
def test_recorded_workos_event(payloads: Path, send_workos: Send, now: datetime, name: str) -> None:
    request = send_workos((payloads / f"workos/{name}.json").read_bytes())
    secret = SigningSecret("k", "wos")
    assert WORKOS.verify(request, [secret], now) is secret
    document = WORKOS.read(request.body)
    (split,) = WORKOS.split(document, request)
    assert split.occurred_at
    parsed = WORKOS.parse(document, 0)
    if name in IGNORED_WORKOS:
        assert parsed == Parsed(ignored=IGNORED_WORKOS[name])
        return
    kind, change = APPLIED_WORKOS[name]
    assert (split.kind, [type(one) for one in parsed.changes]) == (kind, [change])
    assert split.subject.startswith("directory_")


def test_old_workos_shape_names_what_is_missing(payloads: Path, send_workos: Send) -> None:
    request = send_workos((payloads / f"workos/{OLD_WORKOS}.json").read_bytes())
    document = WORKOS.read(request.body)
    (split,) = WORKOS.split(document, request)
    assert (split.id, split.kind) == ("wh_123", Kind.USERS_CREATE)
    with pytest.raises(UnparseableError) as refusal:
        WORKOS.parse(document, 0)
    assert refusal.value.place == "data.email"


def test_every_workos_body_is_tried(payloads: Path) -> None:
    bodies = {it.stem for it in payloads.glob("workos/*.json")}
    assert bodies == {*APPLIED_WORKOS, *IGNORED_WORKOS, OLD_WORKOS}
