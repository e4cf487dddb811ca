"""How often calls may be given up at once."""

from __future__ import annotations

from niyanta.server.access.resets import ResetBounds


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def given_up(bounds: ResetBounds, connection: str, address: str = "192.0.2.1") -> int:
    """How many calls it takes until the connection must be cut; a thousand when it needn't be."""
    return next((number for number in range(1, 1_000) if bounds.count(connection, address)), 1_000)


def test_a_connection_may_give_up_a_hundred_calls_at_once() -> None:
    bounds = ResetBounds(Clock())
    assert given_up(bounds, "one") == 101


def test_and_twenty_a_second_for_ever() -> None:
    clock = Clock()
    bounds = ResetBounds(clock)
    for _ in range(10_000):
        clock.now += 0.05
        assert not bounds.count("one", "192.0.2.1")
    clock.now += 3600
    assert given_up(bounds, "one") == 101


def test_connections_of_a_source_that_was_cut_again_and_again_get_little_for_a_minute() -> None:
    clock = Clock()
    bounds = ResetBounds(clock)
    assert [given_up(bounds, f"of one {number}") for number in range(5)] == [101, 101, 101, 98, 11]
    assert given_up(bounds, "of another", "192.0.2.2") == 101
    clock.now += 61
    assert given_up(bounds, "later") == 101


def test_a_source_is_bad_for_a_minute_however_much_it_was() -> None:
    clock = Clock()
    bounds = ResetBounds(clock)
    assert not bounds.is_bad("192.0.2.1")
    for number in range(100_000):
        bounds.count(f"connection {number}", "192.0.2.1")
    assert bounds.is_bad("192.0.2.1")
    assert not bounds.is_bad("192.0.2.2")
    clock.now += 61
    assert not bounds.is_bad("192.0.2.1")
    bounds.count("later", "192.0.2.1")
    assert not bounds.is_bad("192.0.2.1")


def test_many_connections_of_one_source_count_together() -> None:
    bounds = ResetBounds(Clock())
    cut = {f"one of {number}": bounds.count(f"one of {number}", f"2001:db8::{number:x}") for number in range(401)}
    assert not any(cut.values())
    assert given_up(bounds, "the next", "2001:db8::ffff") == 11
    assert given_up(bounds, "elsewhere", "2001:db8:1::1") == 101


def test_what_is_remembered_is_bounded() -> None:
    bounds = ResetBounds(Clock())
    for number in range(25_000):
        bounds.count(f"connection {number}", f"10.0.{number // 250}.{number % 250}")
    assert len(bounds) <= 20_000
