"""The agent: registers, beats, takes assignments, runs them, reports.

One incarnation lasts from a registration to the moment the service no longer knows it; then every attempt is
stopped and the agent registers anew. The lease is measured on the monotonic clock from the send of the last
acknowledged beat.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any

import msgspec

from niyanta.errors import ConfigurationError, ConnectionFailedError
from niyanta.wire.broker import Broker
from niyanta.wire.messages import (
    Assign,
    Assignment,
    AttemptRef,
    CancelAttempt,
    CheckpointSaved,
    Command,
    DrainWorker,
    Event,
    EventReply,
    Heartbeat,
    HeartbeatReply,
    PauseAttempt,
    Refused,
    Register,
    RegisterReply,
    WithdrawPause,
)
from niyanta.wire.messages import HandlerInfo as WireHandler
from niyanta.wire.objects import ObjectStore
from niyanta.wire.subjects import Subjects
from niyanta.worker.agent.outbox import Outbox
from niyanta.worker.attempt.attempt import Attempt
from niyanta.worker.handlers.app import Worker
from niyanta.worker.launcher.pool import ProcessPool

__all__ = ["Agent"]

log = logging.getLogger(__name__)

SELF_FENCE_SECONDS = 60.0
EXCLUSIVE_SHARE = 0.7
"""Of the lease: when attempts of exclusive types stop themselves."""
DRAIN_SECONDS = 30.0
ENDING_SECONDS = 15.0
"""For attempts to end after the drain's time is up; more than the grace of a process or an inline handler."""
LEAVE_SECONDS = 10.0
_REGISTER_PAUSE_SECONDS = 0.5
AWAY_SECONDS = 5.0
"""A worker that is stopping doesn't wait longer than this for a broker that is away."""


