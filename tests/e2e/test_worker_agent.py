"""The agent against a service that does what a test tells it, over a real broker."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from niyanta import Context, Worker
from niyanta.embedded import Nats
from niyanta.errors import ConfigurationError
from niyanta.wire.broker import Broker
from niyanta.wire.messages import (
    Assign,
    Assignment,
    AttemptRef,
    BatchReply,
    CancelAttempt,
    CheckpointSaved,
    Completed,
    DrainWorker,
    Event,
    EventBatch,
    EventReply,
    Failed,
    Heartbeat,
    HeartbeatReply,
    LogLine,
    Outcome,
    Progressed,
    Refused,
    Register,
    RegisterReply,
    Released,
    Started,
)
from niyanta.wire.subjects import Subjects
from niyanta.worker.agent import lease
from niyanta.worker.agent.agent import Agent
from niyanta.worker.handlers.app import App, load_app
from niyanta.worker.launcher.pool import ProcessPool
from support.pace import pace
from support.station import APP

encode = msgspec.msgpack.Encoder().encode


class Service:
    """A coordinator of few words.

    Attributes:
        registrations: What was registered, newest last.
        accept: The answer to the next registrations.
        beat: The answer to heartbeats; None: silence.
        events: All that was sent and acknowledged, in order.
    """

    def __init__(self, broker: Broker, subjects: Subjects) -> None:
        self.broker = broker
        self.subjects = subjects
        self.registrations: list[Register] = []
        self.beats: list[Heartbeat] = []
        self.batches: list[EventBatch] = []
        self.events: list[Event] = []
        self.accept = RegisterReply(True, "", "", 0.2, 1.0)
        self.beat: HeartbeatReply | None = HeartbeatReply(True)
        self.fenced: set[AttemptRef] = set()
        self.later: set[AttemptRef] = set()
        self.hears_events = True
        self._count = 0

    async def start(self) -> None:
        await self.broker.serve(self.subjects.register, self._register)
        await self.broker.serve(self.subjects.heartbeat, self._beat)
        await self.broker.serve(self.subjects.events, self._events)

    async def _register(self, payload: bytes) -> bytes:
        self.registrations.append(msgspec.msgpack.decode(payload, type=Register))
        self.beat = HeartbeatReply(True)
        return encode(self.accept)

    async def _beat(self, payload: bytes) -> bytes | None:
        self.beats.append(msgspec.msgpack.decode(payload, type=Heartbeat))
        return None if self.beat is None else encode(self.beat)

    async def _events(self, payload: bytes) -> bytes | None:
        batch = msgspec.msgpack.decode(payload, type=EventBatch)
        self.batches.append(batch)
        if not self.hears_events:
            return None
        replies = []
        for ref in dict.fromkeys(event.ref for event in batch.events):
            self._count += 1
            outcome = Outcome.FENCED if ref in self.fenced else Outcome.APPLIED
            replies.append(EventReply(ref, Outcome.LATER if ref in self.later else outcome, self._count))
        self.events += [event for event in batch.events if event.ref not in self.later]
        return encode(BatchReply(True, replies))

    async def assign(self, kind: str, number: int = 1, epoch: int = 1, **options: Any) -> AttemptRef:
        ref = AttemptRef("cust", f"wl_{number}", 1)
        assignment = Assignment(ref, kind, b"{}", **options)
        command = Assign(epoch, self.registrations[-1].incarnation, [assignment])
        await self.broker.publish(self.subjects.worker("w"), encode(command))
        return ref

    def bodies(self, ref: AttemptRef) -> list[Any]:
        return [event.body for event in self.events if event.ref == ref and not isinstance(event.body, LogLine)]


async def until(condition: Any, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds * pace()
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:g} s"
        await asyncio.sleep(0.01)


def inline_worker() -> Worker:
    worker = Worker(id="w", capacity=2)

    @worker.workload("wait", isolation="inline")
    async def wait(ctx: Context) -> None:
        await ctx.report_progress(1)
        ctx.checkpoint_with(lambda: {"x": 1})
        await asyncio.sleep(60)

    @worker.workload("quick", isolation="inline")
    async def quick(ctx: Context) -> int:
        await asyncio.sleep(0)
        return 1

    return worker


class Running:
    def __init__(self, service: Service, agent: Agent) -> None:
        self.service = service
        self.agent = agent
        self.stop = asyncio.Event()
        self.task = asyncio.get_running_loop().create_task(agent.run(self.stop))


@pytest.fixture
async def nats(tmp_path: Path) -> AsyncIterator[Nats]:
    engine = Nats(tmp_path / "nats")
    await engine.start()
    yield engine
    await engine.stop()


@pytest.fixture
async def service(nats: Nats) -> AsyncIterator[Service]:
    broker = Broker(nats.url, name="service")
    await broker.connect()
    found = Service(broker, Subjects())
    await found.start()
    yield found
    await broker.close()


@pytest.fixture
async def run(nats: Nats, service: Service, tmp_path: Path) -> AsyncIterator[Any]:
    everything: list[tuple[Running, Broker]] = []

    async def start(worker: App, app: str = "") -> Running:
        broker = Broker(nats.url, name="worker")
        await broker.connect()
        scratch = tmp_path / "scratch"
        os.makedirs(scratch, exist_ok=True)
        running = Running(service, Agent(worker.spec(), [app], broker, service.subjects, scratch))
        everything.append((running, broker))
        return running

    yield start
    for running, broker in everything:
        running.task.cancel()
        await asyncio.gather(running.task, return_exceptions=True)
        await broker.close()


async def test_an_id_in_use_is_waited_for_and_said_once(
    run: Any, service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    service.accept = RegisterReply(False, "in_use", "worker id 'w' is in use by a live worker")
    with caplog.at_level(logging.WARNING):
        await run(inline_worker())
        await until(lambda: len(service.registrations) >= 3)
        assert [r.message for r in caplog.records].count(
            "worker.not_registered_yet: worker id 'w' is in use by a live worker"
        ) == 1
    service.accept = RegisterReply(True, "", "", 0.2, 1.0)
    await until(lambda: service.beats)
    assert len({registration.incarnation for registration in service.registrations}) == 1


@pytest.mark.parametrize("reason", ["invalid", "removed"])
async def test_a_refusal_for_good_ends_the_worker(run: Any, service: Service, reason: str) -> None:
    service.accept = RegisterReply(False, reason, "the capacity must be 1 to 10000")
    running = await run(inline_worker())
    with pytest.raises(ConfigurationError, match="the capacity must be"):
        await running.task


async def test_a_removed_worker_ends_and_says_why(run: Any, service: Service) -> None:
    running = await run(inline_worker())
    await until(lambda: service.beats)
    service.accept = RegisterReply(False, "removed", "worker id 'w' was removed by an operator")
    service.beat = HeartbeatReply(False)
    async with asyncio.timeout(10):
        with pytest.raises(ConfigurationError, match="removed by an operator"):
            await running.task


async def test_a_removed_worker_says_last_that_nothing_of_it_runs_any_more(run: Any, service: Service) -> None:
    running = await run(inline_worker())
    await until(lambda: service.beats)
    ref = await service.assign("wait")
    await until(lambda: Started() in service.bodies(ref))
    incarnation = service.registrations[-1].incarnation
    service.accept = RegisterReply(False, "removed", "worker id 'w' was removed by an operator")
    service.beat = HeartbeatReply(False)
    async with asyncio.timeout(20):
        with pytest.raises(ConfigurationError, match="removed by an operator"):
            await running.task
    last = service.beats[-1]
    assert (last.incarnation, last.leaving, last.attempts) == (incarnation, True, [])


async def test_the_last_beat_is_given_until_it_is_recorded(run: Any, service: Service) -> None:
    running = await run(inline_worker())
    await until(lambda: service.beats)
    service.beat = HeartbeatReply(False, hold=True)
    running.stop.set()
    await until(lambda: [beat.leaving for beat in service.beats].count(True) >= 2)
    service.beat = HeartbeatReply(True)
    async with asyncio.timeout(20):
        await running.task
    assert service.beats[-1].leaving


async def test_an_unknown_worker_stops_everything_and_registers_anew(run: Any, service: Service) -> None:
    await run(inline_worker())
    await until(lambda: service.beats)
    ref = await service.assign("wait")
    await until(lambda: Started() in service.bodies(ref))
    old = service.registrations[-1].incarnation
    service.beat = HeartbeatReply(False)  # until it registers
    await until(lambda: service.beats[-1].incarnation == service.registrations[-1].incarnation != old)
    assert service.beats[-1].attempts == []
    assert len(service.registrations) == 2
    again = await service.assign("quick", 2)
    await until(lambda: any(isinstance(body, Completed) for body in service.bodies(again)))
    assert {event.ref for batch in service.batches if batch.incarnation != old for event in batch.events} == {again}


async def test_a_cancelled_attempt_frees_its_slot_in_silence(run: Any, service: Service) -> None:
    await run(inline_worker())
    await until(lambda: service.beats)
    ref = await service.assign("wait")
    await until(lambda: Progressed(1) in service.bodies(ref))
    await service.broker.publish(service.subjects.worker("w"), encode(CancelAttempt(ref)))
    count = len(service.beats)
    await until(lambda: len(service.beats) > count + 1 and service.beats[-1].attempts == [], 3)
    assert [type(body) for body in service.bodies(ref)] == [Started, Progressed]


async def test_a_fenced_attempt_stops(run: Any, service: Service) -> None:
    await run(inline_worker())
    await until(lambda: service.beats)
    service.fenced.add(AttemptRef("cust", "wl_1", 1))
    await service.assign("wait")
    await until(lambda: service.batches)
    count = len(service.beats)
    await until(lambda: len(service.beats) > count + 1 and service.beats[-1].attempts == [], 3)
    assert Released("superseded") not in [event.body for event in service.events]


async def test_a_service_that_is_restored_to_an_older_epoch_is_obeyed_again(run: Any, service: Service) -> None:
    await run(inline_worker())
    await until(lambda: service.beats)
    first = await service.assign("quick", 1, epoch=9)
    await until(lambda: any(isinstance(body, Completed) for body in service.bodies(first)))
    second = await service.assign("quick", 2, epoch=3)
    await until(lambda: any(beat.ignored_commands == 1 for beat in service.beats))
    assert not service.bodies(second)
    service.beat = HeartbeatReply(True, epoch=3)
    count = len(service.beats)
    await until(lambda: len(service.beats) > count + 1)
    assert service.beats[-1].ignored_commands == 0
    await service.assign("quick", 2, epoch=3)
    await until(lambda: any(isinstance(body, Completed) for body in service.bodies(second)))


async def test_events_that_are_left_for_later_hold_up_no_others(run: Any, service: Service) -> None:
    await run(inline_worker())
    await until(lambda: service.beats)
    stuck = AttemptRef("cust", "wl_1", 1)
    service.later.add(stuck)
    assert await service.assign("quick", 1) == stuck
    await until(lambda: any(event.ref == stuck for batch in service.batches for event in batch.events))
    for number in range(2, 12):
        free = await service.assign("quick", number)
        await until(lambda free=free: any(isinstance(body, Completed) for body in service.bodies(free)), 2)
    assert not service.bodies(stuck)
    service.later.clear()
    await until(lambda: [type(body) for body in service.bodies(stuck)][-1:] == [Completed])
    assert [event.sequence for event in service.events if event.ref == stuck] == [1, 2]
    assert all(batch.takes_later for batch in service.batches)


async def test_what_moves_is_handed_back_at_its_next_checkpoint_and_nothing_else(run: Any, service: Service) -> None:
    service.accept = RegisterReply(True, "", "", 30.0, 60.0)  # it beats when it is told to
    saves = asyncio.Event()
    worker = Worker(id="w", capacity=3)

    @worker.workload("hold", isolation="inline")
    async def hold(ctx: Context) -> int:
        await ctx.report_progress(1)
        await saves.wait()
        await ctx.save_checkpoint({"x": 1})
        return 1

    await run(worker)
    await until(lambda: service.beats)
    moves, stays, freed = [await service.assign("hold", number) for number in (1, 2, 3)]
    await until(lambda: all(Progressed(1) in service.bodies(ref) for ref in (moves, stays, freed)))
    # The last says nothing, as a service of an earlier release does.
    for moving in ([moves, freed], [moves], None):
        count = len(service.beats)
        service.beat = HeartbeatReply(True, draining=True, moving=moving)
        await service.broker.publish(service.subjects.worker("w"), encode(DrainWorker()))
        await until(lambda count=count: len(service.beats) > count)
    saves.set()
    ends = (Released, Completed)
    await until(lambda: all(isinstance(service.bodies(ref)[-1], ends) for ref in (moves, stays, freed)))
    assert service.bodies(moves)[-1] == Released("drained")
    assert [type(service.bodies(ref)[-1]) for ref in (stays, freed)] == [Completed, Completed]


async def test_an_assignment_that_comes_again_after_its_attempt_has_ended_is_not_run_again(
    run: Any, service: Service
) -> None:
    ran: list[str] = []
    worker = Worker(id="w", capacity=2)

    @worker.workload("note", isolation="inline")
    async def note(ctx: Context) -> None:
        ran.append(ctx.workload_id)

    running = await run(worker)
    await until(lambda: service.beats)
    service.hears_events = False  # so that the service must think that the assignment was lost, and pushes it again
    first = await service.assign("note", 1)
    await until(lambda: ran == ["wl_1"] and not running.agent.attempts)
    await service.assign("note", 1)
    await service.assign("note", 2)
    await until(lambda: "wl_2" in ran)
    assert ran == ["wl_1", "wl_2"]
    service.hears_events = True
    await until(lambda: any(isinstance(body, Completed) for body in service.bodies(first)))
    # Nor when it comes after the end was acknowledged, as a link that was held up may have it.
    await service.assign("note", 1)
    await service.assign("note", 3)
    await until(lambda: "wl_3" in ran)
    assert ran == ["wl_1", "wl_2", "wl_3"]


async def test_what_does_not_fit_is_refused(run: Any, service: Service) -> None:
    await run(inline_worker())
    await until(lambda: service.beats)
    for number in (1, 2):
        await service.assign("wait", number)
    third, unknown = await service.assign("wait", 3), await service.assign("no such", 4)
    await until(lambda: service.bodies(third) and service.bodies(unknown))
    assert service.bodies(third) == [Refused("this worker is full")]
    assert service.bodies(unknown) == [Refused("this worker doesn't serve 'no such'")]


async def test_a_slot_counts_until_it_is_free_and_then_at_once_no_more(run: Any, service: Service) -> None:
    worker, end = Worker(id="w", capacity=1), asyncio.Event()

    @worker.workload("stubborn", isolation="inline")
    async def stubborn(ctx: Context) -> None:
        await ctx.report_progress(1)
        while not end.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await end.wait()

    service.accept = RegisterReply(True, "", "", 0.3, 5.0)
    await run(worker)
    await until(lambda: service.beats)
    ref = await service.assign("stubborn")
    await until(lambda: Progressed(1) in service.bodies(ref))
    await service.broker.publish(service.subjects.worker("w"), encode(CancelAttempt(ref)))
    count = len(service.beats)
    await until(lambda: len(service.beats) > count + 3)
    assert all(beat.attempts == [ref] for beat in service.beats[count:])
    assert service.beats[-1].lingering == 1
    other = await service.assign("stubborn", 2)
    await until(lambda: service.bodies(other))
    assert service.bodies(other) == [Refused("this worker is full")]
    service.accept = RegisterReply(True, "", "", 60.0, 300.0)
    end.set()
    await until(lambda: service.beats[-1].attempts == [], 3)
    assert service.beats[-1].lingering == 0


async def test_one_that_is_cancelled_when_it_has_ended_is_said_to_hold_no_slot(run: Any, service: Service) -> None:
    service.accept = RegisterReply(True, "", "", 60.0, 300.0)
    await run(inline_worker())
    await until(lambda: service.beats)
    ref = await service.assign("quick", 1)
    await until(lambda: any(isinstance(body, Completed) for body in service.bodies(ref)))
    count = len(service.beats)
    await service.broker.publish(service.subjects.worker("w"), encode(CancelAttempt(ref)))
    await until(lambda: len(service.beats) > count)
    assert service.beats[-1].lingering == 0


async def test_a_stop_hands_everything_back_and_says_good_bye_once(run: Any, service: Service) -> None:
    running = await run(inline_worker())
    await until(lambda: service.beats)
    ref = await service.assign("wait")
    await until(lambda: Started() in service.bodies(ref))
    running.stop.set()
    await asyncio.wait_for(running.task, 10)
    kinds = [type(body) for body in service.bodies(ref)]
    assert kinds == [Started, Progressed, CheckpointSaved, Released]
    assert [beat.leaving for beat in service.beats].count(True) == 1
    assert service.beats[-1].leaving
    assert len(service.registrations) == 1


async def test_an_exclusive_attempt_ends_before_its_lease_and_is_handed_back(run: Any, service: Service) -> None:
    worker = load_app([APP])
    worker.id = "w"
    await run(worker, APP)
    await until(lambda: service.beats)
    ref = await service.assign("exclusive")
    await until(lambda: Progressed(50) in service.bodies(ref), 20)
    cut_off_at, service.beat, service.hears_events = time.monotonic(), None, False
    count = len(service.beats)
    await until(lambda: len(service.beats) > count and service.beats[-1].attempts == [], 9)
    assert time.monotonic() - cut_off_at < 8 * pace()  # 0.7 s, then the grace of a process
    service.beat, service.hears_events = HeartbeatReply(True), True
    await until(lambda: service.bodies(ref)[-1] == Released("the worker was cut off from the service"))


async def test_an_exclusive_attempt_begins_once_a_beat_that_names_it_is_recorded(run: Any, service: Service) -> None:
    """Its assignment may be old: the worker was frozen when it came, and another has the workload since."""
    service.accept = RegisterReply(True, "", "", 0.2, 4.0)
    worker = load_app([APP])
    worker.id = "w"
    await run(worker, APP)
    await until(lambda: service.beats)

    service.beat = HeartbeatReply(False, hold=True)
    ref = await service.assign("exclusive")
    await until(lambda: service.bodies(ref))
    assert service.bodies(ref) == [Released("the worker was cut off from the service")]
    service.beat = HeartbeatReply(True)
    later = await service.assign("exclusive", 2)
    await until(lambda: Progressed(50) in service.bodies(later))


async def test_an_agent_ends_an_exclusive_attempt_though_its_launcher_knows_of_no_lease(
    run: Any, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one that was started anew while the worker is cut off."""
    monkeypatch.setattr(ProcessPool, "renew", lambda *_: None)
    worker = load_app([APP])
    worker.id = "w"
    await run(worker, APP)
    await until(lambda: service.beats)
    ref = await service.assign("exclusive")
    await until(lambda: Progressed(50) in service.bodies(ref), 20)
    service.beat, service.hears_events = None, False
    count = len(service.beats)
    await until(lambda: len(service.beats) > count and service.beats[-1].attempts == [], 9)
    service.beat, service.hears_events = HeartbeatReply(True), True
    await until(lambda: service.bodies(ref)[-1] == Released("the worker was cut off from the service"))


