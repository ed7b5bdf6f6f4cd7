"""What may be said when an account or a connection is set up (S1, C1, D18)."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping

from domain.display import one_line
from domain.domains import BELOW
from domain.errors import UsageError
from domain.policy import CONNECTION_SETTINGS, GroupRule, Scope, ScopeRule
from domain.values import is_mailable

_DOMAIN = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)(\.(?!-)[a-z0-9-]{1,63}(?<!-))+")
#: RFC 1035, without the final dot.
LONGEST_HOST = 253
#: So much of what was no name is told back.
LONGEST_TOLD = 40
_NAME = re.compile(r"[^\x00-\x1f\x7f]{1,100}")


def check_name(name: str) -> str:
    """A name for an account or connection; raises UsageError."""
    name = name.strip()
    if not _NAME.fullmatch(name):
        told = one_line(name, limit=LONGEST_TOLD)
        raise UsageError(f"{told!r} is no name: 1 to 100 printable characters")
    return name


def check_domain(domain: str) -> str:
    """An entry of an account's list, in A-labels: `example.com`, `*.example.com` (E4).

    Other scripts are turned into A-labels at the edge (`worker.adapters.idn`). Raises UsageError.
    """
    text = domain.strip().rstrip(".").lower().removeprefix("@")
    if not _DOMAIN.fullmatch(text.removeprefix(BELOW)) or len(text) > LONGEST_HOST:
        raise UsageError(
            f"{domain!r} is no domain such as example.com, or *.example.com for its subdomains"
        )
    return text


def check_address(address: str) -> str:
    """An e-mail address as far as a directory can tell; raises UsageError."""
    if not is_mailable(address):
        raise UsageError(f"{address!r} is no e-mail address")
    return address.strip()


def parse_scope(text: str | None, *, needs_scope: bool, source: str) -> Scope:
    """S1: `everyone`, `groups:ID,ID` or `assignment:APP`.

    Sources that speak of a whole organisation have no default, and cannot do without one.
    """
    if text is None:
        if needs_scope:
            raise UsageError(
                f"source {source} speaks of a whole organisation: say whom to provision, by "
                "the scope everyone, groups:ID,.. or assignment:APP_ID"
            )
        return Scope()
    rule, _, keys = text.partition(":")
    named = frozenset(key.strip() for key in keys.split(",") if key.strip())
    if rule == ScopeRule.EVERYONE and not keys:
        return Scope()
    if rule == ScopeRule.GROUPS and named:
        return Scope(ScopeRule.GROUPS, named)
    if rule == ScopeRule.ASSIGNMENT and len(named) == 1:
        return Scope(ScopeRule.ASSIGNMENT, named)
    raise UsageError(
        f"scope {text!r} is not understood: everyone, groups:ID,ID or assignment:APP_ID"
    )


def check_settings(given: Mapping[str, str]) -> dict[str, str]:
    """D18: known settings with allowed values; raises UsageError with every problem."""
    problems = []
    for name, value in given.items():
        setting = CONNECTION_SETTINGS.get(name)
        if setting is None:
            known = ", ".join(sorted(CONNECTION_SETTINGS))
            problems.append(f"setting {name!r} is unknown; there are: {known}")
        elif setting.choices and value not in setting.choices:
            problems.append(f"{name}={value!r}: one of {', '.join(setting.choices)}")
        elif name == "groups" and not _is_group_rule(value):
            problems.append(f"groups={value!r}: all, listed:ID,.. or prefix:TEXT,..")
        elif setting.parse is not None:
            problems += _problem(name, value, setting.parse)
    if problems:
        raise UsageError("\n".join(problems))
    return dict(given)


def _problem(name: str, value: str, parse: Callable[[str], object]) -> list[str]:
    try:
        parse(value)
    except UsageError as error:
        return [f"{name}: {error}"]
    return []


def _is_group_rule(value: str) -> bool:
    rule, _, keys = value.partition(":")
    return rule == GroupRule.ALL if not keys else rule in (GroupRule.LISTED, GroupRule.PREFIX)


#: States in which a connection governs people and groups. One that observes governs nobody yet.
GOVERNING = frozenset({"active", "paused"})


def check_sole_connection(states: Collection[str], *, allows_several: bool, account: str) -> None:
    """C1: one connection governs an account, unless the account allows several.

    states: of the account's other connections. Raises UsageError.
    """
    if allows_several or GOVERNING.isdisjoint(states):
        return
    raise UsageError(
        f"account {account} already has a connection, and one governs it (C1): add another that "
        "observes and take the people over with `rosterd connection replace`, retire the first, "
        f"or let the account have several: `rosterd account set {account} --several on`"
    )
