"""The agent: takes assignments, runs them, and sees to it that nothing outlives the right to run."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any

import msgspec

from niyanta.domain.limits import DRAIN_SECONDS
from niyanta.domain.workers import Isolation
from niyanta.errors import ConfigurationError
from niyanta.telemetry.process import Telemetry
from niyanta.wire.broker import Broker
from niyanta.wire.cancels import lasting
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
    Outcome,
    PauseAttempt,
    Refused,
    Released,
    Speak,
    WithdrawPause,
)
from niyanta.wire.objects import ObjectStore
from niyanta.wire.subjects import Subjects
from niyanta.worker.agent.claim import WorkerClaim
from niyanta.worker.agent.membership import Heard, Membership
from niyanta.worker.agent.standing import refuse_unkeepable
from niyanta.worker.attempt.attempt import Attempt
from niyanta.worker.attempt.means import Means
from niyanta.worker.attempt.spans import LAST_EVENTS, AttemptTrace
from niyanta.worker.box.policy import policy_by
from niyanta.worker.handlers.app import WorkerSpec
from niyanta.worker.handlers.link import Ask
from niyanta.worker.launcher.pool import ProcessPool
from niyanta.worker.outbox import Outbox, Who

__all__ = ["Agent"]

log = logging.getLogger(__name__)

ENDING_SECONDS = 15.0
"""For attempts to end after the drain's time is up; more than the grace of a process or an inline handler."""
LEAVE_SECONDS = 10.0
_AGAIN_SECONDS = 0.1
AWAY_SECONDS = 5.0
"""A worker that is stopping doesn't wait longer than this for a broker that is away."""
_CLAIM_SECONDS = 3.0
"""For what an agent that was killed has left: its launcher ends it within two."""
_FENCE_SECONDS = 0.25
_MOST_WARM = 8
"""Processes that wait for whatever comes: enough for as many attempts to begin at once without waiting for a fork."""
_MOST_ENDED = 10_000
_BEYOND_ALL = 1 << 53
"""The number of an event after which none follows, of an attempt whose numbers aren't known."""


