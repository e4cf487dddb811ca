"""Patterns agree with the standard library's matcher wherever both can answer, and never take long."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
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
]


def spend(units: int) -> None:
    """No bound."""


@pytest.mark.parametrize("source", PATTERNS)
@given(text=st.text(alphabet="ab-1.c @_", max_size=12))
def test_it_matches_what_the_standard_library_matches(source: str, text: str) -> None:
    assert Pattern(source).search(text, spend) is (re.search(source, text, re.ASCII) is not None)


def test_the_end_is_the_end() -> None:
    assert not Pattern("^a$").search("a\n", spend)


@pytest.mark.parametrize(
    "source", ["(a+)+$", "^(a|a)*$", "^(a|aa)+$", "a*a*a*a*a*a*a*a*b", "(.*,){20}x", "^(([a-z])+.)+[A-Z]([a-z])+$"]
)
def test_no_text_makes_it_slow(source: str) -> None:
    pattern = Pattern(source)
    began = time.thread_time()
    assert not pattern.search("a" * 20_000 + "!", spend)
    assert time.thread_time() - began < 2


@pytest.mark.parametrize(
    "source",
    [
        "(",
        "[",
        "*",
        "a{2,1}",
        "a{99999999999}",
        "a{3000}",
        "(a{100}){100}",
        r"(a)\1",
        "(?=a)",
        "(?!a)",
        "(?<=a)b",
        "(?i)a",
        "(?i:a)",
        "a++",
        "(?>a)",
        "(" * 900,
        "a" * 1001,
        "[[a]",
    ],
)
def test_what_it_cannot_do_is_refused(source: str) -> None:
    with pytest.raises(PatternError):
        Pattern(source)


def test_work_is_announced() -> None:
    spent: list[int] = []
    Pattern("^a+$").search("a" * 1000, spent.append)
    assert sum(spent) >= 250


def test_who_is_told_of_the_work_may_stop_it() -> None:
    def stop(units: int) -> None:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        Pattern("a").search("b", stop)
