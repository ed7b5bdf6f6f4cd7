"""`rosterd connection access`: where a connection's IdP is asked for its directory, and as whom."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from domain.directories import DirectoryError
from domain.directory_access import DirectoryAccess
from domain.errors import RefusedError, UsageError
from domain.outbound import check_url, parse_allowed
from worker.adapters.directories.registry import directory_for
from worker.cli.credentials import FROM_INPUT
from worker.cli.output import AsJSON, as_json, out, show
from worker.cli.reasons import Reason
from worker.cli.session import container, setup
from worker.cli.setting import parse_pairs


def access(  # noqa: PLR0913, PLR0917 - an option each
    connection: str,
    url: Annotated[
        str | None, typer.Option(help="Where the IdP is: https://example.okta.com.")
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="client_id=.., key_id=.. (okta); realm=.., client_id=.. (keycloak); client_id=.. "
            "(onelogin); environment=.., client_id=.. (pingone); directory=.. (workos); "
            "subject=.., customer=.. (google); tenant=.., client_id=.., login=.., "
            "thumbprint=.. (entra)",
        ),
    ] = None,
    secret: Annotated[
        str | None,
        typer.Option(help="- reads it from standard input: a token, or the client's secret or key"),
    ] = None,
    secret_file: Annotated[Path | None, typer.Option(help="A file that holds it.")] = None,
    kind: Annotated[str | None, typer.Option(help="Whose API; default: the source's.")] = None,
    check: Annotated[bool, typer.Option(help="Ask for one page and tell.")] = False,
    remove: Annotated[bool, typer.Option(help="Take the access away.")] = False,
    reason: Reason = "",
    json_: AsJSON = False,
) -> None:
    """Let rosterd read a connection's directory at its IdP; without options, show what is set."""
    with setup() as use:
        found = use.connection(connection)
    if remove:
        _remove(found, reason)
        return
    if url is not None:
        given = DirectoryAccess(
            kind or found["source"], url, parse_pairs(set_), _secret(secret, secret_file)
        )
        _give(found, given, reason)
    elif set_ or secret or secret_file or kind:
        raise UsageError("an access is told whole: --url, --set .. and its secret")
    told = _checked(found) if check else {}
    with setup() as use:
        told = {**use.access_shown(found["id"]), **told}
    show([told], list(told), as_json_=False) if not json_ else print(as_json(told))


def _secret(typed: str | None, file: Path | None) -> str:
    if file is not None:
        try:
            return file.read_text(encoding="utf-8")
        except (OSError, UnicodeError) as error:
            raise UsageError(f"{file} cannot be read: {error}") from error
    if typed != FROM_INPUT:
        # A command line stands in lists of processes and in histories.
        raise UsageError("give the secret by --secret - (standard input) or --secret-file")
    return sys.stdin.read()


def _give(connection: dict[str, Any], given: DirectoryAccess, reason: str) -> None:
    if connection["state"] == "retired":
        raise RefusedError(f"connection {connection['name']} is retired: nothing is read for it")
    check_url(given.url, parse_allowed(container().settings.outbound_allow))
    directory_for(given, container().outbound_http)
    with setup() as use:
        use.give_access(use.connection(connection["id"]), given, reason=reason)


def _remove(connection: dict[str, Any], reason: str) -> None:
    container().reading.end_subscriptions(connection["id"])
    with setup() as use:
        use.take_access(use.connection(connection["id"]), reason=reason)
    out.print(f"removed: rosterd reads nothing at the IdP of {connection['name']} any more")


def _checked(connection: dict[str, Any]) -> dict[str, Any]:
    try:
        return container().directories.check(connection["id"])
    except DirectoryError as error:
        raise RefusedError(
            f"the directory of {connection['name']} was not read: {error}"
        ) from error
