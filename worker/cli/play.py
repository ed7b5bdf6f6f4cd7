"""Be the identity provider: each word sends a real signed request and shows its way."""

from __future__ import annotations

import select as polling
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, TextIO

import typer

from domain.errors import UsageError
from domain.policy import Scope
from worker.adapters.db.engine import translated
from worker.adapters.db.event_queries import events_after, newest_event
from worker.bootstrap import Container
from worker.cli.output import as_json, out
from worker.cli.running import throwaway
from worker.cli.sender import send
from worker.cli.stage import Stage, wait_for

HELP = """\
  hire ana            create ana@example.com          leave ana     suspend
  group ana eng       into a group                    back ana      bring back
  accept ana          say yes to the newest link      move ana a.b@example.com
  twice               the last request again          late ana      what was so an hour ago
  garbage             a body that is no JSON          forged        with a wrong signature
  leaveall            mass leave                      flush         empty the broker
  show                the directory                   quit"""
ACCOUNT = "Acme"
LATE = timedelta(hours=1)


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command("play")
    def play_(
        words: Annotated[
            str | None,
            typer.Argument(help="Such as 'hire ana; accept ana; leave ana'; without: asks."),
        ] = None,
    ) -> None:
        """Be the identity provider of a rosterd that is started for it and gone afterwards."""
        if words is None and not sys.stdin.isatty():
            words = sys.stdin.read().replace("\n", ";")
        lines = None if words is None else _lines(words)
        with throwaway() as running:
            stage = Stage(Container(running.settings), running.url)
            stage.connect(ACCOUNT, "standard", Scope(), domain="example.com")
            if lines is None:
                play(stage, sys.stdin, is_asked=running.is_over)
            for line in lines or []:
                out.print(f"idp> {line}", markup=False)
                perform(stage, line)


def _lines(words: str) -> list[str]:
    """What is between semicolons; raises UsageError before anything is started or sent."""
    lines = [line.strip() for line in words.split(";") if line.strip()]
    odd = [line for line in lines if not is_understood(line)]
    if odd or not lines:
        told = f"{odd[0]!r} is nothing to play" if odd else "nothing is said to play"
        raise UsageError(f"{told}; the words are:\n{HELP}")
    return lines


def play(stage: Stage, words: TextIO, *, is_asked: Callable[[], bool]) -> None:
    """Read a line, do it, show what became of it; until the end of input or Ctrl-C."""
    while not is_asked():
        try:
            line = _line(words, is_asked)
            if line is None or line == "quit":
                return
            perform(stage, line)
        except KeyboardInterrupt:
            return


def _line(words: TextIO, is_asked: Callable[[], bool]) -> str | None:
    """The next line; without a person at a terminal, just wait to be stopped."""
    if not words.isatty():
        while not is_asked():
            time.sleep(0.2)
        return None
    out.print("idp> ", end="")
    while not polling.select([words], [], [], 0.2)[0]:
        if is_asked():
            return None
    line = words.readline()
    return line.strip() if line else None


def is_understood(line: str) -> bool:
    """Whether it begins with a word that there is, with as much behind it as that takes."""
    verb, *rest = line.split() or ["show"]
    return verb in TAKES and len(rest) == TAKES[verb]


def perform(stage: Stage, line: str) -> None:
    """One line of words, such as `hire ana`."""
    if not is_understood(line):
        out.print(HELP)
        return
    verb, *rest = line.split() or ["show"]
    if verb == "show":
        _show(stage)
        return
    who = rest[0] if rest else ""
    before, seen = stage.user(ACCOUNT, who), _newest(stage)
    answer = ACTIONS[verb](stage, *rest)
    wait_for(lambda: stage.open_events() == 0)
    out.print(f"  answered {answer}")
    # A status is what the web process answered; whoever accepts a link sends no event.
    for way in _ways(stage, seen) if isinstance(answer, int) else ():
        out.print(f"  {way}", markup=False)
    _change(before, stage.user(ACCOUNT, who))