class Agent:
    """Runs a worker's handlers for the service."""

    def __init__(
        self,
        worker: Worker,
        app: Sequence[str],
        broker: Broker,
        subjects: Subjects,
        scratch: Path,
        object_store: ObjectStore | None = None,
    ) -> None:
        self.worker = worker
        self.worker_id = worker.make_id()
        self.incarnation = secrets.token_hex(8)
        self.scratch = scratch
        self.broker = broker
        self.subjects = subjects
        self.object_store = object_store
        needs_processes = any(h.isolation == "process" for h in worker.handlers.values())
        self.pool = ProcessPool(app, min(2, worker.capacity), scratch) if needs_processes else None
        self.outbox = Outbox(
            broker, subjects.events, lambda: (self.worker_id, self.incarnation), self._on_reply, self._lost
        )
        self._attempts: dict[AttemptRef, Attempt] = {}
        self._epoch = 0
        self.draining = False
        self._acknowledged_at = time.monotonic()
        self._exclusive_at = time.monotonic()
        self._interval, self._lease = 2.0, 10.0
        self._registered = asyncio.Event()
        self._beat_now = asyncio.Event()
        self._decode = msgspec.msgpack.Decoder(Command).decode
        self._encode = msgspec.msgpack.Encoder().encode

    async def run(self, stop: asyncio.Event) -> None:
        """Work until ``stop`` is set, then drain.

        Raises:
            ConfigurationError: The service refuses the registration for good.
        """
        if self.pool is not None:
            await self.pool.start()
        await self.broker.serve(self.subjects.worker(self.worker_id), self._on_command)
        self.broker.on_reconnect.append(self._beat_now.set)
        living = asyncio.create_task(self._live())
        loops = [asyncio.create_task(self.outbox.run()), living, asyncio.create_task(self._fence())]
        stopping = asyncio.create_task(stop.wait())
        try:
            done, _ = await asyncio.wait([*loops, stopping], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
            await self._drain()
            living.cancel()  # a beat after the last one would bring the worker back
            await asyncio.gather(living, return_exceptions=True)
            await self._leave()
        finally:
            for task in (*loops, stopping):
                task.cancel()
            await asyncio.gather(*loops, stopping, return_exceptions=True)
            attempts = list(self._attempts.values())
            for attempt in attempts:
                attempt.stop("the worker stopped", report=False)
            if self.pool is not None:
                await self.pool.close()
            if attempts:
                await asyncio.wait([attempt.task for attempt in attempts], timeout=2)

    # --- registration and heartbeats ------------------------------------------------------------

    async def _live(self) -> None:
        while True:
            await self._register()
            while self._registered.is_set():
                await self._beat()
                try:
                    async with asyncio.timeout(self._interval):
                        await self._beat_now.wait()
                except TimeoutError:
                    pass
                self._beat_now.clear()
            await asyncio.sleep(_REGISTER_PAUSE_SECONDS)

    async def _register(self) -> None:
        from niyanta import __version__

        self.incarnation = secrets.token_hex(8)
        handlers = [
            WireHandler(h.workload_type, h.isolation, h.exclusive, h.input_schema)
            for h in self.worker.handlers.values()
        ]
        message = Register(
            self.worker_id, self.incarnation, self.worker.capacity, self.worker.tags, handlers, __version__
        )
        said = ""
        while True:
            sent = time.monotonic()
            try:
                raw = await self.broker.request(self.subjects.register, self._encode(message), timeout_seconds=5)
                reply = msgspec.msgpack.decode(raw, type=RegisterReply)
            except ConnectionFailedError as exc:
                reply = RegisterReply(False, "away", str(exc))
            if reply.accepted:
                break
            if reply.reason == "invalid":
                raise ConfigurationError(f"the service refuses this worker: {reply.message}")
            if reply.message != said:
                log.warning("worker.not_registered_yet: %s", reply.message)
                said = reply.message
            await asyncio.sleep(_REGISTER_PAUSE_SECONDS)
        self._interval, self._lease = reply.heartbeat_interval_seconds, reply.lease_seconds
        self._acknowledge(sent, exclusive=True)
        self._registered.set()
        log.info("worker.registered %s", self.worker_id, extra={"incarnation": self.incarnation})

    async def _beat(self, *, leaving: bool = False) -> None:
        refs = list(self._attempts)
        message = Heartbeat(self.worker_id, self.incarnation, self.draining, refs, leaving)
        sent = time.monotonic()
        try:
            raw = await self.broker.request(
                self.subjects.heartbeat, self._encode(message), timeout_seconds=max(0.5, self._interval)
            )
        except ConnectionFailedError as exc:
            log.debug("worker.beat_lost", extra={"error": str(exc)})
            return
        reply = msgspec.msgpack.decode(raw, type=HeartbeatReply)
        if reply.hold:
            self._acknowledge(sent, exclusive=False)
        elif not reply.ok:
            self._lost()
        else:
            self._acknowledge(sent, exclusive=True)
            for ref in reply.superseded:
                self._stop(ref)

    def _acknowledge(self, sent: float, *, exclusive: bool) -> None:
        self._acknowledged_at = sent
        if exclusive:
            self._exclusive_at = sent
        if self.pool is not None:
            now = time.monotonic()
            self.pool.renew(
                SELF_FENCE_SECONDS - (now - self._acknowledged_at),
                self._lease * EXCLUSIVE_SHARE - (now - self._exclusive_at),
            )

    def _lost(self) -> None:
        """The service no longer knows this incarnation: stop everything, register anew."""
        if not self._registered.is_set():
            return
        log.warning("worker.superseded", extra={"incarnation": self.incarnation})
        self._registered.clear()
        self.incarnation = ""
        for ref in list(self._attempts):
            self._stop(ref)
        self.outbox.forget()
        self._beat_now.set()

    async def _fence(self) -> None:
        """Stop attempts when the lease has run out unheard.

        They are handed back: should the service still believe that they run here when it can be reached again, it
        must learn that they don't. If it has moved them meanwhile, the word of it is fenced.
        """
        while True:
            await asyncio.sleep(0.25)
            now = time.monotonic()
            cut_off = now - self._acknowledged_at > SELF_FENCE_SECONDS
            exclusive_over = now - self._exclusive_at > self._lease * EXCLUSIVE_SHARE
            for attempt in list(self._attempts.values()):
                if cut_off or (exclusive_over and attempt.handler.exclusive):
                    attempt.stop("the worker was cut off from the service", report=True)

    # --- commands and replies -------------------------------------------------------------------

    async def _on_command(self, payload: bytes) -> None:
        match self._decode(payload):
            case Assign() as assign:
                if assign.incarnation == self.incarnation and assign.epoch >= self._epoch:
                    self._epoch = assign.epoch
                    for assignment in assign.assignments:
                        self._take(assignment)
            case CancelAttempt(ref=ref):
                self._stop(ref)
            case PauseAttempt(ref=ref):
                if attempt := self._attempts.get(ref):
                    attempt.ask_pause(True)
            case WithdrawPause(ref=ref):
                if attempt := self._attempts.get(ref):
                    attempt.ask_pause(False)
            case DrainWorker():
                pass  # the service assigns nothing more; what runs here finishes

    def _take(self, assignment: Assignment) -> None:
        ref = assignment.ref
        if ref in self._attempts:
            return
        handler = self.worker.handlers.get(assignment.workload_type)
        if handler is None:
            self.outbox.add(ref, 1, Refused(f"this worker doesn't serve '{assignment.workload_type}'"))
        elif self.draining:
            self.outbox.add(ref, 1, Refused("this worker is stopping"))
        elif len(self._attempts) >= self.worker.capacity:
            self.outbox.add(ref, 1, Refused("this worker is full"))
        else:
            attempt = Attempt(self, assignment, handler)
            self._attempts[ref] = attempt
            attempt.start()

    def ended(self, attempt: Attempt) -> None:
        """The attempt's processes are gone: its slot is free."""
        self._attempts.pop(attempt.ref, None)

    def _stop(self, ref: AttemptRef) -> None:
        if attempt := self._attempts.get(ref):
            attempt.stop("superseded", report=False)

    def _on_reply(self, reply: EventReply, batch: list[Event]) -> None:
        attempt = self._attempts.get(reply.ref)
        if attempt is None:
            return
        if reply.outcome == "fenced":
            attempt.stop("superseded", report=False)
            return
        saved = {e.sequence for e in batch if e.ref == reply.ref and isinstance(e.body, CheckpointSaved)}
        attempt.checkpoint_answered(saved, reply)

    # --- stopping -------------------------------------------------------------------------------

    async def _drain(self) -> None:
        """Ask everything for a checkpoint, hand it back; whatever doesn't give one in time is ended all the same."""
        self.draining = True
        if self._registered.is_set():
            await self._beat()
        for attempt in self._attempts.values():
            attempt.tell_waiting()
        await self._wait_reachable(self._until_idle(), DRAIN_SECONDS)
        for attempt in list(self._attempts.values()):
            attempt.stop("the worker stopped before the workload gave a checkpoint", report=True)
        if self._attempts:
            await asyncio.wait([attempt.task for attempt in self._attempts.values()], timeout=ENDING_SECONDS)

    async def _leave(self) -> None:
        """Have everything acknowledged, and say good-bye."""

        async def leave() -> None:
            await self.outbox.flushed()
            if self._registered.is_set():
                await self._beat(leaving=True)

        if not await self._wait_reachable(leave(), LEAVE_SECONDS):
            log.warning("worker.left_without_acknowledgement")

    async def _until_idle(self) -> None:
        while self._attempts:
            await asyncio.wait([attempt.task for attempt in self._attempts.values()])

    async def _wait_reachable(self, work: Coroutine[Any, Any, None], seconds: float) -> bool:
        """Wait for what needs the service's word, but not while the broker stays away. True when it came about."""
        task = asyncio.create_task(work)
        deadline = time.monotonic() + seconds
        reached_at = time.monotonic()
        while not task.done() and time.monotonic() < deadline:
            if self.broker.connected:
                reached_at = time.monotonic()
            elif time.monotonic() - reached_at > AWAY_SECONDS:
                break
            await asyncio.wait({task}, timeout=0.25)
        if task.done():
            task.result()
            return True
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return False
