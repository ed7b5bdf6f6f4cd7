"""Which customer an event concerns, where the sender speaks for several."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from worker.adapters.sources.registry import SOURCES

RECORDED = {
    "auth0/user.updated": {"my-tenant"},
    "clerk/user.created": {"ins_123"},
    "entra/graph-message-created": {"84bd8158-6d4d-4958-8b9f-9d6445542f95"},
    "fusionauth/user.deactivate": {"a743e2cd-55bb-789c-b076-8846fdd3a51f"},
    "keycloak/native-admin-GROUP_MEMBERSHIP-CREATE": {"393de734-2ae6-4d87-8f13-512d50f8d87c"},
    "polis/user.created": {"ory", "58b5cd9dfaa39d47eb8f5f88631f9a629a232016"},
    "scalekit/organization.directory.group_created": {
        "org_38609339635728478",
        "dir_38610496391217780",
    },
    "workos/dsync.user.created": {
        "org_01EZTR6WYX1A0DSE2CYMGXQ24Y",
        "directory_01ECAZ4NV9QMV47GW873HDCX74",
    },
    "zitadel/user.human.added": {"312909075211944344", "312909075211878808"},
}


@pytest.mark.parametrize("file", RECORDED)
def test_recorded_event_tells_its_customer(payloads: Path, file: str) -> None:
    source = SOURCES[file.partition("/")[0]]
    document = json.loads((payloads / f"{file}.json").read_bytes())
    assert source.tells_tenant
    assert source.parse(document, 0).tenants == RECORDED[file]


def test_whoever_tells_no_customer_says_so() -> None:
    told = {name for name, source in SOURCES.items() if source.tells_tenant}
    assert told == {name.partition("/")[0] for name in RECORDED}
