"""What waits while the broker is away."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import msgspec
import pytest

from niyanta.wire.messages import (
    AttemptRef,
    BatchReply,
    CheckpointSaved,
    Completed,
    Event,
    EventBatch,
    EventBody,
    EventReply,
    Failed,
    LogLine,
    Outcome,
    Progressed,
    Started,
)
from niyanta.worker.outbox import MOST_LINE_BYTES_OF_ALL, MOST_LINES, Outbox, Who
from support.pace import pace

encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(EventBatch).decode

REF, OTHER = AttemptRef("cust", "wl_1", 1), AttemptRef("cust", "wl_2", 1)


class Service:
    """Stands in for the broker: acknowledges every batch at once, and keeps it."""

    def __init__(self) -> None:
        self.batches: list[list[Event]] = []

    async def request(self, subject: str, payload: bytes, *, timeout_seconds: float) -> bytes:
        self.batches.append(decode(payload).events)
        return encode(BatchReply(ok=True))


def new_outbox(service: Service, gather_seconds: float = 0.0) -> Outbox:
    broker: Any = service
    return Outbox(broker, "events", lambda: Who("w", "i"), lambda *_: None, lambda: None, gather_seconds)


async def batches(outbox: Outbox, service: Service) -> list[list[Event]]:
    """All that waits, as it is sent."""
    del service.batches[:]
    sending = asyncio.create_task(outbox.run())
    await outbox.flushed()
    sending.cancel()
    return service.batches


async def drained(outbox: Outbox, service: Service) -> list[Event]:
    return [event for batch in await batches(outbox, service) for event in batch]


async def test_of_progress_only_the_newest_waits() -> None:
    service = Service()
    outbox = new_outbox(service)
    for number in range(1, 10_001):
        outbox.add(REF, number, Progressed(number // 101))
        outbox.add(OTHER, number, Progressed(1))
    assert [(e.ref, e.body) for e in await drained(outbox, service)] == [
        (REF, Progressed(99)),
        (OTHER, Progressed(1)),
    ]


async def test_progress_doesn_t_overtake_a_checkpoint() -> None:
    service = Service()
    outbox = new_outbox(service)
    bodies: list[EventBody] = [
        Progressed(1),
        Progressed(2),
        CheckpointSaved(b"1", b""),
        Progressed(3),
        Progressed(4),
        Failed("x"),
    ]
    for number, body in enumerate(bodies, 1):
        outbox.add(REF, number, body)
    events = await drained(outbox, service)
    assert [e.body for e in events] == [Progressed(2), CheckpointSaved(b"1", b""), Progressed(4), Failed("x")]
    sequences = [e.sequence for e in events]
    assert sequences == sorted(set(sequences))


async def test_log_lines_have_a_bound_in_number_and_in_bytes() -> None:
    service = Service()
    outbox = new_outbox(service)
    count = 0
    while outbox.has_room(REF):
        count += 1
        outbox.add(REF, count, LogLine("INFO", "x"))
    assert count == MOST_LINES
    assert outbox.has_room(OTHER)
    large = 0
    while outbox.has_room(OTHER):
        large += 1
        outbox.add(OTHER, large, LogLine("INFO", "x" * 8000))
    assert large < 1000
    assert len(await drained(outbox, service)) == count + large
    assert outbox.has_room(REF)
    assert outbox.has_room(OTHER)


async def test_what_has_been_sent_leaves_its_room_to_others() -> None:
    service = Service()
    outbox = new_outbox(service)
    for number in range(1, 2 * MOST_LINE_BYTES_OF_ALL // (1 << 20)):
        ref = AttemptRef("cust", f"wl_{number}", 1)
        assert outbox.has_room(ref)
        while outbox.has_room(ref):
            outbox.add(ref, 1, LogLine("INFO", "x" * 50_000))
        await batches(outbox, service)


async def test_messages_of_progress_count_as_lines() -> None:
    service = Service()
    outbox = new_outbox(service)
    for number in range(1, 20_001):
        outbox.add(REF, number, Progressed(5, "still at it"))
    events = await drained(outbox, service)
    assert len(events) == MOST_LINES + 1
    assert events[-1].body == Progressed(5)


async def test_all_attempts_together_have_a_bound() -> None:
    service = Service()
    outbox = new_outbox(service)
    refs = [AttemptRef("cust", f"wl_{number}", 1) for number in range(200)]
    for ref in refs:
        number = 0
        while outbox.has_room(ref):
            number += 1
            outbox.add(ref, number, LogLine("INFO", "x" * 8000))
    sent = sum(len(e.body.message) for e in await drained(outbox, service) if isinstance(e.body, LogLine))
    assert 8_000_000 < sent < MOST_LINE_BYTES_OF_ALL


async def test_batches_have_a_bound() -> None:
    service = Service()
    outbox = new_outbox(service)
    for number in range(1, 3001):
        outbox.add(REF, number, Started())
    outbox.add(REF, 3001, CheckpointSaved(b"x" * (1 << 20), b""))
    outbox.add(REF, 3002, Started())
    assert list(map(len, await batches(outbox, service))) == [1000, 1000, 1000, 1, 1]


async def test_what_comes_in_the_next_turns_of_the_loop_shares_a_batch() -> None:
    service = Service()
    outbox = new_outbox(service, 60.0)
    sending = asyncio.create_task(outbox.run())
    bodies: list[EventBody] = [Started(), Completed(b"{}")]
    for number, body in enumerate(bodies, 1):
        for ref in (REF, OTHER):
            outbox.add(ref, number, body)
            await asyncio.sleep(0)
    await outbox.flushed()
    assert [len(batch) for batch in service.batches] == [4]
    sending.cancel()


async def test_a_batch_waits_for_no_end_of_what_comes() -> None:
    service = Service()
    outbox = new_outbox(service, 0.01)
    sending = asyncio.create_task(outbox.run())
    async with asyncio.timeout(30 * pace()):
        number = 0
        while not service.batches:
            number += 1
            outbox.add(REF, number, LogLine("INFO", "more"))
            await asyncio.sleep(0)
    sending.cancel()


async def test_stamps_never_go_back_though_the_machine_s_clock_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    service = Service()
    outbox = new_outbox(service)
    outbox.add(REF, 1, LogLine("INFO", "before"))
    monkeypatch.setattr(time, "time", lambda: 0.0)
    outbox.add(REF, 2, LogLine("INFO", "after"))
    first, second = (event.occurred_at_ms for event in await drained(outbox, service))
    assert first <= second < first + 10_000


async def test_stamps_are_by_the_service_s_clock_once_it_is_known() -> None:
    service = Service()
    outbox = new_outbox(service)
    outbox.set_clock(1_000_000.0, time.monotonic() - 5)
    outbox.add(REF, 1, LogLine("INFO", "hello"))
    (event,) = await drained(outbox, service)
    assert 1_000_005_000 <= event.occurred_at_ms < 1_000_030_000


async def test_an_attempt_s_beginning_goes_with_its_result() -> None:
    service = Service()
    outbox = new_outbox(service)
    sending = asyncio.create_task(outbox.run())
    for number in range(20):
        ref = AttemptRef("cust", f"wl_{number}", 1)
        outbox.add(ref, 1, Started())
        await asyncio.sleep(0)  # the handler runs
        outbox.add(ref, 2, Completed(b"{}"))
        await outbox.flushed()
    assert [[event.body for event in batch] for batch in service.batches] == [[Started(), Completed(b"{}")]] * 20
    sending.cancel()


async def test_a_beginning_is_told_though_nothing_follows() -> None:
    service = Service()
    outbox = new_outbox(service)
    outbox.add(REF, 1, Started())
    async with asyncio.timeout(10):
        assert await batches(outbox, service)


@pytest.mark.parametrize("unknown", [True, False], ids=["unknown", "later"])
async def test_a_late_answer_to_an_incarnation_that_is_over_concerns_no_other(unknown: bool) -> None:
    incarnations, ended = ["first", "second"], []
    sent: list[EventBatch] = []

    class Slow:
        """Answers when the worker has registered anew."""

        async def request(self, subject: str, payload: bytes, *, timeout_seconds: float) -> bytes:
            sent.append(decode(payload))
            if len(sent) > 1:
                return encode(BatchReply(ok=True))
            del incarnations[0]
            if unknown:
                return encode(BatchReply(ok=False, unknown_worker=True))
            return encode(BatchReply(ok=True, replies=[EventReply(REF, Outcome.LATER)]))

    broker: Any = Slow()
    who, end = (lambda: Who("w", incarnations[0])), (lambda: ended.append(incarnations[0]))
    outbox = Outbox(broker, "events", who, lambda *_: None, end, 0.0)
    outbox.add(REF, 1, Started())
    sending = asyncio.create_task(outbox.run())
    await outbox.flushed()
    sending.cancel()
    assert ended == []
    assert [batch.incarnation for batch in sent] == ["first"]
