"""A stored request as somebody else may see it: disguised, and compared with what it was."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from domain.disguise import Disguise
from domain.ports import Request, Source
from worker.adapters.request_check import content_of


@dataclass(frozen=True, slots=True)
class Recorded:
    """A request without a proof. is_faithful: whether its source makes of it what it made before.

    body None: something of somebody was left in it; it is given to nobody. asked: what the source
    makes of each event of the disguised request, `asked_of`.
    """

    headers: Mapping[str, str]
    body: bytes | None = field(repr=False)
    is_faithful: bool
    asked: list[dict[str, Any]] = field(default_factory=list)


def recorded(
    source: Source, headers: Mapping[str, str], body: bytes, disguise: Disguise
) -> Recorded:
    """The disguised request; never raises for what the request holds."""
    told = disguise.body(body)
    shown = {name: disguise.header(name, value) for name, value in headers.items()}
    if disguise.survives(told) or disguise.survives("\n".join(shown.values()).encode()):
        return Recorded({}, None, is_faithful=False)
    before, after = _shape(source, headers, body), _shape(source, shown, told)
    return Recorded(shown, told, before == after, asked_of(source, shown, told))


def asked_of(source: Source, headers: Mapping[str, str], body: bytes) -> list[dict[str, Any]]:
    """Type, kind and changes of each event by name, and why one is ignored or not understood."""
    looked = content_of(source, Request("POST", headers, body))
    names = ("type", "kind", "ignored", "unparseable")
    return [
        {
            **{name: one[name] for name in names if name in one},
            "changes": [change["change"] for change in one["changes"]],
        }
        for one in looked["events"]
    ]


def _shape(source: Source, headers: Mapping[str, str], body: bytes) -> list[Any]:
    """What the request is taken for, without whom it is about."""
    looked = content_of(source, Request("POST", headers, body))
    return [looked.get("unparseable"), *(_event(one) for one in looked["events"])]


def _event(one: Mapping[str, Any]) -> tuple[Any, ...]:
    names = ("type", "kind", "lane", "ignored", "unparseable", "signal")
    changes = [(change["change"], sorted(change)) for change in one["changes"]]
    return (*(one.get(name) for name in names), "whose" in one, changes)
