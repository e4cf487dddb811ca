"""Text from user code: what can't be stored, what is too long, what is too much."""

from __future__ import annotations

import pytest

from niyanta.domain.limits import MAX_TEXT_BYTES
from niyanta.worker.handlers.text import LineGate, LineSplitter, describe, plain


@pytest.mark.parametrize(
    ("text", "becomes"),
    [("good", "good"), ("a\0b", "a\ufffdb"), ("a\ud800b", "a\ufffdb"), ("\udfff", "\ufffd"), ("é€😀", "é€😀")],
)
def test_what_can_not_be_stored_is_replaced(text: str, becomes: str) -> None:
    assert plain(text) == becomes


@pytest.mark.parametrize("text", ["x" * 9000, "é" * 5000, "😀" * 3000, "\ud800" * 9000])
def test_what_is_too_long_is_cut(text: str) -> None:
    cut = plain(text)
    assert MAX_TEXT_BYTES - 8 <= len(cut.encode()) <= MAX_TEXT_BYTES
    assert cut.endswith("…")


def test_an_exception_s_own_text_may_fail() -> None:
    class BrokenError(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    assert describe(BrokenError()) == "BrokenError: (its text can't be made)"
    assert describe(ValueError("a\0")) == "ValueError: a\ufffd"
    assert describe(KeyError()) == "KeyError"


def test_lines_are_put_together_from_pieces() -> None:
    splitter = LineSplitter()
    assert splitter.feed(b"one\ntw") == [b"one"]
    assert splitter.feed(b"o\n\nthree") == [b"two", b""]
    assert splitter.end() == [b"three"]
    assert splitter.end() == []


def test_long_lines_are_cut_between_characters() -> None:
    splitter = LineSplitter()
    text = "é" * 10_001
    lines = [*splitter.feed(b"x" + text.encode() + b"\nnext\n"), *splitter.end()]
    assert lines[-1] == b"next"
    assert "".join(line.decode() for line in lines[:-1]) == "x" + text
    assert max(map(len, lines)) <= MAX_TEXT_BYTES


def test_a_stream_without_line_ends_is_never_held_whole() -> None:
    splitter, held = LineSplitter(), 0
    for _ in range(100):
        held += 65536 - sum(map(len, splitter.feed(b"x" * 65536)))
        assert held <= MAX_TEXT_BYTES


def test_the_gate_lets_a_burst_through_and_counts_the_rest() -> None:
    now = [0.0]
    gate = LineGate(burst=10, lines_per_second=2.0, clock=lambda: now[0])
    assert gate.admit(8) == 8
    assert gate.admit(8) == 2
    assert gate.take_dropped() == 6
    assert gate.take_dropped() == 0
    now[0] = 2.0
    assert gate.admit(8) == 4
    now[0] = 1000.0
    assert gate.admit(100) == 10