async def test_work_goes_on_without_a_broker_for_a_while_only(
    run: Any, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "CUT_OFF_SECONDS", 2.0)
    running = await run(inline_worker())
    await until(lambda: service.beats)
    ref = await service.assign("wait")
    await until(lambda: Started() in service.bodies(ref))
    service.beat, service.hears_events = None, False
    began = time.monotonic()
    await until(lambda: not running.agent.attempts, 5)
    assert 1.5 < time.monotonic() - began < 2.5 + pace()
    service.beat, service.hears_events = HeartbeatReply(True), True
    await until(lambda: Released("the worker was cut off from the service") in service.bodies(ref))


def test_a_broker_that_is_not_there_is_said_at_once(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "niyanta.cli.main", "worker", "--nats-url", "nats://127.0.0.1:1", "--app", APP],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "NIYANTA_BROKER_AUTH": "none"},
    )
    assert done.returncode == 1
    assert "cannot reach the broker" in done.stderr
    assert "Traceback" not in done.stderr


async def test_an_app_that_fails_in_its_process_says_why(run: Any, service: Service, tmp_path: Path) -> None:
    app = tmp_path / "only_once.py"
    app.write_text(
        "import os, sys\nfrom niyanta import Worker\nworker = Worker(id='w')\n"
        "if 'niyanta.worker.runner' in ' '.join(sys.orig_argv):\n    raise RuntimeError('no GPU here')\n"
        "@worker.workload('x')\ndef x(ctx): pass\n"
    )
    await run(load_app([f"{app}:worker"]), f"{app}:worker")
    await until(lambda: service.beats)
    ref = await service.assign("x")
    await until(lambda: any(isinstance(body, Failed) for body in service.bodies(ref)), 40)
    failed = service.bodies(ref)[-1]  # behind a Started, when getting ready took long
    assert "the workload's process ended before it began" in failed.message
    assert "RuntimeError: no GPU here" in failed.message
    assert not failed.permanent
