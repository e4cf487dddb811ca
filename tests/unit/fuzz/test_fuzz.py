"""The engine finds what is broken and makes it small; and each decoder stands a short fire."""

from __future__ import annotations

import time
from random import Random
from typing import Any

import pytest
from fuzz.material import damaged
from fuzz.target import MOST_SECONDS, Finding, Outcome, Target, TooMuchError, fire, try_one
from fuzz.targets import TARGETS

EXAMPLES = 60
SECONDS = 2.0


@pytest.mark.parametrize("name", TARGETS)
def test_a_decoder_stands_a_short_fire(name: str) -> None:
    outcome = fire(TARGETS[name], SECONDS, seed=Random().randrange(1 << 32), most_examples=EXAMPLES)
    assert outcome.examples > 0
    assert outcome.finding is None, outcome.finding


CRASHERS: list[tuple[str, Any]] = [
    ("signed-tokens", (b'{"alg":"HS256","x":' + b"[" * 3000, b"{}")),  # a RecursionError instead of a refusal
    ("messages", b"\x81\xa9worker_id\xa1\xff"),  # a UnicodeDecodeError
    ("messages", b"\x81\xa1x" * 100_000),
    ("runner-frames", b"\x00\x00\x04\xd4" + b"\x82\xa4type\xa5ready\xa1x" + b"\x91" * 1218),
    ("grants", ("*a" * 31, "a" * 63)),  # would take exponential time by a regular expression
    ("schemas", (b'{"$ref":"#/a"' + b"".join(b',"%s":{"$ref":"#/%sa"}' % (b"a" * n, b"a" * n) for n in range(1, 900))
                 + b"}", b"{}")),
]  # fmt: skip


@pytest.mark.parametrize(("name", "example"), CRASHERS, ids=lambda value: value if isinstance(value, str) else "")
def test_what_once_broke_a_decoder_does_so_no_more(name: str, example: Any) -> None:
    try_one(TARGETS[name], example)


def broken_at(word: bytes) -> Target:
    def check(data: bytes) -> None:
        if word in data:
            raise KeyError(word)

    return Target("broken", "nothing", damaged(b"a good message"), check)


def found(outcome: Outcome) -> Finding:
    assert outcome.finding is not None
    return outcome.finding


def test_what_breaks_a_decoder_is_found_and_made_small() -> None:
    finding = found(fire(broken_at(b"["), 30, seed=1))
    assert (finding.example, type(finding.error)) == (b"[", KeyError)


def test_the_same_seed_finds_the_same() -> None:
    first, second = (fire(broken_at(b"\xc1"), 30, seed=7) for _ in range(2))
    assert first.examples == second.examples


def test_parts_of_an_example_are_made_small_each() -> None:
    def check(example: tuple[bytes, list[str]]) -> None:
        if b"x" in example[0] and any("y" in each for each in example[1]):
            raise ValueError

    target = Target("two", "nothing", lambda chance: (b"axb", ["c", "dye"]), check)
    assert found(fire(target, 30, seed=1)).example == (b"x", ["y"])


def test_an_example_that_takes_long_is_found() -> None:
    def check(_: bytes) -> None:
        until = time.process_time() + MOST_SECONDS + 0.1
        while time.process_time() < until:
            pass

    with pytest.raises(TooMuchError, match="s for one example"):
        try_one(Target("slow", "nothing", damaged(b""), check), b"")


def test_an_example_that_takes_much_memory_is_found() -> None:
    def check(_: bytes) -> None:
        assert len(bytearray(b"x") * (400 << 20))

    assert len(bytearray(b"x") * (500 << 20)), "that this process was larger once hides nothing"
    with pytest.raises(TooMuchError, match="MiB for one example"):
        try_one(Target("large", "nothing", damaged(b""), check), b"")
