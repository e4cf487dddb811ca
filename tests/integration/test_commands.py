"""Commands to workers: in order, beside everything else, and none that one worker doesn't take holds up another."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import nats
import pytest

from niyanta.errors import ConnectionFailedError
from niyanta.server.moves.commands import Commands
from niyanta.server.observability.metrics import Metrics
from niyanta.server.store.workloads import Assignable
from niyanta.wire.broker import FRAME_BYTES, Broker
from niyanta.wire.messages import Assign, AttemptRef, CancelAttempt, Command
from niyanta.wire.subjects import Subjects
from support.pace import pace
from support.scripted_worker import ScriptedWorker
from support.system import System, beating

LARGE = {"text": "x" * 700_000}
"""An input that takes two frames."""


@pytest.fixture
async def broker(nats_url: str) -> AsyncIterator[Broker]:
    opened = Broker(nats_url, name="coordinator")
    await opened.connect()
    yield opened
    await opened.close()


@pytest.fixture
async def subjects(subject_prefix: str) -> Subjects:
    return Subjects(subject_prefix)


class Listener:
    """A worker's end: every command it got, and how large its message was."""

    def __init__(self) -> None:
        self.commands: asyncio.Queue[Any] = asyncio.Queue()
        self.sizes: list[int] = []

    async def receive(self, payload: bytes) -> None:
        self.sizes.append(len(payload))
        self.commands.put_nowait(msgspec.msgpack.decode(payload, type=Command))

    async def next(self) -> Any:
        async with asyncio.timeout(20):
            return await self.commands.get()


@contextlib.asynccontextmanager
async def sending(broker: Broker, subjects: Subjects) -> AsyncIterator[tuple[Commands, Metrics]]:
    metrics = Metrics()
    commands = Commands(broker, subjects, metrics)
    task = asyncio.create_task(commands.run())
    try:
        yield commands, metrics
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def assigned(number: int, size_bytes: int, worker_id: str = "w1") -> Assignable:
    return Assignable(
        customer_id="cust_a",
        workload_id=f"wl_{number}",
        generation=1,
        workload_type="count",
        input_params="x" * size_bytes,
        config_snapshot=None,
        checkpoint_sequence=0,
        progress_percent=0,
        timeout_seconds=None,
        worker_id=worker_id,
        incarnation="inc",
    )


def counted(metrics: Metrics, command: str, outcome: str) -> float:
    labels = {"command": command, "outcome": outcome}
    return metrics.registry.get_sample_value("niyanta_worker_commands_total", labels) or 0.0


async def test_a_large_message_has_arrived_when_its_last_frame_has(broker: Broker, nats_url: str) -> None:
    other = Broker(nats_url, name="worker")
    await other.connect()
    arrived, go_on = asyncio.Event(), asyncio.Event()

    async def slow(payload: bytes) -> None:
        assert len(payload) == 3 * FRAME_BYTES
        arrived.set()
        await go_on.wait()

    try:
        await other.serve("large", slow)
        async with asyncio.timeout(20):
            await broker.publish("large", b"x" * 3 * FRAME_BYTES)
            await arrived.wait()
    finally:
        go_on.set()
        await other.close()


async def test_commands_go_in_order_and_in_messages_of_bounded_size(
    broker: Broker, subjects: Subjects, nats_url: str
) -> None:
    other, listener = Broker(nats_url, name="worker"), Listener()
    await other.connect()
    try:
        await other.serve(subjects.worker("w1"), listener.receive)
        async with sending(broker, subjects) as (commands, metrics):
            sizes = [900_000, 300_000, 300_000, 100]
            commands.assign(7, [assigned(n, size) for n, size in enumerate(sizes)])
            commands.cancel(("w1", "i1"), AttemptRef("cust_a", "wl_0", 1), "cancelled")
            got = [await listener.next() for _ in range(4)]
        assert [type(command) for command in got] == [Assign, Assign, Assign, CancelAttempt]
        ids = [[a.ref.workload_id for a in command.assignments] for command in got[:3]]
        assert ids == [["wl_3", "wl_1"], ["wl_2"], ["wl_0"]]
        assert [size > FRAME_BYTES for size in listener.sizes] == [False, False, True, False]
        assert {(command.epoch, command.incarnation) for command in got[:3]} == {(7, "inc")}
        assert counted(metrics, "Assign", "sent") == 3
    finally:
        await other.close()


async def test_a_worker_that_takes_no_frames_holds_up_its_own_lane_only(
    broker: Broker, subjects: Subjects, nats_url: str
) -> None:
    other, listener, silent = Broker(nats_url, name="worker"), Listener(), await nats.connect(nats_url)
    await other.connect()
    try:
        await silent.subscribe(subjects.worker("w1"))
        await silent.flush()
        await other.serve(subjects.worker("w2"), listener.receive)
        async with sending(broker, subjects) as (commands, metrics):
            for number in range(60):
                commands.assign(1, [assigned(number, 900_000)])
            commands.assign(1, [assigned(100, 10, "w2")])
            assert (await listener.next()).assignments[0].ref.workload_id == "wl_100"
            assert counted(metrics, "Assign", "lost") == 60 - 37  # no more than 32 MiB wait
    finally:
        await silent.close()
        await other.close()


async def test_what_can_not_be_sent_is_counted_and_forgotten(broker: Broker, subjects: Subjects) -> None:
    async with sending(broker, subjects) as (commands, metrics):
        await broker.close()
        commands.drain(("w1", "i1"))
        async with asyncio.timeout(20):
            while not counted(metrics, "DrainWorker", "lost"):
                await asyncio.sleep(0.01)
    with pytest.raises(ConnectionFailedError):
        await broker.publish("any", b"")


@pytest.mark.parametrize(
    "answer", [b"", b"\x81\xa9worker_id\xa1\xff", b"\x81\xa1x" * 30_000], ids=["none", "text", "deep"]
)
async def test_an_answer_that_can_not_be_read_is_none(broker: Broker, subjects: Subjects, answer: bytes) -> None:
    async def receive(payload: bytes) -> bytes:
        return answer

    async with sending(broker, subjects) as (commands, _):
        await broker.serve(subjects.worker("w", "incarnation"), receive)
        assert await commands.speak("w", "incarnation", 5) is None


async def test_a_large_input_holds_up_no_scheduling(system: System) -> None:
    worker = await system.worker(capacity=50)
    async with beating(worker):
        large = await system.submit(input_params=LARGE)
        async with asyncio.timeout(3 * pace()):
            small = await system.submit("cust_b")
            assert {(await worker.next_assignment()).ref.workload_id for _ in range(2)} == {large, small}


async def test_a_worker_that_takes_no_frames_holds_up_no_scheduling(system: System, nats_url: str) -> None:
    deaf = await nats.connect(nats_url)
    try:
        worker = await system.worker("w1")
        silent = ScriptedWorker(system.broker, system.subjects, "w2", types=["other"])
        await deaf.subscribe(system.subjects.worker("w2"))
        await deaf.flush()
        assert (await silent.register_again()).accepted
        async with beating(worker, silent):
            await system.submit(workload_type="other", input_params=LARGE)
            async with asyncio.timeout(3 * pace()):
                workload_id = await system.submit("cust_b")
                assert (await worker.next_assignment()).ref.workload_id == workload_id
    finally:
        await deaf.close()
