"""What the driver is spared, and that it has the names for it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from asyncpg.protocol import protocol

from niyanta.server.store.arrays import spare_the_driver

NAMES = ("IterableABC", "SizedABC")


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    before = {name: getattr(protocol, name) for name in NAMES}
    yield
    for name, value in before.items():
        setattr(protocol, name, value)


def test_the_driver_has_the_names() -> None:
    """When this fails after an upgrade, see how it tells arrays now (``protocol/codecs/array.pyx``)."""
    spare_the_driver()
    assert all(getattr(protocol, name) == (list, tuple) for name in NAMES)


def test_another_driver_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(protocol, NAMES[0])
    before = getattr(protocol, NAMES[1])
    spare_the_driver()
    assert getattr(protocol, NAMES[1]) is before
