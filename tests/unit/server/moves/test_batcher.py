"""Group commit: who shares a batch with whom."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from niyanta.server.moves.batcher import GroupCommit


@pytest.mark.parametrize(("gather", "batches"), [(0.0, [["a"], ["b"]]), (1.0, [["a", "b"]])])
async def test_a_lone_item_goes_at_once_unless_it_is_to_wait_for_others(
    gather: float, batches: list[list[str]]
) -> None:
    committed = []

    async def commit(items: Sequence[str]) -> list[str | Exception]:
        committed.append(list(items))
        return list(items)

    group = GroupCommit[str, str](commit, gather=gather)
    running = asyncio.create_task(group.run())
    first = asyncio.create_task(group.submit("a"))
    for _ in range(5):  # the loop has taken it up
        await asyncio.sleep(0)
    second = asyncio.create_task(group.submit("b"))
    assert (await first, await second) == ("a", "b")
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert committed == batches