def _newest(stage: Stage) -> int:
    with translated(), stage.parts.database.read() as connection:
        return newest_event(connection)


def _ways(stage: Stage, seen: int) -> Iterator[str]:
    """What became of each event since this one."""
    with translated(), stage.parts.database.read() as connection:
        found = events_after(connection, seen, [], equals={})
    for event in found:
        why = f" ({event['reason']})" if event["reason"] else ""
        what = f"event {event['id']} {event['type'] or 'not understood'} {event['subject']}"
        yield f"{what} -> {event['lane']} -> {event['outcome'] or event['state']}{why}"
    if not found:
        yield "no event: it was refused, or had come before"


def _change(before: object, after: object) -> None:
    out.print(f"  before {as_json(before)}", markup=False)
    out.print(f"  after  {as_json(after)}", markup=False)


def _tell(type_: str, **more: str) -> Callable[..., object]:
    """Say something of a person; more: their data, with `{who}` in it."""

    def act(stage: Stage, who: str, *_: str) -> int:
        told = {name: text.format(who=who) for name, text in more.items()}
        return stage.senders[ACCOUNT].standard(type_, {"id": who, **told})

    return act


def _move(stage: Stage, who: str, address: str) -> int:
    told = {"id": who, "email": address}
    return stage.senders[ACCOUNT].standard("user.email_changed", told)


def _group(stage: Stage, who: str, group: str) -> int:
    idp = stage.senders[ACCOUNT]
    idp.standard("group.upserted", {"id": group, "name": group})
    return idp.standard("group.member_added", {"group_id": group, "user_id": who})


def _late(stage: Stage, who: str) -> int:
    told = {"id": who, "email": f"{who}.before@example.com"}
    return stage.senders[ACCOUNT].standard("user.upserted", told, at=datetime.now(UTC) - LATE)


def _accept(stage: Stage, who: str) -> str:
    user = stage.user(ACCOUNT, who)
    if user is None:
        return f"nobody is called {who}"
    link = wait_for(lambda: stage.link_for(user["requested_email"]))
    if link is None:
        return "no link was mailed"
    stage.say_yes(link)
    return str(link)


def _twice(stage: Stage) -> object:
    sent = stage.senders[ACCOUNT].sent
    return send(sent[-1]) if sent else "nothing was sent yet"


def _garbage(stage: Stage) -> int:
    return stage.senders[ACCOUNT].standard_bytes(b"this is no JSON")


def _forged(stage: Stage) -> int:
    return stage.senders[ACCOUNT].standard_bytes(b"{}", secret="whsec_" + "A" * 43 + "=")


def _show(stage: Stage) -> None:
    for line in stage.directory(ACCOUNT):
        out.print(as_json(line), markup=False)


def _flush(stage: Stage) -> str:
    with stage.parts.celery.connection_for_write() as broker:
        broker.default_channel.client.flushall()
    return "the broker is empty; nothing is lost"


def _leave_all(stage: Stage) -> int:
    idp = stage.senders[ACCOUNT]
    keys = [x["external_id"] for x in stage.directory(ACCOUNT) if x["kind"] == "user"]
    answers = [idp.standard("user.suspended", {"id": key}) for key in keys if key is not None]
    return max(answers, default=200)


#: What each word does.
ACTIONS: Mapping[str, Callable[..., Any]] = {
    "hire": _tell("user.upserted", email="{who}@example.com"),
    "leave": _tell("user.suspended"),
    "back": _tell("user.reactivated"),
    "move": _move,
    "group": _group,
    "late": _late,
    "accept": _accept,
    "twice": _twice,
    "garbage": _garbage,
    "forged": _forged,
    "flush": _flush,
    "leaveall": _leave_all,
}
#: How much stands behind each word.
TAKES: Mapping[str, int] = {
    **dict.fromkeys(("show", "twice", "garbage", "forged", "flush", "leaveall"), 0),
    **dict.fromkeys(("hire", "leave", "back", "late", "accept"), 1),
    **dict.fromkeys(("move", "group"), 2),
}
