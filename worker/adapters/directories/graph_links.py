"""Links in Microsoft Graph's answers: a token is taken from them, and no address is followed."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

from domain.directories import DirectoryError


def token_of(link: object, name: str) -> str | None:
    """The token in a link; None for no link. Raises DirectoryError for one without such a token.

    name: in lower case; Graph spells it in several ways.
    """
    if link is None:
        return None
    query = parse_qs(urlsplit(link).query) if isinstance(link, str) else {}
    found = [values[0] for key, values in query.items() if key.lower() == name]
    if not found:
        raise DirectoryError(f"its link to what follows bears no {name}")
    return found[0]
