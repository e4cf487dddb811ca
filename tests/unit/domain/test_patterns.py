"""Patterns agree with the standard library's matcher wherever both can answer, and never take long."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from niyanta.domain.patterns import Pattern, PatternError

PATTERNS = [
    "",
    "a",
    "^a$",
    "^$",
    "a|b",
    "^(a|b|ab)*$",
    "^[a-z0-9]+(-[a-z0-9]+)*$",
    "^[^ab]+$",
    "a{2,3}b",
    "^a{2}$",
    "^(ab){2,}c?$",
    r"^\d{1,3}(\.\d{1,3}){3}$",
    r"\bab\b",
    r"\Bab",
    "^(a*)*b$",
    "a.?b",
    "a*?b",
    r"[\w-]+@\w+",
    r"^\S+\s\S+$",
    "(^a|b$)",
    "(?:a|b)c",
    "(?P<name>a)b",
    r"[^\d]",
    "^a*a*a*$",
    "(?i)AB",
    "(?i:A)b",
    r"a\/?b",
    r"^\W+$",
    "[]a]",
    "[a-]b",
    r"^\u0061\x62",
    r"\\u0061",
    ".{1,1000}b$",
]


def spend(units: int) -> None:
    """No bound."""


@pytest.mark.parametrize("source", PATTERNS)
@given(text=st.text(alphabet="ab-1.c @_", max_size=12))
def test_it_matches_what_the_standard_library_matches(source: str, text: str) -> None:
    assert Pattern(source).search(text, spend) is (re.search(source, text, re.ASCII) is not None)


_ATOMS = st.sampled_from(
    [
        "a",
        "b",
        "-",
        ".",
        "1",
        "[ab]",
        "[^a]",
        "[a-c1-3]",
        r"[\w-]",
        r"\d",
        r"\D",
        r"\w",
        r"\W",
        r"\s",
        r"\S",
        "^",
        "$",
    ]
)


_OFTEN = st.sampled_from(["*", "+", "?", "*?", "+?", "??", "{2}", "{1,3}", "{0,2}", "{2,}"])


def _larger(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    group = st.builds("({})".format, inner)
    repeated = st.builds("(?:{}){}".format, inner, _OFTEN)
    return group | repeated | st.builds("{}{}".format, inner, inner) | st.builds("{}|{}".format, inner, inner)


@settings(max_examples=500)
@given(
    source=st.recursive(_ATOMS, _larger, max_leaves=12),
    text=st.text(alphabet="ab-13.c @_é", max_size=10),
)
def test_any_pattern_matches_what_the_standard_library_matches(source: str, text: str) -> None:
    assume(text or r"\B" not in source)  # before Python 3.14 an empty text has no place that is no boundary
    assert Pattern(source).search(text, spend) is (re.search(source, text, re.ASCII) is not None)


def test_the_end_is_the_end() -> None:
    assert not Pattern("^a$").search("a\n", spend)


@pytest.mark.parametrize(
    ("source", "text", "found"),
    [
        ("^.$", "\U0001f600", True),
        ("^.$", "\r", True),
        ("^.$", "\n", False),
        (r"^\s$", "\u00a0", False),
        (r"^\d$", "\u0661", False),
        (r"^\p{Greek}+$", "\u03b1\u03b2", True),
        (r"^\u00e9$", "\u00e9", True),
        ("(?<name>a)", "a", True),
        ("a", "\ud800a", True),
    ],
)
def test_what_is_said_of_the_dialect(source: str, text: str, found: bool) -> None:
    assert Pattern(source).search(text, spend) is found


@pytest.mark.parametrize(
    "source", ["(a+)+$", "^(a|a)*$", "^(a|aa)+$", "a*a*a*a*a*a*a*a*b", "(.*,){20}x", "^(([a-z])+.)+[A-Z]([a-z])+$"]
)
def test_no_text_makes_it_slow(source: str) -> None:
    pattern = Pattern(source)
    began = time.thread_time()
    assert not pattern.search("a" * 20_000 + "!", spend)
    assert time.thread_time() - began < 1


@pytest.mark.parametrize(
    "source",
    [
        "(",
        "[",
        "*",
        "a{2,1}",
        "a{99999999999}",
        "a{0,999999999}",
        "a{3000}",
        "(a{100}){100}",
        r"(a)\1",
        "(?=a)",
        "(?!a)",
        "(?<=a)b",
        "a++",
        "(?>a)",
        "(" * 900,
        "a" * 1001,
        "a**",
        "(?(1)a|b)",
        r"a\Z",
        "\ud800",
        r"(?:\p{L}{100}){10}",
    ],
)
def test_what_it_cannot_do_is_refused(source: str) -> None:
    with pytest.raises(PatternError):
        Pattern(source)


def test_work_is_announced() -> None:
    spent: list[int] = []
    pattern = Pattern("[ab]*a[ab]{900}c")
    pattern.search("a" * 1000, spent.append)
    assert sum(spent) >= 1000 * pattern.size / 150


def test_who_is_told_of_the_work_may_stop_it() -> None:
    def stop(units: int) -> None:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        Pattern("a").search("b", stop)
