"""What an account and a connection allow: the settings that decisions depend on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from domain.breaker import (
    OFF,
    BreakerRule,
    parse_count,
    parse_duration,
    parse_patience,
    parse_percent,
)
from domain.domains import listed_by
from domain.values import domain_of

#: Groups of every account that no identity provider manages (G5).
BUILT_IN_GROUPS = (
    "Owners",
    "Administrators",
    "Team Members",
    "Security",
    "Provision Managers",
)


#: How long a feed may be silent unless its connection says otherwise (C5).
SILENT_AFTER = "3d"
#: How often the log of an IdP is read on, where rosterd has access to one.
CATCH_UP_EVERY = "5m"


class ScopeRule(StrEnum):
    """By what a connection says whom it provisions (S1)."""

    UNSET = "unset"
    EVERYONE = "everyone"
    GROUPS = "groups"
    ASSIGNMENT = "assignment"


class GroupRule(StrEnum):
    """Which of the IdP's groups are kept (S1)."""

    ALL = "all"
    LISTED = "listed"
    PREFIX = "prefix"


@dataclass(frozen=True, slots=True)
class Scope:
    """Whom a connection provisions. keys: group ids, or the application's id."""

    rule: ScopeRule = ScopeRule.EVERYONE
    keys: frozenset[str] = frozenset()

    @property
    def is_open(self) -> bool:
        """Whether everybody is in scope from the first word on."""
        return self.rule is ScopeRule.EVERYONE


class OnReturn(StrEnum):
    """What an address changed while suspended makes of the person who returns (E5)."""

    NEW_USER = "new_user"
    SAME_USER = "same_user"


class Rehire(StrEnum):
    """What a new external id with a leaver's address becomes (E8, D4)."""

    LINK = "link"
    NEW_USER = "new_user"


class ExistingGroups(StrEnum):
    """What becomes of a group of the account that has the name of the IdP's (G2)."""

    KEEP = "keep"
    MANAGE = "manage"


@dataclass(frozen=True, slots=True)
class Policy:
    """Everything a decision needs to know beside the facts.

    domains: allowed domains, lower case, A-labels; `*.` before one allows what is below it; empty
    allows none (E4).
    address: which attribute is the address, see `domain.addressing` (E9).
    tenant: the only customer whose events count, of a sender that speaks for several; "": all.
    let_in: False where this feed has only a static secret and must be read back (U8).
    announces: whether the account's application hears of changes.
    mirrors: whether a SCIM feed of the connection shows what its other feeds tell. has_aliases:
    whether a subject of it has another external id by now than at first contact (D13).
    reads: whether rosterd has access to the IdP's own directory.
    """

    connection: str
    domains: frozenset[str] = frozenset()
    scope: Scope = field(default_factory=Scope)
    group_rule: GroupRule = GroupRule.ALL
    group_keys: tuple[str, ...] = ()
    on_return: OnReturn = OnReturn.NEW_USER
    rehire: Rehire = Rehire.LINK
    existing_groups: ExistingGroups = ExistingGroups.KEEP
    let_in: bool = True
    address: str = "default"
    tenant: str = ""
    breaker: BreakerRule = field(default_factory=BreakerRule)
    announces: bool = False
    mirrors: bool = False
    has_aliases: bool = False
    reads: bool = False

    def allows(self, address: str) -> bool:
        """E4: whether the address's domain is on the account's list."""
        return listed_by(domain_of(address), self.domains) is not None

    def keeps_group(self, key: str, name: str | None) -> bool:
        """S1: whether the group with this external id and name is kept."""
        if self.group_rule is GroupRule.ALL:
            return True
        if self.group_rule is GroupRule.LISTED:
            return key in self.group_keys or name in self.group_keys
        return name is not None and name.startswith(self.group_keys)


@dataclass(frozen=True, slots=True)
class Setting:
    """One row of the table of connection settings (D18).

    parse: raises UsageError for a value that is none, where there are no choices.
    """

    name: str
    default: str
    choices: tuple[str, ...]
    rule: str
    says: str
    parse: Callable[[str], object] | None = None


CONNECTION_SETTINGS: Mapping[str, Setting] = {
    row.name: row
    for row in (
        Setting(
            "on_return",
            OnReturn.NEW_USER,
            tuple(OnReturn),
            "E5",
            "what an address changed while suspended makes of the person who returns",
        ),
        Setting(
            "rehire",
            Rehire.LINK,
            tuple(Rehire),
            "E8",
            "whether a new external id with a leaver's address is that leaver",
        ),
        Setting(
            "groups",
            GroupRule.ALL,
            (),
            "S1",
            "which groups are kept: all, listed:ID,NAME,.. or prefix:TEXT,..",
        ),
        Setting(
            "address",
            "default",
            (),
            "E9",
            "which attribute is the address: default (the source's own), attributes.NAME, ..",
        ),
        Setting(
            "silent_after",
            SILENT_AFTER,
            (),
            "C5",
            "a feed that was not heard for so long is warned of: off, or a duration such as 4h",
            parse_patience,
        ),
        Setting(
            "suspend_unlisted",
            "off",
            ("off", "on"),
            "S3",
            "on: who is missing in a full list (connection list-is) is suspended, else left alone",
        ),
        Setting(
            "reconcile_every",
            OFF,
            (),
            "D18",
            "how often the IdP's directory is read and compared: off, or a duration such as 1d",
            parse_patience,
        ),
        Setting(
            "reconcile_applies",
            "off",
            ("off", "on"),
            "D18",
            "on: what a scheduled reconciliation finds is mended by events, else only told",
        ),
        Setting(
            "catch_up_every",
            CATCH_UP_EVERY,
            (),
            "G2",
            "how often the log of the IdP is read for what its hooks did not bring: off, or 5m",
            parse_patience,
        ),
        Setting(
            "existing_groups",
            ExistingGroups.KEEP,
            tuple(ExistingGroups),
            "G2",
            "whether a group of the account is managed from now on when the IdP has its name",
        ),
        Setting(
            "tenant",
            "",
            (),
            "S1",
            "id of the only customer whose events count, of a sender that speaks for several",
        ),
        Setting(
            "read_back",
            "off",
            ("off", "required"),
            "U8",
            "required: a feed with only a static secret may suspend, never let in",
        ),
        Setting(
            "deleted_get",
            "404",
            ("404", "200"),
            "U3",
            "what SCIM answers for the id of a user it deleted, who is suspended: 404, or the user",
        ),
        Setting(
            "scim_strict",
            "off",
            ("off", "on"),
            "D13",
            "on: SCIM is taken by the letter of its RFCs, without the dialects of providers",
        ),
        Setting(
            "scim_state",
            "requested",
            ("requested", "always"),
            "U10",
            "when SCIM shows what rosterd knows of a person: requested by attributes=, or always",
        ),
        Setting(
            "breaker_min",
            str(BreakerRule().least),
            (),
            "C6",
            "so many people and groups may always lose something in a window",
            parse_count,
        ),
        Setting(
            "breaker_percent",
            str(BreakerRule().percent),
            (),
            "C6",
            "of the connection's people, where that is more than breaker_min; 100: all of them",
            parse_percent,
        ),
        Setting("breaker_window", "1h", (), "C6", "length of the sliding window", parse_duration),
        Setting(
            "breaker_auto_approve",
            OFF,
            (),
            "C6",
            "after so long a hold is let go without anybody: off, or a duration such as 4h",
            parse_patience,
        ),
    )
}
