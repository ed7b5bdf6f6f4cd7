"""OneLogin's event webhooks: every event of an account in batches, proven by a typed header.

Its documentation: developers.onelogin.com, api-docs/1/events/webhooks. A batch is a JSON array, or
a document a line ("SIEM (NDJSON)"). An event names its person by number, and no values of theirs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from typing import Any

import orjson

from domain import changes
from domain.hydration import Wanted, What
from domain.inbox import Kind
from domain.ports import Request, SigningSecret, UnparseableError
from worker.adapters.sources import fields, proofs
from worker.adapters.sources.strict_json import read_json
from worker.adapters.sources.thin import ThinSource
from worker.adapters.sources.webhook import Changes, Event, Rule

_NUMBER = re.compile(r"[1-9][0-9]{0,18}")
_ZONE = " UTC"


def number(value: object) -> str:
    """An id as OneLogin has it, a number or its digits, in digits; "" for anything else."""
    text = str(value) if isinstance(value, int | str) and not isinstance(value, bool) else ""
    return text if _NUMBER.fullmatch(text) else ""


def _id(event: Event, name: str) -> str:
    return fields.as_id(number(event.get(name)), name)


def _nothing(event: Event) -> Changes:  # noqa: ARG001
    return ()


def _out(event: Event) -> Changes:
    return (changes.SuspendUser(_id(event, "user_id")),) if _has_user(event) else ()


def _assigned(event: Event) -> Changes:
    if not _has_user(event):
        return ()
    return (changes.AddMember(_id(event, "role_id"), _id(event, "user_id")),)


def _has_edge(event: object) -> bool:
    names = ("role_id", "user_id")
    return all(fields.peek(event, name) is not None for name in names)


def _has_user(event: Event) -> bool:
    """What was tried and failed, or done to no one person, names nobody."""
    return event.get("user_id") is not None


_READ_FIRST = Rule(Kind.HYDRATE, _nothing)
#: Somebody was given a role.
_ROLE = "4"
_LOCKED = {"531": Rule(Kind.USERS_SUSPEND, _out), "553": Rule(Kind.USERS_SUSPEND, _out)}
#: By the number of the type (api-docs/1/events/types lists them). Which of 15 and 16 takes
#: somebody out, and whether 11 lets in or is a password, is told differently by those who wrote
#: of it: all three are read, and by themselves change nothing.
RULES: Mapping[str, Rule] = {
    _ROLE: Rule(Kind.GROUPS_ADD_MEMBERS, _assigned),
    "11": _READ_FIRST,
    "13": Rule(Kind.USERS_CREATE, _nothing),
    "14": _READ_FIRST,
    "15": _READ_FIRST,
    "16": _READ_FIRST,
    "17": Rule(Kind.USERS_SUSPEND, _out),
    "551": Rule(Kind.USERS_SUSPEND, _out),
    **_LOCKED,
}
#: A lock may end by itself, which only OneLogin knows.
_READ = {"11", "13", "14", "15", "16", *_LOCKED}


class OneloginSource(ThinSource):
    """Reads an array of events, one alone, or one a line; key `uuid`, else `create._id`.

    Clock: `event_timestamp`, in whole seconds. Roles are groups. Of types that are not in the table
    nothing is known here, which is most of what OneLogin sends.
    """

    name = "onelogin"
    has_static_secret = True
    #: An account holds everybody, whatever they may use.
    needs_scope = True
    rules = RULES
    #: An application joins or leaves a role; an assumed identity; a login, and one that failed.
    no_change = frozenset({"1", "2", "3", "5", "6"})

    def verify(
        self,
        request: Request,
        secrets: Sequence[SigningSecret],
        now: datetime,  # noqa: ARG002
    ) -> SigningSecret:
        """The secret in `Authorization`; raises NotAuthenticError. There is nothing to be stale."""
        return proofs.static(request, secrets)

    def opened(self, body: bytes) -> tuple[bytes, bool]:
        """A document a line becomes an array: what is to be cut is looked for in one document."""
        try:
            lines = _lines(body)
        except UnparseableError:
            return body, False
        return (body if lines is None else orjson.dumps(lines)), False

    def read(self, body: bytes) -> object:
        """The decoded document, or the list of those of its lines; raises UnparseableError."""
        lines = _lines(body)
        return read_json(body) if lines is None else lines

    def events(self, document: object) -> list[Any]:
        """Those of an array, or the one that the document is."""
        return document if isinstance(document, list) else super().events(document)

    def type_of(self, event: object) -> str:
        """The number of the type, in digits."""
        told = fields.peek(event, "event_type_id")
        return number(told) or (told if isinstance(told, str) else "")

    def key_of(self, event: object, request: Request, index: int) -> str:
        """OneLogin's id; of an event that bears none its content, which the time is part of."""
        key = fields.peek_text(event, "uuid") or fields.peek_text(event, "create", "_id")
        if not key and self.time_of(event, request, index) is not None:
            key = f"sha256:{sha256(fields.canonical(event)).hexdigest()}"
        return fields.event_key(key, f"[{index}].uuid")

    def time_of(self, event: object, request: Request, index: int) -> datetime | None:  # noqa: ARG002
        """When it happened, by OneLogin: `2017-12-05 19:13:06 UTC`, in its log RFC 3339."""
        told = fields.peek_text(event, "event_timestamp")
        return fields.moment(told.removesuffix(_ZONE) + "Z" if told.endswith(_ZONE) else told)

    def rule_of(self, event: object) -> Rule | None:
        """That of its type; of a role and a person whose type is not known, that they are read."""
        found = super().rule_of(event)
        return _READ_FIRST if found is None and _has_edge(event) else found

    def wanted(self, event: Event) -> Wanted | None:
        """Whoever was created or changed, or locked out; whether somebody has a role.

        By which number a role is taken away is not told where we read: whatever names a role and a
        person is asked about.
        """
        if self.type_of(event) not in RULES.keys() - {_ROLE} and _has_edge(event):
            return Wanted.member(_id(event, "role_id"), _id(event, "user_id"))
        if self.type_of(event) not in _READ or not _has_user(event):
            return None
        return Wanted(What.PERSON, _id(event, "user_id"))


def _lines(body: bytes) -> list[object] | None:
    """The documents of a body with one a line; None where it is one document.

    Raises UnparseableError for a line that is none.
    """
    lines = [line for line in body.splitlines() if line.strip()]
    if len(lines) < 2 or not all(line.lstrip().startswith(b"{") for line in lines):  # noqa: PLR2004
        return None
    try:
        read_json(body)
    except UnparseableError:
        return [read_json(line) for line in lines]
    return None
