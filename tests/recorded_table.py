"""What becomes of every recorded file: `python -m tests.recorded` prints the table.

A row: the file, its source here, how it proves itself, how many events it holds, what they ask and,
where others said it, what the event was meant as. Nothing is stored, nobody is asked.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from domain.ports import (
    KeysNeededError,
    NotAuthenticError,
    Parsed,
    Request,
    SigningSecret,
    Source,
    UnparseableError,
)
from tests.transmitter import Transmitter
from tests.unit.adapters.sources.asking import NOW
from worker.adapters.scim.errors import SCIMError
from worker.adapters.scim.prepass import read_body
from worker.adapters.sources import jws
from worker.adapters.sources.registry import SOURCES
from worker.cli.captured import BESIDE, read_request
from worker.cli.signing import SIGN

#: Folders whose files are requests of a source of another name.
RENAMED = {"scim-events": "set", "ssf": "set"}
#: Folders of what rosterd has no webhook source for, and why.
ELSEWHERE = {
    "authentik": "a template without id, time and proof: authentik pushes SCIM",
    "bamboohr": "no source: a person of an HR system is no account yet; reach it through WorkOS",
    "jumpcloud": "records of a log that has no webhook: JumpCloud pushes SCIM",
}
#: Files that are no request, and what they are.
NO_REQUESTS = {
    "ssf/duo-example-jwks.json": "a key set",
    "ssf/duo-example-polling-response.json": "an answer to polling (RFC 8936), which is not done",
    "ssf/duo-example-stream-config.json": "a stream's configuration",
    "ssf/duo-example-transmitter-config.json": "a transmitter's configuration",
    "ssf/signed-set-es256-jwks.json": "a key set: proves signed-set-es256-verification.jwt",
    "vectors/signature-vectors.json": "signatures with their keys: test_recorded_payloads.py",
    "fusionauth/signature-header-example.txt": "a header whose key and body are not published",
}
#: What rosterd refuses because its provider sends no such request, and nothing in it proves one.
_REFUSED = "refused: nothing in it proves a sender"
OURS = "by a key of ours: theirs is not published"


@dataclass(frozen=True, slots=True)
class Row:
    """One file. events: None where it is no delivery. outcome: "" would be no verdict."""

    file: str
    source: str
    proof: str
    events: int | None
    outcome: str
    meant: str = ""


def rows(folder: Path) -> Iterator[Row]:
    """Every file below the folder, but the two that list them."""
    listed = folder / "index.json"
    index = json.loads(listed.read_bytes()) if listed.is_file() else []
    meant = {one["file"]: one["op"] for one in index}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and "/" in name:
            yield replace(_row(path, name), meant=meant.get(name, ""))


def _row(path: Path, name: str) -> Row:
    place = name.partition("/")[0]
    if name in NO_REQUESTS:
        return Row(name, "", "", None, NO_REQUESTS[name])
    if name.endswith(BESIDE) and path.with_name(_body_of(path)).is_file():
        return Row(name, "", "", None, f"headers of {_body_of(path)}")
    if place in ELSEWHERE:
        return Row(name, "", "", None, ELSEWHERE[place])
    if place in {"scim-entra", "scim-okta"}:
        return _scim(path, name)
    source = SOURCES.get(RENAMED.get(place, place))
    return Row(name, "", "", None, "") if source is None else _delivery(path, name, source)


def _body_of(path: Path) -> str:
    stem = path.name.removesuffix(BESIDE)
    return next((one.name for one in path.parent.glob(f"{stem}.*") if one != path), f"{stem}.json")


def _scim(path: Path, name: str) -> Row:
    """A request to `/scim/v2`: read as its service reads it."""
    request = read_request(path)
    try:
        told = read_body(request.body)
    except SCIMError as error:
        return Row(name, "scim", "bearer token, not recorded", None, f"refused: {error}")
    operations = told.get("Operations") if isinstance(told, dict) else None
    if not isinstance(operations, list):
        return Row(name, "scim", "bearer token, not recorded", 1, "a whole resource")
    words = ", ".join(str(one.get("op", "")).lower() for one in operations)
    return Row(name, "scim", "bearer token, not recorded", 1, f"patch: {words}")


def _delivery(path: Path, name: str, source: Source) -> Row:
    given = read_request(path)
    # In braces stands what was left out of a header.
    told = {key: value for key, value in given.headers.items() if "{" not in value}
    given = replace(given, headers=told)
    if name.endswith(BESIDE):
        # Headers alone: what stands below them is a note.
        given = replace(given, body=b"")
    request, secret, proof = _MADE.get(source.name, _signed)(source, given, path)
    try:
        proven = source.verify(request, [secret], NOW) is secret
    except (NotAuthenticError, KeysNeededError):
        proven = False
    reply = source.handshake(request) if proven else None
    if reply is not None:
        return Row(name, source.name, proof, 0, f"answered with {reply.status}: a handshake")
    if not proven:
        return Row(name, source.name, "none", None, _REFUSED)
    return _read(name, source, request, proof)


def _read(name: str, source: Source, request: Request, proof: str) -> Row:
    body, _ = source.opened(source.content(request))
    try:
        document = source.read(body)
        split = source.split(document, replace(request, body=body))
    except UnparseableError as error:
        return Row(name, source.name, proof, 1, f"dead letter: {error}")
    told = [_asked(source, document, index) for index in range(len(split))]
    return Row(name, source.name, proof, len(split), "; ".join(told) or "nothing")


def _asked(source: Source, document: object, index: int) -> str:
    try:
        return _words(source.parse(document, index))
    except UnparseableError as error:
        return f"dead letter: {error}" + (", read where there is access" if error.wants else "")


def _words(parsed: Parsed) -> str:
    told = ", ".join(type(change).__name__ for change in parsed.changes)
    if not told and parsed.signal is not None:
        return f"passed on as {parsed.signal.name}"
    if parsed.wants is not None:
        return f"read the {parsed.wants.what}" + (f" (without access: {told})" if told else "")
    return told or f"ignored: {parsed.ignored}"


Made = tuple[Request, SigningSecret, str]


def _signed(source: Source, request: Request, path: Path) -> Made:
    secret = SigningSecret("k", source.new_secret())
    if source.name not in SIGN:
        return request, secret, "none"
    headers = {**request.headers, **SIGN[source.name](secret.value, request.body, NOW)}
    return replace(request, headers=headers), secret, OURS


def _okta(source: Source, request: Request, path: Path) -> Made:
    """A log event in the envelope in which hooks deliver it."""
    if not path.name.startswith("eventhook-"):
        whole = {"data": {"events": [json.loads(request.body)]}}
        request = replace(request, body=json.dumps(whole).encode())
    return _signed(source, request, path)


def _onelogin(source: Source, request: Request, path: Path) -> Made:
    """Without id and time their publisher cut them off: then they are given some."""
    document = json.loads(request.body)
    if isinstance(document, dict) and "uuid" not in document:
        whole = {**document, "uuid": "e1", "event_timestamp": "2026-03-09 08:30:00 UTC"}
        request = replace(request, body=json.dumps([whole]).encode())
    return _signed(source, request, path)


def _entra(source: Source, request: Request, path: Path) -> Made:
    secret = SigningSecret("k", source.new_secret())
    if not request.body:
        return request, secret, "none: Graph asks before it sends"
    body = json.dumps(_with_state(json.loads(request.body), secret.value)).encode()
    return replace(request, body=body), secret, OURS


def _with_state(node: Any, secret: str) -> Any:
    if isinstance(node, list):
        return [_with_state(one, secret) for one in node]
    if not isinstance(node, dict):
        return node
    told = {name: _with_state(value, secret) for name, value in node.items()}
    return told | ({"clientState": secret} if "subscriptionId" in node else {})


def _set(source: Source, request: Request, path: Path) -> Made:
    """Claims signed by a key of ours; a token with the key that was published beside it."""
    if path.suffix == ".jwt":
        keys = jws.read_keys(path.with_name("signed-set-es256-jwks.json").read_bytes())
        payload, _ = source.opened(request.body)
        return request, _trusted(source, json.loads(payload), keys), "by its published key"
    sender = Transmitter()
    claims = json.loads(request.body)
    secret = _trusted(source, claims, jws.read_keys(sender.jwks))
    return Request("POST", {}, sender.signed(claims)), secret, OURS


def _trusted(source: Source, claims: Mapping[str, Any], keys: Any) -> SigningSecret:
    told = claims["aud"]
    audience = told[-1] if isinstance(told, list) else told
    trust = {"issuer": claims["iss"], "audience": audience, "jwks_url": "https://idp.example.com"}
    return SigningSecret("k", source.credential(None, trust), keys)


_MADE: Mapping[str, Callable[[Source, Request, Path], Made]] = {
    "okta": _okta,
    "onelogin": _onelogin,
    "entra": _entra,
    "set": _set,
}


def table(folder: Path) -> str:
    """The rows as Markdown, and how many of each kind."""
    lines = [
        "| file | source | proven | events | outcome | meant as |",
        "|---|---|---|---|---|---|",
    ]
    found = list(rows(folder))
    lines += [
        f"| {one.file} | {one.source} | {one.proof} | {'' if one.events is None else one.events} "
        f"| {one.outcome} | {one.meant} |"
        for one in found
    ]
    deliveries = [one for one in found if one.events is not None]
    lines += ["", f"{len(found)} files, {len(deliveries)} requests, {_events(found)} events."]
    return "\n".join(lines) + "\n"


def _events(found: list[Row]) -> int:
    return sum(one.events or 0 for one in found)


def main(folder: Path) -> None:
    sys.stdout.write(table(folder))
