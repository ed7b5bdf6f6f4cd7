"""`rosterd mail`: what mails say, and how they look."""

from __future__ import annotations

import tempfile
import webbrowser
from pathlib import Path
from typing import Annotated, Any

import typer

from domain.consequences import NoticeKind
from domain.errors import UsageError
from domain.letters import Letter
from domain.wording import MAILS, Wording, check_wording
from worker.adapters.sample_mail import sample
from worker.cli.output import AsJSON, DryRun, Yes, as_json, ask, out, show, tell_one
from worker.cli.reasons import Why
from worker.cli.session import container, setup

app = typer.Typer(no_args_is_help=True)
template = typer.Typer(no_args_is_help=True, help="Words of an account for its mails.")
app.add_typer(template, name="template")

Account = Annotated[str, typer.Option()]
Kind = Annotated[str, typer.Argument(help="invitation, email_change or email_change_note.")]
LONGEST_FILE = 200_000


@template.command("set")
def set_(  # noqa: PLR0913, PLR0917 - one option per part of a mail
    kind: Kind,
    account: Account,
    text: Annotated[Path, typer.Option(help="File with the text; {{link}} alone is a button.")],
    reason: Why,
    subject: Annotated[str | None, typer.Option(help="Default: as it is now.")] = None,
    html: Annotated[Path | None, typer.Option(help="File; default: made of the text.")] = None,
    language: Annotated[str, typer.Option(help="BCP 47, for reading aloud.")] = "en",
    button: Annotated[str, typer.Option(help="What stands on the button.")] = "",
    dry_run: DryRun = False,
) -> None:
    """Give an account's mails other words; variables are checked now, not when a mail is sent."""
    chosen = _kind(kind)
    with setup() as use:
        found = use.account(account)["id"]
        before, _ = use.wording(found, chosen)
        wording = Wording(
            subject if subject is not None else before.subject,
            _read(text),
            _read(html) if html is not None else None,
            language,
            button,
        )
        checked = check_wording(chosen, wording)
        if not dry_run:
            use.set_wording(found, chosen, checked, reason)
    out.print("the words are fit; nothing was saved" if dry_run else f"saved for {account}")


@template.command("show")
def show_(kind: Kind, account: Account, json_: AsJSON = False) -> None:
    """What an account's mails of a kind say, with their variables."""
    chosen = _kind(kind)
    wording, is_own = _wording(account, chosen)
    told = _row(chosen, wording, is_own=is_own)
    if json_:
        print(as_json(told))
        return
    tell_one(told)


@template.command("list")
def list_(account: Account, json_: AsJSON = False) -> None:
    """Every kind of mail of an account, and whose words it has."""
    kinds = [kind for kind in NoticeKind if MAILS[kind].is_own]
    told = []
    for kind in kinds:
        wording, is_own = _wording(account, kind)
        told.append(_row(kind, wording, is_own=is_own))
    show(told, ["kind", "own", "language", "subject", "variables"], as_json_=json_)


@template.command("reset")
def reset(
    kind: Kind,
    account: Account,
    reason: Why,
    dry_run: DryRun = False,
    yes: Yes = False,
) -> None:
    """Take an account's own words away; its mails say ours again."""
    chosen = _kind(kind)
    if not dry_run:
        ask(f"Take away what {account} says in mails of kind {kind}?", yes=yes)
    with setup() as use:
        use.reset_wording(use.account(account)["id"], chosen, reason, is_dry=dry_run)
    out.print("would be reset; nothing was done" if dry_run else f"reset for {account}")


@app.command("preview")
def preview(
    kind: Kind,
    account: Account,
    html: Annotated[bool, typer.Option("--html", help="The HTML part.")] = False,
    text: Annotated[bool, typer.Option("--text", help="The plain text part (default).")] = False,
    open_: Annotated[bool, typer.Option("--open", help="In the browser.")] = False,
    json_: AsJSON = False,
) -> None:
    """A mail as it would look, to an invented person; nothing is sent."""
    chosen = _kind(kind, own=False)
    wording, _ = _wording(account, chosen)
    letter = _sample(chosen, wording, account)
    if html and text:
        raise UsageError("--html or --text, not both")
    if json_:
        print(as_json({"subject": letter.subject, "text": letter.text, "html": letter.html}))
    elif open_:
        _open(letter)
    else:
        print(letter.html if html else f"Subject: {letter.subject}\n\n{letter.text}")


def _sample(kind: NoticeKind, wording: Wording, account: str) -> Letter:
    with setup() as use:
        name = use.account(account)["name"]
    settings = container().settings
    return sample(kind, wording, name, public_url=settings.public_url, days=settings.link_days)


def _open(letter: Letter) -> None:
    """As a file, since no program may be needed to look at a mail."""
    with tempfile.NamedTemporaryFile("w", suffix=".html", delete=False, encoding="utf-8") as file:
        file.write(letter.html)
    out.print(file.name, markup=False)
    webbrowser.open(Path(file.name).as_uri())


def _kind(name: str, *, own: bool = True) -> NoticeKind:
    known = [kind.value for kind in NoticeKind if MAILS[kind].is_own or not own]
    if name not in known:
        raise UsageError(f"kind {name!r}: one of {', '.join(known)}")
    return NoticeKind(name)


def _wording(account: str, kind: NoticeKind) -> tuple[Wording, bool]:
    with setup() as use:
        return use.wording(use.account(account)["id"], kind)


def _row(kind: NoticeKind, wording: Wording, *, is_own: bool) -> dict[str, Any]:
    return {
        "kind": kind.value,
        "own": is_own,
        "language": wording.language,
        "button": wording.button or MAILS[kind].action,
        "variables": ", ".join(sorted(MAILS[kind].variables)),
        "subject": wording.subject,
        "text": wording.text,
        "html": wording.html,
    }


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(LONGEST_FILE)
        return raw.decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read as UTF-8 text: {error}") from error