class Agent:
    """Runs a worker's handlers for the service.

    Args:
        spec: What it serves, and as whom.
        app: References (``module:worker``) under which its processes find the same handlers.
        broker: The way to the service; connected.
        subjects: Where the service listens.
        scratch: A directory for attempts.
        object_store: For checkpoints too large for the database.
        claim: By which an earlier worker of this id needn't be waited for.
        telemetry: Exports what happens in attempts, where that is wanted.
    """

    def __init__(  # noqa: PLR0913 -- what it works with
        self,
        spec: WorkerSpec,
        app: Sequence[str],
        broker: Broker,
        subjects: Subjects,
        scratch: Path,
        object_store: ObjectStore | None = None,
        claim: WorkerClaim | None = None,
        telemetry: Telemetry | None = None,
    ) -> None:
        self._telemetry = telemetry
        self._unheard: dict[AttemptRef, AttemptTrace] = {}
        """Traces of attempts whose last event isn't acknowledged."""
        self._claim = claim
        self._spec = spec
        self._broker = broker
        self._subjects = subjects
        self._scratch = scratch
        self._object_store = object_store
        self._attempts: dict[AttemptRef, Attempt] = {}
        self._ended_refs: OrderedDict[AttemptRef, None] = OrderedDict()
        """Newest last. An assignment that is pushed again, or was held up on its way, mustn't run a second time."""
        self._over = False
        self._means: Means | None = None
        needs_processes = any(h.isolation is Isolation.PROCESS for h in spec.handlers.values())
        self._pool = None
        if needs_processes:
            self._pool = ProcessPool(
                app,
                min(_MOST_WARM, spec.capacity),
                scratch,
                fork=spec.fork,
                most=spec.capacity,
                policy=policy_by(spec.reach),
            )
            if claim is not None:
                self._pool.held_open = lambda: claim.descriptors
        self._membership = Membership(spec, broker, subjects, lambda: list(self._attempts), claim)
        self._membership.lingering = lambda: sum(attempt.disowned for attempt in self._attempts.values())
        self._membership.on_answer = self._renew
        self._membership.on_superseded = self._disown
        self._membership.on_absent = self._hand_back_absent
        self._membership.on_moving = self._move
        self._membership.on_lost = self._forget_all
        self._outbox = Outbox(
            broker, subjects.events, lambda: self._membership.who, self._on_reply, self._membership.lost
        )
        self._membership.on_time = self._outbox.set_clock
        self._decode = msgspec.msgpack.Decoder(Command).decode

    @property
    def attempts(self) -> list[AttemptRef]:
        """What holds a slot at this moment."""
        return list(self._attempts)

    async def run(self, stop: asyncio.Event) -> None:
        """Work until ``stop`` is set, then drain.

        Raises:
            ConfigurationError: The service refuses the registration for good.
        """
        if self._claim is not None:
            await self._claim.take(_CLAIM_SECONDS)
        if self._pool is not None:
            await self._pool.start()
            self._membership.walls = await self._pool.walls()
            try:
                refuse_unkeepable(self._spec.handlers.values(), self._membership.walls)
            except ConfigurationError:
                await self._pool.close()
                raise
        await self._broker.serve(self._subjects.commands(self._spec.worker_id), self._on_command)
        self._broker.on_reconnect.append(self._membership.beat_soon)
        living = asyncio.create_task(lasting(self._membership.live))
        loops = [living, *(asyncio.create_task(lasting(loop)) for loop in (self._outbox.run, self._fence))]
        stopping = asyncio.create_task(stop.wait())
        try:
            done, _ = await asyncio.wait([*loops, stopping], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
            await self._drain()
            self._membership.stop()
            living.cancel()
            await asyncio.gather(living, return_exceptions=True)
            await self._leave()
        finally:
            self._over = True
            self._membership.stop()
            self._outbox.stop()
            for task in (*loops, stopping):
                task.cancel()
            await asyncio.gather(*loops, stopping, return_exceptions=True)
            attempts = list(self._attempts.values())
            for attempt in attempts:
                attempt.disown()
            if self._pool is not None:
                await self._pool.close()
            if attempts:
                await asyncio.wait([attempt.task for attempt in attempts], timeout=2)
            await self._membership.say_stopped()

    # --- the right to run -------------------------------------------------------------------------

    def _renew(self) -> None:
        """The service has answered: the launcher may let things run on."""
        if self._pool is not None:
            lease = self._membership.lease
            self._pool.renew(lease.left_seconds, lease.exclusive_left_seconds)

    async def _fence(self) -> None:
        """Stop attempts when the lease has run out unheard.

        They are handed back: should the service still believe that they run here when it can be reached again, it
        must learn that they don't. If it has moved them meanwhile, the word of it is fenced.
        """
        lease = self._membership.lease
        while not self._over:
            await asyncio.sleep(_FENCE_SECONDS)
            for attempt in list(self._attempts.values()):
                if (lease.exclusive_left_seconds if attempt.exclusive else lease.left_seconds) < 0:
                    attempt.hand_back("the worker was cut off from the service")

    def _disown(self, refs: Sequence[AttemptRef]) -> None:
        for ref in refs:
            if (attempt := self._attempts.get(ref)) and not attempt.disowned:
                attempt.disown()
                self._membership.lets_go()

    def _hand_back_absent(self, refs: Sequence[AttemptRef]) -> None:
        """Hand back what the service believes to run here, and doesn't: it was restored from a backup, say.

        One that has just ended is among them now and then. Its own last event is ahead of this one in the outbox, and
        the service fences whatever comes after that.
        """
        for ref in refs:
            if ref not in self._attempts:
                log.warning("worker.absent", extra={"workload_id": ref.workload_id, "generation": ref.generation})
                self._outbox.add(ref, _BEYOND_ALL, Released("the worker doesn't have this attempt"))

    def _move(self, refs: Sequence[AttemptRef]) -> None:
        """Ask attempts for the checkpoint from which they go on elsewhere; those that aren't named any more stay."""
        if self._membership.draining:
            return  # it stops: all of them are asked
        for ref, attempt in self._attempts.items():
            if (wanted := ref in refs) is not attempt.is_asked(Ask.DRAIN):
                attempt.ask(Ask.DRAIN, wanted=wanted)

    def _forget_all(self) -> None:
        self._disown(list(self._attempts))
        self._outbox.forget()
        self._unheard.clear()

    # --- commands and replies -------------------------------------------------------------------

    async def _on_command(self, payload: bytes) -> bytes | None:
        match self._decode(payload):
            case Assign() as assign:
                if self._obeys(assign):
                    for assignment in assign.assignments:
                        self._take(assignment)
            case CancelAttempt(ref=ref):
                self._disown([ref])
                self._membership.lets_go()  # one that has just ended, too: its slot is counted as held until we say
            case PauseAttempt(ref=ref):
                self._ask_pause(ref, wanted=True)
            case WithdrawPause(ref=ref):
                self._ask_pause(ref, wanted=False)
            case DrainWorker():
                self._membership.beat_soon()  # the service assigns nothing more, and says in its answer what moves
            case Speak(incarnation=incarnation):
                if incarnation == self._membership.incarnation:
                    return msgspec.msgpack.encode(self._membership.heartbeat())
        return None

    def _obeys(self, assign: Assign) -> bool:
        """Whether it is for this incarnation, and its leader not an older one than we know of."""
        membership = self._membership
        if assign.incarnation == membership.incarnation and assign.epoch >= membership.epoch:
            membership.epoch = assign.epoch
            return True
        membership.ignored_commands += 1
        log.warning(
            "worker.command_ignored",
            extra={
                "epoch": assign.epoch,
                "known_epoch": membership.epoch,
                "is_for_us": assign.incarnation == membership.incarnation,
            },
        )
        return False

    def _ask_pause(self, ref: AttemptRef, *, wanted: bool) -> None:
        if attempt := self._attempts.get(ref):
            attempt.ask(Ask.PAUSE, wanted=wanted)

    def _take(self, assignment: Assignment) -> None:
        ref = assignment.ref
        if ref in self._attempts or ref in self._ended_refs:
            return
        handler = self._spec.handlers.get(assignment.workload_type)
        if handler is None:
            self._outbox.add(ref, 1, Refused(f"this worker doesn't serve '{assignment.workload_type}'"))
        elif self._membership.draining:
            self._outbox.add(ref, 1, Refused("this worker is stopping"))
        elif len(self._attempts) >= self._spec.capacity:
            self._outbox.add(ref, 1, Refused("this worker is full"))
        else:
            attempt = self._attempts[ref] = Attempt(self._means_now(), assignment, handler, self._ended)
            attempt.start()

    def _means_now(self) -> Means:
        """Those of the present incarnation, made once for it."""
        who = self._membership.who
        if self._means is None or self._means.who != who:
            self._means = self._means_of(who)
        return self._means

    def _means_of(self, who: Who) -> Means:
        return Means(
            who=who,
            broker=self._broker,
            subjects=self._subjects,
            outbox=self._outbox,
            confirm=self._membership.confirm,
            scratch=self._scratch,
            object_store=self._object_store,
            pool=self._pool,
            spans=self._telemetry.spans if self._telemetry is not None else None,
            lines=self._telemetry.lines if self._telemetry is not None else None,
        )

    def _ended(self, attempt: Attempt) -> None:
        """Nothing of the attempt is left: its slot is free."""
        self._attempts.pop(attempt.ref, None)
        self._ended_refs[attempt.ref] = None
        if len(self._ended_refs) > _MOST_ENDED:
            self._ended_refs.popitem(last=False)
        if attempt.trace is not None and not attempt.disowned:
            self._unheard[attempt.ref] = attempt.trace
        if attempt.disowned:
            self._membership.beat_soon()  # no event says it: the service has counted the slot as taken until now

    def _on_reply(self, reply: EventReply, batch: list[Event]) -> None:
        attempt = self._attempts.get(reply.ref)
        if attempt is None:
            self._heard_out(reply, batch)
            return
        if reply.outcome is Outcome.FENCED:
            self._disown([reply.ref])
            return
        saved = {e.sequence for e in batch if e.ref == reply.ref and isinstance(e.body, CheckpointSaved)}
        attempt.checkpoint_answered(saved, reply)

    def _heard_out(self, reply: EventReply, batch: list[Event]) -> None:
        """An attempt that has ended had events under way: with the last of them its trace ends."""
        if reply.ref not in self._unheard:
            return
        if any(event.ref == reply.ref and isinstance(event.body, LAST_EVENTS) for event in batch):
            trace = self._unheard.pop(reply.ref)
            trace.step("result", trace.ended_ns, error=None if reply.outcome is Outcome.APPLIED else reply.outcome)

    # --- stopping -------------------------------------------------------------------------------

    async def _drain(self) -> None:
        """Ask everything for a checkpoint, hand it back; whatever doesn't give one in time is ended all the same."""
        self._membership.draining = True
        if self._membership.registered:
            await self._membership.beat()
        for attempt in self._attempts.values():
            attempt.ask(Ask.DRAIN)
        await self._wait_reachable(self._until_idle(), DRAIN_SECONDS)
        for attempt in list(self._attempts.values()):
            attempt.hand_back("the worker stopped before the workload gave a checkpoint")
        if self._attempts:
            await asyncio.wait([attempt.task for attempt in self._attempts.values()], timeout=ENDING_SECONDS)

    async def _leave(self) -> None:
        """Have everything acknowledged, and say good-bye."""

        async def leave() -> None:
            await self._outbox.flushed()
            while self._membership.registered and await self._membership.beat(leaving=True) is not Heard.RECORDED:
                await asyncio.sleep(_AGAIN_SECONDS)

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
            if self._broker.connected:
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
