"""No secret is compared with a comparison that stops early; the rule is shown that it bites."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest

from tests.architecture import rules
from tests.architecture.secret_comparisons import hasty_comparisons


def found_in(text: str) -> list[str]:
    return hasty_comparisons(rules.Source(PurePosixPath("worker/web/a.py"), text))


def test_secrets_are_compared_in_constant_time() -> None:
    examined = rules.sources("domain", "worker")
    assert examined
    assert [line for source in examined for line in hasty_comparisons(source)] == []
    callers = [source for source in examined if "compare_digest(" in source.text]
    assert len(callers) >= 3, "or the names that are looked for are no longer those in use"


@pytest.mark.parametrize(
    "mistake",
    [
        "if told == secret.value: ...",
        "ok = token == settings.metrics_token.get_secret_value()",
        "if request.headers['authorization'] != expected: ...",
        "if request.headers.get('webhook-signature') == expected: ...",
        "if form['csrf_token'] != session['csrf_token']: ...",
        "if expected_hmac == offered: ...",
        "if hmac.digest(key, signed, 'sha256') == offered: ...",
        "ok = any(signature == one for one in offered)",
        "if bearer in known: ...",
        "if sha256(x).digest() == kept: ...",
        "select(table).where(table.c.token == offered)",
        "select(table).where(table.c.hash == offered)",
    ],
)
def test_catches(mistake: str) -> None:
    assert found_in(mistake)


@pytest.mark.parametrize(
    "fine",
    [
        "hmac.compare_digest(told, secret)",
        "if len(token) == 43: ...",
        "if secret is None or secret == '': ...",
        "if 'token' in request.path_params: ...",
        "select(table).where(table.c.hash == token_digest(token))",
        "select(secrets).where(secrets.c.feed_id == feed)",
        "on = accounts.c.secret_id == secrets.c.id",
        "if kind == wanted: ...",
        "if settled == again: ...",
    ],
)
def test_lets_pass(fine: str) -> None:
    assert found_in(fine) == []
