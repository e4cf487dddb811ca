"""What is sent to a frozen coordinator is sent again at once, in the hope for another."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from niyanta.errors import ConnectionFailedError
from niyanta.wire.messages import AttemptRef, BatchReply, HeartbeatReply, RegisterReply, Started
from niyanta.wire.subjects import Subjects
from niyanta.worker.agent.membership import Membership
from niyanta.worker.handlers.app import WorkerSpec
from niyanta.worker.outbox import Outbox, Who

SUBJECTS = Subjects()


class Frozen:
    """A broker behind which some requests reach a coordinator that answers, and the others one that doesn't.

    Attributes:
        waited: For each unanswered request: how long it was waited for, in seconds.
        idle: Seconds for which nobody waited for an answer.
    """

    def __init__(self, unanswered: int) -> None:
        self._left = unanswered
        self.waited: list[float] = []
        self.answered = 0
        self._silent_since = 0.0
        self.idle = 0.0

    async def request(self, subject: str, payload: bytes, *, timeout_seconds: float) -> bytes:
        if subject == SUBJECTS.register:
            return msgspec.msgpack.encode(RegisterReply(True))
        now = asyncio.get_running_loop().time()
        if self.waited:
            self.idle += now - self._silent_since
        if self._left:
            self._left -= 1
            self.waited.append(timeout_seconds)
            self._silent_since = now
            raise ConnectionFailedError("no reply in time")
        self.answered += 1
        if subject == SUBJECTS.heartbeat:
            return msgspec.msgpack.encode(HeartbeatReply(True))
        return msgspec.msgpack.encode(BatchReply(True))


async def test_a_beat_is_sent_again_at_once_and_many_fit_into_a_lease() -> None:
    broker: Any = Frozen(unanswered=5)
    membership = Membership(WorkerSpec("w", 1, {}, {}), broker, SUBJECTS, list)
    living = asyncio.create_task(membership.live())
    async with asyncio.timeout(10):
        while not broker.answered:
            await asyncio.sleep(0.01)
    membership.stop()
    await living
    # Were each answer waited for to the end: five in vain, the sixth well within the lease.
    assert sum(broker.waited) + broker.idle < 0.8 * membership.lease.seconds


async def test_a_batch_is_sent_again_soon_with_growing_patience() -> None:
    broker: Any = Frozen(unanswered=6)
    outbox = Outbox(broker, SUBJECTS.events, lambda: Who("w", "i"), lambda *_: None, lambda: None)
    outbox.add(AttemptRef("cust", "wl_1", 1), 1, Started())
    sending = asyncio.create_task(outbox.run())
    async with asyncio.timeout(10):
        await outbox.flushed()
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)
    # Twice each, as the second try is likely to reach another coordinator, which isn't slow at all.
    assert broker.waited == pytest.approx([1.5, 1.5, 3, 3, 6, 6], abs=0.1)
