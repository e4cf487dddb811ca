"""The agents that the benchmarks simulate are taken for workers by a closed system."""

from __future__ import annotations

import asyncio

from bench.agents import Agents

from support.closed import ClosedSystem, closed
from support.pace import pace

__all__ = ["closed"]


async def test_simulated_agents_come_in_and_take_what_is_assigned(closed: ClosedSystem, database_url: str) -> None:
    token = await closed.token()
    await closed.worker("w", token=token, types=["other"])  # so that the coordinator knows the token
    found = {"database_url": database_url, "nats_url": closed.nats.url, "join_token": token}
    agents = Agents(found, "count", 2, 3)
    await agents.start()
    try:
        for _ in range(6):
            await closed.submit()
        async with asyncio.timeout(20 * pace()):
            while agents.held < 6:
                await asyncio.sleep(0.02)
        assert agents.lost == 0
    finally:
        await agents.stop()
