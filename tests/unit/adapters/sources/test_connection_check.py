"""The test event of `rosterd connection check`, as each source takes it: authentic, and ignored."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from domain.inbox import Reason
from domain.ports import Parsed, Request, SigningSecret
from worker.adapters.sources.registry import SOURCES
from worker.cli import reach, sender
from worker.cli.sender import Hook, Sender, Sent

#: SCIM is spoken elsewhere, and of a token's sender rosterd has no key.
UNSPOKEN = {"scim", "set"}


def test_every_source_that_can_be_is_checked() -> None:
    assert set(reach._SPEAK) == SOURCES.keys() - UNSPOKEN


@pytest.mark.parametrize("name", reach._SPEAK)
def test_check_is_authentic_and_touches_nobody(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    source, out = SOURCES[name], []

    def caught(request: Sent, **_: float) -> int:
        out.append(request)
        return source.success_status

    monkeypatch.setattr(sender, "send", caught)
    secret = SigningSecret("k", source.new_secret())
    status = reach._SPEAK[name](Sender(Hook("http://127.0.0.1/hooks/fed_1", secret.value)))
    assert status == source.success_status
    (sent,) = out
    headers = {key.lower(): value for key, value in sent.headers.items()}
    request = Request("POST", headers, sent.body)
    assert source.verify(request, [secret], datetime.now(UTC)) is secret
    document = source.read(sent.body)
    (split,) = source.split(document, request)
    assert split.type == reach.CHECKED_TYPE
    assert source.parse(document, 0) == Parsed(ignored=Reason.UNKNOWN_TYPE)
