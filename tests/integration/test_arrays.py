"""Array literals: whatever a column may hold comes back from PostgreSQL as it went in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import (
    Boolean,
    Column,
    LargeBinary,
    SmallInteger,
    Text,
    cast,
    create_engine,
    literal,
    select,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.engine import Engine
from sqlalchemy.types import BigInteger

from tests.exploring import patient
from worker.adapters.db.arrays import ArrayText, array_literal
from worker.adapters.db.types import Moment

START = datetime(1970, 1, 1, tzinfo=UTC)
words = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
COLUMNS: list[tuple[Column[Any], st.SearchStrategy[Any]]] = [
    (Column("t", Text), words | st.sampled_from(["", "NULL", "null", "{}", '"', "\\", "a,b", " "])),
    (Column("b", LargeBinary), st.binary()),
    (Column("i", BigInteger), st.integers(-(2**63), 2**63 - 1)),
    (Column("s", SmallInteger), st.integers(-(2**15), 2**15 - 1)),
    (Column("o", Boolean), st.booleans()),
    (
        Column("m", Moment),
        st.integers(0, 2**57).map(lambda n: START + timedelta(microseconds=n)),
    ),
]


@pytest.fixture
def server(postgres_url: str) -> Any:
    engine = create_engine(postgres_url)
    yield engine
    engine.dispose()


@pytest.mark.parametrize(
    ("column", "values"), COLUMNS, ids=lambda given: getattr(given, "name", "")
)
@patient(60)
@given(data=st.data())
def test_every_value_comes_back(
    server: Engine, column: Column[Any], values: st.SearchStrategy[Any], data: st.DataObject
) -> None:
    wanted = data.draw(st.lists(values | st.none()))
    bound = literal(array_literal(column, wanted), ArrayText())
    with server.connect() as connection:
        found = connection.execute(select(cast(bound, ARRAY(column.type)))).scalar_one()
    assert [v.tobytes() if isinstance(v, memoryview) else v for v in found] == wanted


@pytest.mark.parametrize(
    ("column", "value"),
    [
        (Column("t", Text), 7),
        (Column("b", LargeBinary), "text"),
        (Column("i", BigInteger), "7"),
        (Column("m", Moment), datetime(2026, 1, 1)),  # noqa: DTZ001 - without a zone on purpose
    ],
)
def test_a_value_of_another_type_is_refused_before_it_is_sent(
    column: Column[Any], value: object
) -> None:
    with pytest.raises(TypeError, match="expected"):
        array_literal(column, [value])
