"""Telling workers what to do: one way for every command, and one policy for when it doesn't arrive.

A command tells of something that is committed already. Nobody waits for it, and nothing depends on its arrival:

* an assignment that stays unanswered is pushed again, and taken back later (the monitor);
* a cancelled or superseded attempt is named in the answer to its worker's next beat or batch of events;
* a pause is asked for again as long as somebody waits for it, and an attempt that isn't told of a withdrawal saves
  sooner than it had to, and goes on;
* a drained worker reads it in the answer to its next beat.

One command is a request: `Commands.speak`, by which the monitor hears a silent worker out.

So a command that can't be sent is counted, logged and forgotten. Each worker has a lane in which its commands go in
order, one at a time, beside whoever gave them: a broker that is away, or a worker that doesn't take the frames of a
large message, holds up nothing but that lane. A lane is bounded, too: what doesn't fit any more is as good as lost.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import TypeAlias

import msgspec

from niyanta.domain.traces import attempt_context, read_traceparent
from niyanta.errors import ConnectionFailedError
from niyanta.server.observability.metrics import Metrics
from niyanta.server.store.states import config_from_json
from niyanta.server.store.workloads import Assignable
from niyanta.wire.broker import FRAME_BYTES, Broker
from niyanta.wire.cancels import lasting
from niyanta.wire.decoding import UNREADABLE
from niyanta.wire.messages import (
    Assign,
    Assignment,
    AttemptRef,
    CancelAttempt,
    Command,
    DrainWorker,
    Heartbeat,
    PauseAttempt,
    Speak,
    WithdrawPause,
)
from niyanta.wire.subjects import Subjects

__all__ = ["Commands", "Incarnation"]

log = logging.getLogger(__name__)

_SEND_SECONDS = 5.0
"""For one message, its frames' acknowledgements included."""
_LANE_BYTES = 32 << 20
_ENVELOPE_BYTES = 1024
"""More than an assignment takes besides its input and config."""


Incarnation: TypeAlias = tuple[str, str]
"""A worker's id, and which incarnation is meant: on a closed broker no other hears it."""


@dataclass(slots=True)
class _Lane:
    """One worker's commands that wait to be sent."""

    worker_id: str
    waiting: deque[tuple[str, bytes]] = field(default_factory=deque)
    """What kind each is, and the message."""
    size_bytes: int = 0


