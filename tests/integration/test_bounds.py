"""What waits has an end, whoever is slow; and what is read at once has one, whatever there is."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from niyanta.domain.workload import Key
from niyanta.errors import ConnectionFailedError
from niyanta.server.fleet.intake import EventIntake
from niyanta.server.store.queries import Connection
from niyanta.server.store.workloads import MOST_INPUT_BYTES, Assignable, WorkloadStore
from niyanta.wire import serving as wire
from niyanta.wire.broker import FRAME_BYTES, Broker
from niyanta.wire.messages import AttemptRef, BatchReply, Event, EventBatch, LogLine
from support.system import System, beating, running_system, supported

_MIB = 1 << 20


async def _linked(nats_url: str) -> tuple[Broker, Broker]:
    asking, answering = Broker(nats_url, name="asking"), Broker(nats_url, name="answering")
    await asking.connect()
    await answering.connect()
    return asking, answering


async def test_no_more_messages_are_answered_at_once_than_are_allowed(
    nats_url: str, subject_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "MOST_AT_ONCE", 10)
    asking, answering = await _linked(nats_url)
    subject, go = f"{subject_prefix}.slow", asyncio.Event()
    under_way = answered = 0

    async def answer(_: bytes) -> bytes:
        nonlocal under_way, answered
        under_way += 1
        await go.wait()
        answered += 1
        return b""

    try:
        await answering.serve(subject, answer)
        waiting = [asyncio.create_task(asking.request(subject, b"", timeout_seconds=20)) for _ in range(50)]
        async with asyncio.timeout(10):
            while under_way < 10:
                await asyncio.sleep(0.01)
        await answering.publish(f"{subject}.nobody", b"")
        await asyncio.sleep(0.2)  # in which more would begin
        assert under_way == 10
        go.set()
        await asyncio.gather(*waiting)
        assert answered == 50
    finally:
        await asking.close()
        await answering.close()


async def test_no_more_framed_messages_are_taken_at_once_than_are_allowed(
    nats_url: str, subject_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "MOST_FRAMED_BYTES", 3 * FRAME_BYTES)
    asking, answering = await _linked(nats_url)
    subject, go, begun = f"{subject_prefix}.large", asyncio.Event(), asyncio.Event()
    taken = 0

    async def answer(payload: bytes) -> bytes:
        nonlocal taken
        taken += 1
        begun.set()
        await go.wait()
        return b"%d" % len(payload)

    try:
        await answering.serve(subject, answer)
        payload = bytes(FRAME_BYTES + 1)
        first = asyncio.create_task(asking.request(subject, payload, timeout_seconds=20))
        await begun.wait()
        with pytest.raises(ConnectionFailedError, match="no reply"):
            await asking.request(subject, payload, timeout_seconds=1)
        assert taken == 1
        go.set()
        assert await first == b"%d" % len(payload)
        assert await asking.request(subject, payload, timeout_seconds=5) == b"%d" % len(payload)
    finally:
        await asking.close()
        await answering.close()


async def test_what_waits_for_the_database_is_bounded_in_bytes() -> None:
    nothing = cast(Any, SimpleNamespace(checkpoints_kept=10))
    intake = EventIntake(
        nothing, nothing, nothing, nothing, nothing, nothing
    )  # which commits nothing, as it isn't run
    line = LogLine("INFO", "x" * (8 * _MIB))
    batch = EventBatch("w1", "i", [Event(AttemptRef("cust_a", "wl_1", 1), 1, 0, line)])
    payload = msgspec.msgpack.encode(batch)
    waiting = [asyncio.create_task(intake.receive(payload)) for _ in range(60)]
    refused, held = await asyncio.wait(waiting, timeout=1)
    for task in held:
        task.cancel()
    await asyncio.gather(*held, return_exceptions=True)
    assert len(held) * len(payload) <= 160 * _MIB
    assert len(held) >= 8
    assert all(not msgspec.msgpack.decode(task.result(), type=BatchReply).ok for task in refused)


async def test_large_inputs_are_read_a_bounded_part_at_a_time(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = 24
    read: list[int] = []
    assignments = WorkloadStore.assignments

    async def spied(self: WorkloadStore, conn: Connection, refs: Sequence[Key]) -> list[Assignable]:
        found = await assignments(self, conn, refs)
        read.append(sum(len(each.input_params) for each in found))
        return found

    monkeypatch.setattr(WorkloadStore, "assignments", spied)
    # Half that no compression makes smaller, half that it makes tiny.
    fillings = ["a" * 900_000, "".join(f"{n:x}" for n in range(180_000))]
    await supported(system)
    ids = {await system.submit(input_params={"filling": fillings[n % 2]}) for n in range(count)}
    worker = await system.worker(capacity=count)  # by then all wait for a pass
    async with beating(worker):
        got: dict[str, int] = {}
        while got.keys() != ids:
            assignment = await worker.next_assignment(20)
            got[assignment.ref.workload_id] = len(assignment.input_json)
    assert min(got.values()) > 500_000
    assert read
    assert max(read) <= MOST_INPUT_BYTES


async def test_beats_that_come_together_share_their_queries(
    database_url: str, nats_url: str, subject_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []
    held_by = WorkloadStore.held_by

    async def spied(self: WorkloadStore, *arguments: Any) -> Any:
        asked.append(arguments)
        return await held_by(self, *arguments)

    monkeypatch.setattr(WorkloadStore, "held_by", spied)
    # No worker is lost while the others register, however slow the machine.
    async with running_system(database_url, nats_url, subject_prefix, worker_lease_seconds=60.0) as system:
        workers = [await system.worker(f"w{number}") for number in range(30)]
        await asyncio.gather(*(worker.beat() for worker in workers))
        refs = [AttemptRef("cust_a", f"wl_{number}", 1) for number in range(30)]
        replies = await asyncio.gather(*(w.beat(ref) for w, ref in zip(workers, refs, strict=True)))
        assert [reply.superseded for reply in replies] == [[ref] for ref in refs]
        assert len(asked) < len(workers) / 2
