"""What becomes of calls that are given up at once, in the queue for all and in the other one."""

from __future__ import annotations

import asyncio
from time import monotonic

import pytest

from niyanta.server.access.proxies import Proxies
from niyanta.server.access.resets import PortBounds
from niyanta.server.grpc.resets import Resets
from niyanta.server.grpc.steering import Steering
from niyanta.server.observability.metrics import Metrics

PEER, OTHER = "ipv4:192.0.2.1:1000", "ipv4:192.0.2.2:1000"
HELD_SECONDS = 0.5


def resets(*, is_second: bool, bounds: PortBounds | None = None) -> Resets:
    made = bounds or PortBounds()
    return Resets(0, Proxies(""), Metrics(), made, Steering(0), is_second=is_second, held_seconds=HELD_SECONDS)


def distrusted(*, is_second: bool) -> Resets:
    found = resets(is_second=is_second)
    for _ in range(101):
        found.given_up(PEER, 0.0)
    return found


async def test_in_the_queue_for_all_the_rest_of_a_connections_calls_is_dropped() -> None:
    found = distrusted(is_second=False)
    with pytest.raises(asyncio.CancelledError):
        await found.enter(PEER)
    await found.enter(OTHER)


async def test_in_the_other_one_a_call_that_was_reset_is_held_and_others_are_let_in() -> None:
    found = distrusted(is_second=True)
    reset, good = asyncio.create_task(found.enter(PEER)), asyncio.create_task(found.enter(PEER))
    await asyncio.sleep(0)
    began = monotonic()
    reset.cancel()
    await good
    assert not reset.done()
    await asyncio.wait([reset])
    assert reset.cancelled()
    assert monotonic() - began >= HELD_SECONDS
    await found.enter(OTHER)


async def test_so_many_are_held_at_most() -> None:
    found = distrusted(is_second=True)
    tasks = [asyncio.create_task(found.enter(PEER)) for _ in range(5_001)]
    await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    done, held = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    assert (len(done), len(held)) == (1, 5_000)
    await asyncio.wait(tasks)


async def test_calls_that_met_their_deadline_and_those_of_proxies_count_for_nothing() -> None:
    found = Resets(0, Proxies("192.0.2.1"), Metrics(), PortBounds(), Steering(0), is_second=False)
    for _ in range(1_000):
        found.given_up(OTHER, 0.6)
        found.given_up(PEER, 0.0)
        found.turned_away(PEER)
    await found.enter(OTHER)
    await found.enter(PEER)


@pytest.mark.parametrize("is_second", [False, True])
async def test_more_may_be_refused_than_given_up_and_in_the_other_queue_all(is_second: bool) -> None:
    found = resets(is_second=is_second)
    for _ in range(900):
        found.turned_away(PEER)
    await found.enter(PEER)
    for _ in range(300):
        found.turned_away(PEER)
    if is_second:
        await found.enter(PEER)
    else:
        with pytest.raises(asyncio.CancelledError):
            await found.enter(PEER)
