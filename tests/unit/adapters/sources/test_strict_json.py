"""What `read_json` refuses, what it takes, and that neither takes long (F21)."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.ports import UnparseableError
from worker.adapters.sources.strict_json import MAX_DEPTH, read_json

# A loaded machine is no defect of ours.
PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def nested(levels: int, opening: bytes = b"[", closing: bytes = b"]") -> bytes:
    return opening * levels + closing * levels


HOSTILE = {
    "empty": b"",
    "blank": b"  \n",
    "not-json": b"hello",
    "cut-off": b'{"a": [1, 2',
    "two-documents": b"{} {}",
    "trailing-comma": b"[1,]",
    "not-utf8": b'{"a": "\xff\xfe"}',
    "overlong-utf8": b'"\xc0\x80"',
    "utf16": '{"a": 1}'.encode("utf-16"),
    "utf16-without-mark": '{"a": 1}'.encode("utf-16-le"),
    "byte-order-mark": b"\xef\xbb\xbf{}",
    "nan": b'{"a": NaN}',
    "infinity": b"[Infinity]",
    "minus-infinity": b"[-Infinity]",
    "number-beyond-double": b"[1e999]",
    "integer-beyond-64-bit": b"[18446744073709551616]",
    "negative-integer-beyond-64-bit": b"[-9223372036854775809]",
    "300-digits": b"[" + b"7" * 300 + b"]",
    "5000-digits": b"[" + b"9" * 5_000 + b"]",
    "lone-surrogate-raw": b'"\xed\xa0\x80"',
    "lone-surrogate-escaped": b'["\\ud800"]',
    "lone-low-surrogate-escaped": b'["\\uDC00x"]',
    "lone-surrogate-in-key": b'{"\\udfff": 1}',
    "nul-raw": b'"a\x00b"',
    "nul-escaped": b'["a\\u0000b"]',
    "nul-in-key": b'{"a\\u0000": 1}',
    "nul-after-escaped-backslash": b'["\\\\\\u0000"]',
    "one-level-too-deep": nested(MAX_DEPTH + 1),
    "objects-one-level-too-deep": nested(MAX_DEPTH + 1, b'{"a":', b"}").replace(b":}", b":1}"),
    "deep-beside-shallow": b"[1," + nested(MAX_DEPTH) + b",{}]",
    "200-deep": nested(200),
    "1000-deep": nested(1_000),
}


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE)
def test_hostile_body_is_unparseable(body: bytes) -> None:
    with pytest.raises(UnparseableError):
        read_json(body)


@pytest.mark.parametrize("levels", [5_000, 100_000, 500_000])
@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}"), (b"[", b"")])
def test_deep_nesting_is_refused_at_once(levels: int, opening: bytes, closing: bytes) -> None:
    began = time.perf_counter()
    with pytest.raises(UnparseableError):
        read_json(nested(levels, opening, closing))
    assert time.perf_counter() - began < 1


@pytest.mark.parametrize(
    ("body", "place"),
    [
        (b'{"data": {"events": [1, 2, 3, {"target": "a\\u0000"}]}}', "data.events[3].target"),
        (b'{"data": {"events": [{"a": 99999999999999999999}]}}', "data.events[0].a"),
        (b'[[0, "\\u0000"]]', "[0][1]"),
        (b'{"data": {"a\\u0000": 1}}', "data"),
        (b'"\\u0000"', ""),
    ],
)
def test_refusal_says_where(body: bytes, place: str) -> None:
    with pytest.raises(UnparseableError) as refusal:
        read_json(body)
    assert refusal.value.place == place


def test_refusal_holds_nothing_of_the_body() -> None:
    with pytest.raises(UnparseableError) as refusal:
        read_json(b'{"password": "hunter2" oops}')
    assert "hunter2" not in str(refusal.value)
    assert refusal.value.__cause__ is None


@pytest.mark.parametrize(
    ("body", "document"),
    [
        (b'{"a": 1, "a": 2}', {"a": 2}),
        (b'["\\\\u0000"]', ["\\u0000"]),
        (b'["\\ud83d\\ude00"]', ["\U0001f600"]),
        (b"[18446744073709551615, -9223372036854775808]", [2**64 - 1, -(2**63)]),
        (b'["123456789012345678901234567890"]', ["123456789012345678901234567890"]),
        (b"[0.1234567890123456789]", [0.1234567890123456789]),
        (b"null", None),
    ],
)
def test_legal_body_is_read(body: bytes, document: object) -> None:
    assert read_json(body) == document


def test_deepest_allowed_nesting_is_read() -> None:
    assert read_json(nested(MAX_DEPTH)) is not None
    assert read_json(b"[{}," + nested(MAX_DEPTH - 1) + b"]") is not None


def test_a_million_keys_are_read() -> None:
    body = b"{" + b",".join(b'"%d":0' % number for number in range(1_000_000)) + b"}"
    document = read_json(body)
    assert isinstance(document, dict)
    assert len(document) == 1_000_000


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
ORDINARY = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner),
)


@PATIENT
@given(ORDINARY, st.booleans())
def test_reads_what_an_ordinary_sender_writes(document: object, ascii_only: bool) -> None:
    assert read_json(json.dumps(document, ensure_ascii=ascii_only).encode()) == document


@PATIENT
@given(st.binary())
def test_any_bytes_are_read_or_unparseable(body: bytes) -> None:
    try:
        read_json(body)
    except UnparseableError:
        return
