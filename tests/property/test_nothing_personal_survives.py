"""`rosterd record`: of what several sources' requests say of somebody, nothing is left."""

from __future__ import annotations

import inspect
import json
import re
from base64 import b64decode, b64encode
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import disguise
from domain.disguise import Disguise
from domain.shapes import TELLING
from tests.exploring import patient
from tests.fuzz.shapes import SHAPES, anything, places

KEY = b"k" * 32
#: Letters of names in several scripts; long enough not to come about by chance.
WORDS = st.text(
    st.sampled_from("abcdefghijklmnopqrstuvwxyzäöüßçéñøžБДФЖ李王"), min_size=7, max_size=12
)
NAMES = st.tuples(WORDS, WORDS).map(lambda pair: f"{pair[0].title()} {pair[1].title()}")
ADDRESSES = st.tuples(
    st.from_regex(r"[a-z]{7,9}(\.[a-z]{7,9})?(\+[a-z]{7})?", fullmatch=True),
    st.from_regex(r"[a-z]{7,9}\.(org|co\.uk|internal)", fullmatch=True),
).map("@".join)
NUMBERS = st.integers(10**7, 10**12).map(str)
SECRETS = st.from_regex(r"[A-Za-z0-9]{16,24}", fullmatch=True)


def spoken(told: str) -> set[str]:
    """The words of something personal that must not be found again."""
    return set(re.findall(r"[^\W_]{6,}", told))


#: What requests and their disguise say of nobody. Hypothesis draws words out of the code, too.
ORDINARY = spoken((json.dumps(SHAPES) + inspect.getsource(disguise)).casefold()) | {"example"}
PERSONAL = st.one_of(NAMES, ADDRESSES, NUMBERS, SECRETS).filter(
    lambda told: not spoken(told.casefold()) & ORDINARY
)


@st.composite
def about_somebody(draw: st.DrawFn, source: str) -> tuple[bytes, set[str]]:
    """A request of the source in which some texts are somebody's, and these."""
    document = json.loads(json.dumps(draw(st.sampled_from(SHAPES[source]))))
    told: set[str] = set()
    leaves = [path for path in places(document) if path and _is_free(document, path)]
    for path in draw(st.lists(st.sampled_from(leaves), min_size=1, max_size=4)):
        personal = draw(PERSONAL)
        wrap = draw(st.sampled_from(WRAPS))
        parent = document
        for key in path[:-1]:
            parent = parent[key]
        if isinstance(parent, list | dict):
            parent[path[-1]] = wrap(personal)
            told |= spoken(personal)
    return json.dumps(document, ensure_ascii=draw(st.booleans())).encode(), told


def _is_free(document: Any, path: tuple[Any, ...]) -> bool:
    """A place whose member names no type: those are what a report is about."""
    names = [str(name).lower() for name in path if isinstance(name, str)]
    found = document
    for key in path:
        found = found[key]
    return not isinstance(found, dict | list) and not (names and names[-1] in TELLING)


def _wrapped(text: str) -> str:
    return json.dumps({"email": text, "note": [text]})


def _listed(text: str) -> list[object]:
    return [text, {"deep": {"name": text}}, f"for {text}, again"]


def _encoded(text: str) -> str:
    return b64encode(json.dumps({"displayName": text}).encode()).decode()


def _addressed(text: str) -> str:
    return f"https://sso.example.net/users/{text}/groups/1?who={text}"


WRAPS: list[Callable[[str], object]] = [str, _wrapped, _listed, _encoded, _addressed]


@pytest.mark.parametrize("source", [name for name in SHAPES if name != "set"])
def test_of_whom_it_tells_nothing_is_left(source: str) -> None:
    @patient(20)
    @given(about=about_somebody(source))
    def whatever(about: tuple[bytes, set[str]]) -> None:
        body, personal = about
        made_up = Disguise(KEY)
        told = made_up.body(body)
        assert not made_up.survives(told)
        low = _all_texts(told).casefold()
        assert not [word for word in personal if word.casefold() in low]

    whatever()


def _all_texts(body: bytes) -> str:
    """A body with what is encoded in it."""
    text = body.decode()
    for found in re.findall(r"[A-Za-z0-9+/]{16,}={0,2}", text):
        try:
            text += b64decode(found, validate=True).decode()
        except ValueError:
            continue
    return text + json.dumps(json.loads(body), ensure_ascii=False)


@patient(100)
@given(body=st.binary(max_size=300) | anything.map(lambda it: json.dumps(it).encode()))
def test_whatever_it_is_it_is_disguised(body: bytes) -> None:
    told = Disguise(KEY).body(body)
    assert isinstance(told, bytes)


@patient(40)
@given(name=NAMES, address=ADDRESSES)
def test_what_is_broken_tells_nobody_either(name: str, address: str) -> None:
    whole = json.dumps({"type": "user.created", "name": name, "email": address}, ensure_ascii=False)
    told = Disguise(KEY).body(whole[:-2].encode()).decode()
    assert '"type": ' in told
    assert '"email": ' in told
    assert not [
        word for word in spoken(name) | spoken(address) if word.casefold() in told.casefold()
    ]
