"""Column types that mean the same on both databases."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, DateTime, Integer
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

from domain.values import from_micros, to_micros


class _Micros(TypeDecorator[datetime]):
    """SQLite has no time type: whole microseconds since the epoch sort and compare exactly."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        del dialect
        return None if value is None else to_micros(value)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:
        del dialect
        return None if value is None else from_micros(value)


#: An aware UTC moment: TIMESTAMPTZ on PostgreSQL.
Moment = DateTime(timezone=True).with_variant(_Micros(), "sqlite")
#: A growing row number; SQLite numbers rows only of type INTEGER.
RowNumber = BigInteger().with_variant(Integer, "sqlite")
