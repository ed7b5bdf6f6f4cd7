"""Lists of domains: exact entries, wildcards, other scripts, look-alikes (E4)."""

# ruff: noqa: RUF001 - look-alikes are what is tested

from __future__ import annotations

import idna
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.connecting import check_domain
from domain.domains import listed_by
from domain.errors import UsageError
from domain.lookalikes import suspicion
from domain.values import domain_of, normalise_address
from worker.adapters.idn import to_entry, to_read

LABELS = st.sampled_from(["a", "b", "example", "com", "xn--bcher-kva"])
HOSTS = st.lists(LABELS, min_size=1, max_size=5).map(".".join)


@given(host=HOSTS, exact=st.sets(HOSTS), parents=st.sets(HOSTS))
def test_e4_a_host_is_taken_by_itself_or_as_a_subdomain(
    host: str, exact: set[str], parents: set[str]
) -> None:
    listed = frozenset(exact | {f"*.{parent}" for parent in parents})
    is_taken = host in exact or any(host.endswith(f".{parent}") for parent in parents)
    assert (listed_by(host, listed) is not None) is is_taken


@pytest.mark.parametrize(
    "host", ["*.example.com", "*", ".example.com", "a..example.com", "", "example.com"]
)
def test_e4_a_wildcard_takes_proper_subdomains_only(host: str) -> None:
    assert listed_by(host, frozenset({"*.example.com"})) is None


@pytest.mark.parametrize(
    ("typed", "entry"),
    [
        ("Example.COM.", "example.com"),
        ("@example.com", "example.com"),
        ("*.Example.com", "*.example.com"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("BÜCHER.example", "xn--bcher-kva.example"),
        ("XN--BCHER-KVA.example", "xn--bcher-kva.example"),
        ("*.bücher.example", "*.xn--bcher-kva.example"),
        ("bücher。example", "xn--bcher-kva.example"),
        ("straße.example", "xn--strae-oqa.example"),
    ],
)
def test_e4_what_is_typed_becomes_one_entry(typed: str, entry: str) -> None:
    assert to_entry(typed) == entry
    assert to_entry(to_read(entry)) == entry


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "*",
        "*.",
        "*.com",
        "com",
        "a.*.example.com",
        "exa mple.com",
        "xn--a.example",
        "a_b.com",
        "-a.example",
        "a" * 64 + ".com",
        ".".join(["abcdefgh"] * 30),
        "ana@example.com",
        "a.com\n@",
    ],
)
def test_e4_what_is_no_domain_is_refused(typed: str) -> None:
    with pytest.raises(UsageError):
        to_entry(typed)


def test_check_domain_alone_takes_ascii_only() -> None:
    with pytest.raises(UsageError):
        check_domain("bücher.example")


@given(label=st.text(alphabet="abcäöüßéîçñšłαβγжщыא漢字", min_size=1, max_size=12))
def test_e4_an_addresss_host_and_the_entry_of_its_domain_meet(label: str) -> None:
    try:
        entry = idna.encode(f"{label}.example").decode()
    except idna.IDNAError:
        return
    assert domain_of(f"ana@{label}.example") == entry
    assert normalise_address(f"Ana@{label}.example") == normalise_address(f"ana@{entry}")


def test_u7_two_mailboxes_that_only_case_folding_makes_one_stay_two() -> None:
    assert normalise_address("weiß@example.com") != normalise_address("weiss@example.com")
    assert domain_of("ana@straße.example") != domain_of("ana@strasse.example")
    assert normalise_address(" Ana@Example.com. ") == "ana@example.com"


@pytest.mark.parametrize(
    ("host", "says"),
    [
        ("exаmple.com", "mixes letters of Cyrillic and Latin"),
        ("аррӏе.com", "looks like apple"),
        ("ορο.com", "looks like opo"),
        ("example.com", None),
        ("bücher.example", None),
        ("пример.example", None),
        ("例え.jp", None),
        ("日本ab.jp", None),
        ("παράδειγμα.gr", None),
        ("123.example", None),
    ],
)
def test_e4_look_alikes_are_noticed(host: str, says: str | None) -> None:
    told = suspicion(host)
    assert told is None if says is None else says in (told or "")
