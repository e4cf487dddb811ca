"""Searches in whatever case: every letter is found by each of its cases."""

from __future__ import annotations

import re
import sys
from collections import defaultdict

import pytest

from niyanta.domain.searching import ALIKE, pattern_of


def found(words: str, text: str) -> bool:
    return re.search(pattern_of(words), text) is not None


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("STRASSE", "strasse"),
        ("straße", "STRAẞE"),
        ("σίσυφοσ", "Ο ΣΊΣΥΦΟΣ"),
        ("ΣΊΣΥΦΟΣ", "Ο Σίσυφος"),
        ("5 k", "5 \u212a"),
        ("100%", "at 100% now"),
        ("a_b", "a_b"),
        ("[1-3]", "in [1-3]"),
        (r"\d(?i)^$.*", r"as \d(?i)^$.*"),
        ("🙂", "well 🙂"),
    ],
)
def test_words_are_found_in_whatever_case(words: str, text: str) -> None:
    assert found(words, text)


@pytest.mark.parametrize(("words", "text"), [("a.c", "abc"), ("a_c", "abc"), ("%", "all"), ("ss", "ß"), (".*", "x")])
def test_no_sign_means_more_than_itself(words: str, text: str) -> None:
    assert not found(words, text)


def test_each_case_of_a_letter_finds_the_others() -> None:
    """By the cases that Unicode has, as far as they are one sign each."""
    cases: defaultdict[str, set[str]] = defaultdict(set)
    for code in range(sys.maxunicode + 1):
        sign = chr(code)
        folded = sign.casefold()
        cases[folded if len(folded) == 1 else sign.lower()].add(sign)
    more = {"".join(sorted(signs)) for signs in cases.values() if len(signs) > 2}
    assert more == {"".join(sorted(letters)) for letters in ALIKE if len(letters) > 2}
    for signs in cases.values():
        if len(signs) > 1:
            together = "".join(signs)
            assert all(len(re.findall(pattern_of(one), together)) == len(signs) for one in signs), signs
