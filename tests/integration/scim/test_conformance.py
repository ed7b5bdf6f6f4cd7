"""scim2-tester, the public conformance checker, against the service as it is set up by default."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx2

from tests.harness import Rosterd
from tests.scim import speaking

if TYPE_CHECKING:
    # Its models take seconds to build, and every process of the suite imports every test.
    from scim2_tester import CheckResult

#: None of which the checker has people in: it makes logins that are no addresses, and random ones.
DOMAIN = "example.com"


def checked(rosterd: Rosterd, **settings: Any) -> list[CheckResult]:
    from scim2_client.engines.httpx2 import SyncSCIMClient
    from scim2_tester import check_server

    feed = rosterd.account(DOMAIN, source="scim", **settings)
    token = speaking(rosterd, feed).token
    with httpx2.Client(
        transport=rosterd.http._transport,
        base_url=f"{rosterd.http.base_url}/scim/v2",
        headers={"Authorization": f"Bearer {token}"},
    ) as client:
        return check_server(SyncSCIMClient(client))


def told(results: list[CheckResult]) -> list[str]:
    """What did not pass, with the reason."""
    from scim2_tester import Status

    passed = (Status.SUCCESS, Status.COMPLIANT, Status.ACCEPTABLE)
    return [
        f"{one.title} {one.resource_type}: {one.reason}"
        for one in results
        if one.status not in passed
    ]


def test_nothing_fails(rosterd: Rosterd) -> None:
    results = checked(rosterd)
    assert told(results) == []
    assert len(results) > 120


def test_nothing_fails_by_the_letter(rosterd: Rosterd) -> None:
    assert told(checked(rosterd, scim_strict="on")) == []
