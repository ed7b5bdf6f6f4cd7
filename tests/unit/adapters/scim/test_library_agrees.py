"""Our PATCH over plain objects does what scim2-models does with whole models, only faster."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from scim2_models import EnterpriseUser, PatchOp, Path, SCIMException, ScimPolicy, User
from scim2_models.path import ValuePath

from tests.exploring import patient
from worker.adapters.scim import paths
from worker.adapters.scim.errors import SCIMError
from worker.adapters.scim.patching import patched
from worker.adapters.scim.schemas import ENTERPRISE, USER

Document = dict[str, Any]
Person = User[EnterpriseUser]
LENIENT = ScimPolicy(
    remove_value_as_filter=ScimPolicy.RemoveValue.apply,
    unmatched_path_filter=ScimPolicy.UnmatchedPathFilter.create,
)
TEXT = st.sampled_from(["a", "b", "Ab"])
ADDRESS = st.sampled_from(["a@x.com", "b@x.com", "c@x.com"])
TYPE = st.sampled_from(["work", "home", "other"])
EMAIL: st.SearchStrategy[Any] = st.fixed_dictionaries(
    {"value": ADDRESS, "type": TYPE}, optional={"primary": st.booleans(), "display": TEXT}
)
SINGLE = ("title", "nickName", "displayName", f"{ENTERPRISE}:department", "name.givenName")


def operation(*kinds: str, path: st.SearchStrategy[str], value: Any) -> st.SearchStrategy[Any]:
    return st.fixed_dictionaries({"op": st.sampled_from(kinds), "path": path, "value": value})


WRITTEN = st.one_of(
    operation("add", "replace", path=st.sampled_from(SINGLE), value=TEXT),
    operation("add", "replace", path=st.just("active"), value=st.booleans()),
    operation(
        "add",
        "replace",
        path=st.just("name"),
        value=st.dictionaries(st.sampled_from(["givenName", "familyName"]), TEXT, min_size=1),
    ),
    # Equal values told twice: the library keeps both, RFC 7643 (2.4) says that none should.
    operation(
        "add",
        "replace",
        path=st.just("emails"),
        value=st.lists(EMAIL, max_size=2, unique_by=lambda one: (one["value"], one["type"])),
    ),
    operation(
        "add",
        "replace",
        path=TYPE.map(lambda one: f'emails[type eq "{one}"].value'),
        value=ADDRESS,
    ),
    operation(
        "add",
        "replace",
        path=TYPE.map(lambda one: f'emails[type eq "{one}"].primary'),
        value=st.booleans(),
    ),
)
REMOVED = st.one_of(
    st.sampled_from([*SINGLE, "emails", "name"]),
    TYPE.map(lambda one: f'emails[type eq "{one}"]'),
    TYPE.map(lambda one: f'emails[type eq "{one}"].display'),
    ADDRESS.map(lambda one: f'emails[value eq "{one}"]'),
    st.just('emails[primary eq true or value sw "B"]'),
    st.just("emails[not (display pr)]"),
).map(lambda path: {"op": "remove", "path": path})
KNOWN: st.SearchStrategy[Any] = st.lists(
    EMAIL.map(lambda one: {**one, "primary": False}),
    min_size=1,
    max_size=3,
    unique_by=lambda one: (one["value"], one["type"]),
)
NAME: st.SearchStrategy[Any] = st.fixed_dictionaries({"givenName": TEXT, "familyName": TEXT})
DEPARTMENT: st.SearchStrategy[Any] = st.fixed_dictionaries({"department": TEXT})
NAMED: dict[str, st.SearchStrategy[Any]] = {"userName": st.just("ana")}
START: st.SearchStrategy[Document] = st.fixed_dictionaries(
    NAMED,
    optional={
        "title": TEXT,
        "name": NAME,
        "emails": KNOWN,
        ENTERPRISE: DEPARTMENT,
    },
)


def by_library(start: Document, operations: list[Document]) -> Document | None:
    schemas = [USER, ENTERPRISE]
    try:
        person = Person.model_validate({"schemas": schemas, **start}, scim_policy=LENIENT)
        PatchOp[Person].model_validate(
            {
                "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
                "Operations": operations,
            },
            scim_policy=LENIENT,
        ).patch(person, scim_policy=LENIENT)
    except (SCIMException, ValueError):
        return None
    return {k: v for k, v in person.model_dump().items() if k != "schemas"}


def by_us(start: Document, operations: list[Document]) -> Document | None:
    try:
        return patched("User", start, {"Operations": operations}).document
    except SCIMError:
        return None


def _is_repeated(index: int, values: list[Document]) -> bool:
    one = values[index]
    return any(
        one.items() <= other.items() and (other != one or n < index)
        for n, other in enumerate(values)
    )


def settled(document: Document | None) -> Document | None:
    """Without what is said differently and means the same: no primary, and a value said twice.

    The library adds a value that says less than one that is there; RFC 7644 (3.5.2.1) would have
    it change nothing.
    """
    if document is None:
        return None
    emails = [
        {k: v for k, v in one.items() if (k, v) != ("primary", False)}
        for one in document.get("emails", [])
    ]
    said = [one for n, one in enumerate(emails) if one and not _is_repeated(n, emails)]
    return {**{k: v for k, v in document.items() if k != "emails"}, "emails": said}


@patient(300)
@given(START, st.lists(WRITTEN | REMOVED, min_size=1, max_size=4))
def test_documents_are_equal(start: Document, operations: list[Document]) -> None:
    assert settled(by_us(start, operations)) == settled(by_library(start, operations))


@patient(300)
@given(
    st.sampled_from(["emails", "MEMBERS", "x1-y_z"]),
    st.sampled_from(["type", "Value", "$ref"]),
    st.text(max_size=8),
    st.sampled_from(["", ".value", ".$ref"]),
)
def test_the_short_way_reads_paths_as_the_grammar_does(
    name: str, sub: str, value: str, tail: str
) -> None:
    text = f'{name}[{sub} eq "{value}"]{tail}'
    short = paths._CHOSEN.fullmatch(text)
    if short is None:
        return
    node = Path(text).ast
    assert isinstance(node, ValuePath)
    assert (node.attr_path.attr, node.sub_attr) == (short[1], short[4])
    assert str(node.val_filter.attr_path) == short[2]  # type: ignore[attr-defined]
    assert node.val_filter.value == short[3]  # type: ignore[attr-defined]
