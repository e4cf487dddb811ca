"""Who makes room when there are too many connections without credentials."""

from __future__ import annotations

import pytest

from niyanta.server.rest.uvicorn.strangers import Strangers


class Fake:
    def __init__(self, *, is_busy: bool = False) -> None:
        self.is_busy = is_busy
        self.is_gone = False

    def send_away(self) -> None:
        self.is_gone = True


def gone(fakes: list[Fake]) -> list[int]:
    return [number for number, fake in enumerate(fakes) if fake.is_gone]


def test_the_oldest_idle_one_of_the_same_source_makes_room() -> None:
    strangers = Strangers(100, 3)
    other = Fake()
    strangers.enter(other, "10.0.0.2")
    fakes = [Fake(is_busy=number == 0) for number in range(5)]
    for fake in fakes:
        strangers.enter(fake, "10.0.0.1")
    assert gone(fakes) == [1, 2]
    assert not other.is_gone
    assert len(strangers) == 4


def test_there_is_a_bound_for_all_sources_together() -> None:
    strangers = Strangers(3, 3)
    fakes = [Fake() for _ in range(5)]
    for number, fake in enumerate(fakes):
        strangers.enter(fake, f"10.0.0.{number}")
    assert gone(fakes) == [0, 1]


@pytest.mark.parametrize(
    ("addresses", "is_one_source"),
    [
        (("2001:db8::1", "2001:db8::2:3"), True),
        (("2001:db8::1", "2001:db8:0:1::1"), False),
        (("fe80::1%eth0", "fe80::2%eth0"), True),
        (("10.0.0.1", "10.0.0.2"), False),
        (("::ffff:10.0.0.1", "::ffff:10.0.0.2"), False),
        (("::ffff:10.0.0.1", "10.0.0.1"), True),
        (("", ""), True),
    ],
)
def test_a_source_is_an_address_or_a_network_of_version_6(addresses: tuple[str, str], is_one_source: bool) -> None:
    strangers = Strangers(100, 1)
    fakes = [Fake(), Fake()]
    for fake, address in zip(fakes, addresses, strict=True):
        strangers.enter(fake, address)
    assert fakes[0].is_gone is is_one_source


def test_who_is_served_stays_but_not_for_ever() -> None:
    now = 0.0
    strangers = Strangers(100, 2, clock=lambda: now)
    fakes = [Fake(is_busy=True) for _ in range(4)]
    for fake in fakes:
        strangers.enter(fake, "10.0.0.1")
    assert gone(fakes) == []
    now = 31.0
    strangers.enter(Fake(), "10.0.0.1")
    assert gone(fakes) == [0]


def test_who_has_left_is_not_counted() -> None:
    strangers = Strangers(100, 2)
    fakes = [Fake() for _ in range(10)]
    for fake in fakes:
        strangers.enter(fake, "10.0.0.1")
        strangers.leave(fake)
        strangers.leave(fake)
    assert gone(fakes) == []
    assert len(strangers) == 0
