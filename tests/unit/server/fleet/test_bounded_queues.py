"""While the database hangs, what waits for it stays bounded: senders are told to come back, and memory stays flat."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from niyanta.server.fleet.beats import BeatService
from niyanta.server.fleet.intake import EventIntake
from niyanta.server.observability.metrics import Metrics
from niyanta.server.settings import CoordinatorSettings
from niyanta.wire.messages import BatchReply, EventBatch, Heartbeat, HeartbeatReply

NOTHING: Any = None
SETTINGS = CoordinatorSettings.from_environment({}, database_url="postgresql://unused", nats_url="nats://unused")


async def _first_answer(receive: Callable[[bytes], Awaitable[bytes]], payload: bytes, most: int) -> bytes:
    """The answer to the first message that doesn't wait, of at most so many; nothing is ever committed."""
    waiting: list[asyncio.Task[bytes]] = []
    try:
        for _ in range(most + 1):
            waiting.append(asyncio.ensure_future(receive(payload)))
            await asyncio.sleep(0)
            if waiting[-1].done():
                return waiting[-1].result()
        raise AssertionError("all of them wait")
    finally:
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


async def test_events_stay_with_their_workers() -> None:
    intake = EventIntake(NOTHING, NOTHING, NOTHING, NOTHING, SETTINGS, Metrics())
    answer = await _first_answer(intake.receive, msgspec.msgpack.encode(EventBatch("w1", "i1", [])), 1000)
    reply = msgspec.msgpack.decode(answer, type=BatchReply)
    assert (reply.ok, reply.unknown_worker) == (False, False)


async def test_beats_are_answered_without_being_recorded() -> None:
    beats = BeatService(NOTHING, NOTHING, NOTHING, Metrics(), SETTINGS)
    answer = await _first_answer(beats.receive, msgspec.msgpack.encode(Heartbeat("w1", "i1", False, [])), 20_000)
    reply = msgspec.msgpack.decode(answer, type=HeartbeatReply)
    assert (reply.ok, reply.hold) == (False, True)
