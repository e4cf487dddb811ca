"""Cancels that nobody asked for end nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from niyanta.errors import ServiceUnavailableError
from niyanta.server.moves.batcher import GroupCommit
from niyanta.wire.cancels import lasting


async def be_cancelled_by_nobody() -> None:
    """As what a time-out has left behind, or a connection that is given up."""
    left: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    left.cancel()
    await left


async def test_a_loop_goes_on_after_a_cancel_that_nobody_asked_for() -> None:
    begun = asyncio.Semaphore(0)

    async def loop() -> None:
        begun.release()
        await asyncio.sleep(0)
        await be_cancelled_by_nobody()

    going_on = asyncio.create_task(lasting(loop))
    for _ in range(3):
        await asyncio.wait_for(begun.acquire(), 5)
    going_on.cancel()
    await asyncio.wait({going_on}, timeout=5)
    assert going_on.cancelled()


async def test_a_batch_after_one_that_nobody_cancelled_is_committed() -> None:
    batches: list[Sequence[int]] = []

    async def commit(items: Sequence[int]) -> list[int]:
        batches.append(items)
        if len(batches) == 1:
            await be_cancelled_by_nobody()
        return [2 * item for item in items]

    group = GroupCommit[int, int](commit)
    running = asyncio.create_task(group.run())
    with pytest.raises(ServiceUnavailableError):
        await asyncio.wait_for(group.submit(1), 5)
    assert await asyncio.wait_for(group.submit(2), 5) == 4
    running.cancel()
    await asyncio.wait({running}, timeout=5)
    assert running.cancelled()
