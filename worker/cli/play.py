"""Be the identity provider: each word sends a real signed request and shows its way."""

from __future__ import annotations

import select as polling
import time
from collections.abc import Callable
from typing import TextIO

from worker.cli.output import as_json, out
from worker.cli.sender import send
from worker.cli.stage import Stage, wait_for

HELP = """\
  hire ana            create ana@example.com          leave ana     suspend
  group ana eng       into a group                    back ana      bring back
  accept ana          say yes to the newest link      move ana a.b@example.com
  twice               the last request again          garbage       a body that is no JSON
  forged              with a wrong signature          flush         empty the broker
  leaveall            mass leave                      show          the directory
  quit"""
ACCOUNT = "Acme"


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


def perform(stage: Stage, line: str) -> None:
    """One line of words, such as `hire ana`."""
    verb, *rest = line.split() or ["show"]
    idp = stage.senders[ACCOUNT]
    who = rest[0] if rest else ""
    before = stage.user(ACCOUNT, who)
    actions: dict[str, Callable[[], object]] = {
        "hire": lambda: idp.standard("user.upserted", {"id": who, "email": f"{who}@example.com"}),
        "leave": lambda: idp.standard("user.suspended", {"id": who}),
        "back": lambda: idp.standard("user.reactivated", {"id": who}),
        "move": lambda: idp.standard("user.email_changed", {"id": who, "email": rest[1]}),
        "group": lambda: _group(stage, who, rest[1]),
        "accept": lambda: _accept(stage, who),
        "twice": lambda: send(idp.sent[-1]) if idp.sent else "nothing was sent yet",
        "garbage": lambda: idp.standard_bytes(b"this is no JSON"),
        "forged": lambda: idp.standard_bytes(b"{}", secret="whsec_" + "A" * 43 + "="),
        "flush": lambda: _flush(stage),
        "leaveall": lambda: _leave_all(stage),
        "show": lambda: _show(stage),
    }
    if verb not in actions:
        out.print(HELP)
        return
    try:
        answer = actions[verb]()
    except IndexError:
        out.print(HELP)
        return
    wait_for(lambda: stage.open_events() == 0)
    if verb != "show":
        out.print(f"  answered {answer}")
        _change(before, stage.user(ACCOUNT, who))


def _change(before: object, after: object) -> None:
    out.print(f"  before {as_json(before)}", markup=False)
    out.print(f"  after  {as_json(after)}", markup=False)


def _group(stage: Stage, who: str, group: str) -> int:
    idp = stage.senders[ACCOUNT]
    idp.standard("group.upserted", {"id": group, "name": group})
    return idp.standard("group.member_added", {"group_id": group, "user_id": who})


def _accept(stage: Stage, who: str) -> str:
    user = stage.user(ACCOUNT, who)
    if user is None:
        return f"nobody is called {who}"
    link = wait_for(lambda: stage.link_for(user["requested_email"]))
    if link is None:
        return "no link was mailed"
    stage.say_yes(link)
    return str(link)


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
