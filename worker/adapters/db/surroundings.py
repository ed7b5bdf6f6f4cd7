"""What a transaction asks of connections before it locks anything, in one statement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from domain.policy import ScopeRule
from worker.adapters.db.direct import Row

#: Columns of a row of `connections AS c`, for `policy_from_row` and `surroundings_of`. NULL for no:
#: of several connections EXISTS may read all rows that there are once, to know them by heart.
COLUMNS = """
 c.id, c.account_id, c.settings, c.scope_rule, c.scope_keys,
 ARRAY(SELECT d.domain FROM domains d WHERE d.account_id = c.account_id) AS domains,
 (SELECT true FROM endpoints e WHERE e.account_id = c.account_id AND e.state <> 'removed' LIMIT 1)
 AS announces,
 (SELECT true FROM people p WHERE p.account_id = c.account_id AND p.role = 'owner'
 AND p.connection_id IS NOT NULL LIMIT 1) AS has_managed_owner
"""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Accounts by connection, and whether there is a reason to look further.

    Whoever knows nothing looks at everything.
    """

    accounts: Mapping[str, str] = field(default_factory=dict)
    has_managed_owner: bool = True
    is_by_groups: bool = True


def surroundings_of(found: Sequence[Row]) -> Surroundings:
    """Of the connections in these rows, which have `COLUMNS`."""
    return Surroundings(
        accounts={row["id"]: row["account_id"] for row in found},
        has_managed_owner=any(row["has_managed_owner"] for row in found),
        is_by_groups=any(row["scope_rule"] == ScopeRule.GROUPS for row in found),
    )
