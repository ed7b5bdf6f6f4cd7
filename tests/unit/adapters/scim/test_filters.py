"""RFC 7644 3.4.2.2: what is a filter, what is none, and what each says of an attribute."""

from __future__ import annotations

import pytest

from worker.adapters.scim.attributes import Kind, table
from worker.adapters.scim.errors import SCIMError
from worker.adapters.scim.filter_reading import MOST_TERMS, read_filter
from worker.adapters.scim.filters import (
    All,
    Compare,
    Either,
    Has,
    Node,
    Not,
    Some,
)

#: Every example of RFC 7644 3.4.2.2, and forms that providers send.
SOUND = """
userName eq "bjensen"
name.familyName co "O'Malley"
userName sw "J"
urn:ietf:params:scim:schemas:core:2.0:User:userName sw "J"
title pr
meta.lastModified gt "2011-05-13T04:42:34Z"
meta.lastModified ge "2011-05-13T04:42:34Z"
meta.lastModified lt "2011-05-13T04:42:34Z"
meta.lastModified le "2011-05-13T04:42:34Z"
title pr and userType eq "Employee"
title pr or userType eq "Intern"
schemas eq "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
userType eq "Employee" and (emails co "example.com" or emails.value co "example.org")
userType ne "Employee" and not (emails co "example.com" or emails.value co "example.org")
userType eq "Employee" and (emails.type eq "work")
userType eq "Employee" and emails[type eq "work" and value co "@example.com"]
emails[type eq "work" and value co "@example.com"] or ims[type eq "xmpp" and value co "@foo.com"]
USERNAME EQ "bjensen"
emails[type eq "work"].value eq "b@example.com"
urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department eq "Sales"
URN:IETF:params:scim:schemas:extension:enterprise:2.0:User:manager.value eq "m1"
manager eq "m1"
active eq "True"
emails[primary eq true] and active eq false
""".strip().splitlines()

UNSOUND = """
userName
userName eq
userName eq bj"ensen
userName is "bjensen"
userName eq "bjensen
(userName eq "b"
userName eq "b")
userName eq "b" and
not userName eq "b"
emails[type eq "work"
emails[emails[type eq "work"]]
name[givenName eq "x"]
emails[nothing eq "x"]
name eq "x"
shoeSize eq 42
urn:example:nothing:userName eq "b"
name.shoeSize eq 42
userName.value eq "b"
userName eq 42
userName co null
active gt true
active sw "t"
active eq "yes"
meta.created gt "yesterday"
meta.created co "2026"
meta.created eq "9999-12-31T23:59:59-23:59"
x509Certificates.value gt "a"
password eq "secret"
password pr
userName eq "\\u0000"
""".strip().splitlines()


def read(text: str, kind: Kind = "User") -> Node:
    return read_filter(text, table(kind))


@pytest.mark.parametrize("text", SOUND)
def test_what_the_rfc_shows_is_a_filter(text: str) -> None:
    assert read(text) == read(f"({text})")


@pytest.mark.parametrize("text", [*UNSOUND, "", " "])
def test_anything_else_is_refused_as_invalid_filter(text: str) -> None:
    with pytest.raises(SCIMError) as refused:
        read(text)
    assert (refused.value.status, refused.value.scim_type) == (400, "invalidFilter")


def test_not_equal_says_that_no_value_is_equal() -> None:
    assert read('title ne "x"') == Not(read('title eq "x"'))
    assert read('emails ne "x"') == Not(read('emails eq "x"'))
    assert isinstance(read('emails.value ne "x"'), Not)


def test_null_is_what_is_not_there() -> None:
    assert read("title eq null") == Not(read("title pr"))
    assert read("title ne null") == read("title pr")


def test_several_values_are_compared_one_by_one() -> None:
    some = read('emails co "x"')
    assert some == read('emails.value co "x"') == read('emails[value co "x"]')
    assert isinstance(some, Some)
    assert isinstance(some.inner, Compare)
    assert isinstance(read("emails pr"), Has)


@pytest.mark.parametrize(
    ("attribute", "is_exact"),
    [("userName", False), ("externalId", True), ("id", True), ("emails", False), ("title", False)],
)
def test_case_counts_where_the_schema_says_so(attribute: str, is_exact: bool) -> None:
    found = read(f'{attribute} eq "x"')
    test = found.inner if isinstance(found, Some) else found
    assert isinstance(test, Compare)
    assert test.is_exact is is_exact


def test_and_binds_more_tightly_than_or() -> None:
    either = read('title eq "a" or title eq "b" and title eq "c"')
    assert isinstance(either, Either)
    assert isinstance(either.terms[1], All)


def test_an_attribute_of_another_type_is_never_there_where_several_are_searched() -> None:
    node = read_filter("members pr", table("User"), beside=[table("Group")])
    assert node == Either(())
    assert read_filter('not (members eq "x")', table("User"), beside=[table("Group")]) == Not(node)


@pytest.mark.parametrize(
    "text",
    [
        " or ".join(f'userName eq "u{i}"' for i in range(10_000)),
        " or ".join(f'userName eq "u{i}"' for i in range(MOST_TERMS + 1)),
        "not (" * 5_000 + "title pr" + ")" * 5_000,
        "not (" * 50 + "title pr" + ")" * 50,
        "(" * 5_000,
        'title eq "' + "x" * 100_000 + '"',
    ],
)
def test_a_filter_that_is_too_much_is_refused_and_nothing_breaks(text: str) -> None:
    with pytest.raises(SCIMError) as refused:
        read(text)
    assert refused.value.scim_type == "invalidFilter"


def test_as_many_terms_as_allowed_are_read() -> None:
    many = read(" or ".join(f'userName eq "u{i}"' for i in range(MOST_TERMS)))
    assert isinstance(many, Either)
    assert len(many.terms) == MOST_TERMS