class Commands:
    """Sends commands while `run` runs; giving one never waits and never fails."""

    def __init__(self, broker: Broker, subjects: Subjects, metrics: Metrics) -> None:
        self._broker = broker
        self._subjects = subjects
        self._metrics = metrics
        self._encode = msgspec.msgpack.Encoder().encode
        self._lanes: dict[str, _Lane] = {}
        """By the subject that the worker hears."""
        self._senders: asyncio.TaskGroup | None = None

    async def run(self) -> None:
        """Send until cancelled."""
        try:
            async with asyncio.TaskGroup() as self._senders:
                for subject in self._lanes:  # given before
                    self._senders.create_task(lasting(partial(self._send_from, subject)))
                await asyncio.get_running_loop().create_future()
        finally:
            self._senders = None

    def assign(self, epoch: int, assigned: Iterable[Assignable]) -> None:
        """Hand workers their assignments, in as few messages as go without frames; those that need some go last."""
        by_worker: dict[tuple[str, str], list[Assignment]] = {}
        for workload in assigned:
            by_worker.setdefault((workload.worker_id, workload.incarnation), []).append(_assignment(workload))
        for (worker_id, incarnation), assignments in by_worker.items():
            for together in _packed(assignments):
                self._tell((worker_id, incarnation), Assign(epoch, incarnation, together))

    def cancel(self, worker: Incarnation, ref: AttemptRef, reason: str) -> None:
        """Have an attempt stopped that is cancelled or superseded."""
        self._tell(worker, CancelAttempt(ref, reason))

    def pause(self, worker: Incarnation, ref: AttemptRef) -> None:
        """Ask for a checkpoint that fulfils a pause."""
        self._tell(worker, PauseAttempt(ref))

    def withdraw_pause(self, worker: Incarnation, ref: AttemptRef) -> None:
        """Let an attempt go on that was asked to pause."""
        self._tell(worker, WithdrawPause(ref))

    def drain(self, worker: Incarnation) -> None:
        """Say that an operator drains the worker."""
        self._tell(worker, DrainWorker())

    async def speak(self, worker_id: str, incarnation: str, timeout_seconds: float) -> Heartbeat | None:
        """Ask a worker that wasn't heard of for its heartbeat; None when it gives none in time."""
        try:
            reply = await self._broker.request(
                self._subjects.worker(worker_id, incarnation),
                self._encode(Speak(incarnation)),
                timeout_seconds=timeout_seconds,
            )
            beat = msgspec.msgpack.decode(reply, type=Heartbeat)
        except (ConnectionFailedError, *UNREADABLE):
            return None
        return beat if (beat.worker_id, beat.incarnation) == (worker_id, incarnation) else None

    def _tell(self, worker: Incarnation, command: Command) -> None:
        kind, message = type(command).__name__, self._encode(command)
        subject = self._subjects.worker(*worker)
        lane = self._lanes.get(subject)
        if lane is None:
            lane = self._lanes[subject] = _Lane(worker[0])
            if self._senders is not None:
                self._senders.create_task(lasting(partial(self._send_from, subject)))
        if lane.size_bytes + len(message) > _LANE_BYTES:
            self._lost(worker[0], kind, "too much waits to be sent to this worker")
            return
        lane.waiting.append((kind, message))
        lane.size_bytes += len(message)

    async def _send_from(self, subject: str) -> None:
        """Empty a worker's lane."""
        lane = self._lanes[subject]
        while lane.waiting:
            kind, message = lane.waiting.popleft()
            lane.size_bytes -= len(message)
            try:
                async with asyncio.timeout(_SEND_SECONDS + 1):
                    await self._broker.publish(subject, message, timeout_seconds=_SEND_SECONDS)
            except (ConnectionFailedError, TimeoutError) as exc:
                self._lost(lane.worker_id, kind, str(exc) or "time-out")
            else:
                self._metrics.command_sent(kind)
        del self._lanes[subject]

    def _lost(self, worker_id: str, kind: str, why: str) -> None:
        self._metrics.command_lost(kind)
        log.warning("commands.lost", extra={"worker_id": worker_id, "command": kind, "why": why})


def _assignment(workload: Assignable) -> Assignment:
    """A worker's view of what it is to run."""
    config = config_from_json(workload.config_snapshot)
    return Assignment(
        ref=AttemptRef(workload.customer_id, workload.workload_id, workload.generation),
        workload_type=workload.workload_type,
        input_json=workload.input_params.encode(),
        config_json=config.config_json.encode(),
        checkpoint_sequence=workload.checkpoint_sequence,
        progress_percent=workload.progress_percent,
        checkpoint_interval_seconds=config.checkpoint_interval_sec,
        timeout_seconds=workload.timeout_seconds or config.timeout_seconds,
        cpu_cores=config.cpu_cores,
        memory_mb=config.memory_mb,
        disk_mb=config.disk_mb,
        traceparent=_attempt_traceparent(workload),
    )


def _attempt_traceparent(workload: Assignable) -> str | None:
    """The span of the attempt that the assignment begins."""
    if workload.traceparent is None or (context := read_traceparent(workload.traceparent)) is None:
        return None
    return attempt_context(context, workload.workload_id, workload.generation).traceparent


def _packed(assignments: Iterable[Assignment]) -> Iterator[list[Assignment]]:
    """Put together what fits into a message without frames, those first that are small."""
    together: list[Assignment] = []
    room = FRAME_BYTES
    for assignment in sorted(assignments, key=_size_bytes):
        size = _size_bytes(assignment)
        if together and size > room:
            yield together
            together, room = [], FRAME_BYTES
        together.append(assignment)
        room -= size
    if together:
        yield together


def _size_bytes(assignment: Assignment) -> int:
    """At most, as a part of a message."""
    return len(assignment.input_json) + len(assignment.config_json) + _ENVELOPE_BYTES
