"""A worker's place in the fleet: it registers, beats, and registers anew when the service no longer knows it.

One incarnation lasts from a registration to the moment the service doesn't know it any more, or to the worker's own
good-bye. Nothing of one incarnation carries over to the next: its attempts are stopped, its events forgotten.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import time
from collections.abc import Callable, Collection, Sequence
from enum import Enum, auto

import msgspec

from niyanta.domain.join_tokens import new_incarnation
from niyanta.domain.workers import RegisterRefusal, Wall, beat_answer_seconds
from niyanta.errors import ConfigurationError, ConnectionFailedError
from niyanta.version import __version__
from niyanta.wire.broker import Broker
from niyanta.wire.messages import AttemptRef, HandlerInfo, Heartbeat, HeartbeatReply, Register, RegisterReply
from niyanta.wire.subjects import Subjects
from niyanta.worker.agent.claim import WorkerClaim
from niyanta.worker.agent.lease import Lease
from niyanta.worker.agent.standing import missing_walls
from niyanta.worker.handlers.app import WorkerSpec
from niyanta.worker.outbox import Who

__all__ = ["Heard", "Membership"]

log = logging.getLogger(__name__)

_REGISTER_PAUSE_SECONDS = 0.5
_REGISTER_SECONDS = 5.0
_PATIENT_SECONDS = 10.0
"""How long a service that is away, at the start, is nothing to worry about."""
_AGAIN_SECONDS = 0.1
_HELD_SECONDS = 0.5
"""Until a beat that could not be recorded is given again, maybe to a coordinator that can."""
_encode = msgspec.msgpack.Encoder().encode


class Heard(Enum):
    """What came back to a beat."""

    NOTHING = auto()
    HOLD = auto()
    """Go on; it isn't recorded."""
    RECORDED = auto()
    """Or the incarnation that gave it is over."""


class Membership:
    """Keeps one worker registered.

    Args:
        spec: Who registers, and what for.
        broker: The way to the service.
        subjects: Where the service listens.
        held: Gives the attempts that hold a slot at this moment.
        claim: By which an earlier worker of this id needn't be waited for.

    Attributes:
        incarnation: Of the present registration; empty between two.
        draining: Whether the worker takes nothing new, as it is about to leave.
        epoch: The newest leader's that the service has spoken of; whoever leads under an older one is ignored. Each
            answered registration or beat sets it anew, lower too: a service that was restored from a backup begins
            again at an older epoch.
        ignored_commands: How many were ignored since the last answered beat.
        lingering: Gives how many of what is held are over as far as we know.
        on_answer: Called after each answered beat.
        on_superseded: Called with attempts that are no longer this worker's.
        on_absent: Called with attempts that run here as far as the service knows, and that the beat didn't name.
        on_moving: Called with the attempts that are to be handed back at their next checkpoint; no others are.
        on_time: Called with the service's time, in Unix seconds, and the monotonic clock's at the same moment.
        on_lost: Called when the service no longer knows this incarnation.
        walls: Those that keep handlers in on this machine.
    """

    def __init__(
        self,
        spec: WorkerSpec,
        broker: Broker,
        subjects: Subjects,
        held: Callable[[], list[AttemptRef]],
        claim: WorkerClaim | None = None,
    ) -> None:
        self._spec = spec
        self._broker = broker
        self._subjects = subjects
        self._held = held
        self._claim = claim
        self.lease = Lease()
        self.incarnation = ""
        self.draining = False
        self.epoch = 0
        self.ignored_commands = 0
        self.lingering: Callable[[], int] = lambda: 0
        self.on_answer: Callable[[], None] = lambda: None
        self.on_superseded: Callable[[Sequence[AttemptRef]], None] = lambda _: None
        self.on_absent: Callable[[Sequence[AttemptRef]], None] = lambda _: None
        self.on_moving: Callable[[Sequence[AttemptRef]], None] = lambda _: None
        self.on_time: Callable[[float, float], None] = lambda *_: None
        self.on_lost: Callable[[], None] = lambda: None
        self.walls: Collection[Wall] = ()
        self._over = self._settled = 0
        """How many were told that they are over; and how many had been when a beat last said that none lingers."""
        self._registered = False
        self._stopped = False
        self._lost = ""
        """The incarnation that was lost last, until its end has been said."""
        self._interval = 2.0
        self._now = asyncio.Event()
        self._confirming: dict[AttemptRef, asyncio.Future[None]] = {}

    @property
    def who(self) -> Who:
        """The present incarnation."""
        return Who(self._spec.worker_id, self.incarnation)

    @property
    def registered(self) -> bool:
        """Whether the service knows this incarnation, as far as we know."""
        return self._registered

    def lets_go(self) -> None:
        """An attempt is over, and its slot isn't free yet: say so at once, and when it is."""
        self._over += 1
        self.beat_soon()

    def beat_soon(self) -> None:
        """Beat now, not when the interval is over."""
        self._now.set()

    async def confirm(self, ref: AttemptRef) -> None:
        """Wait until the service has recorded a beat that names an attempt, and has found it to be this worker's.

        An assignment can be old when it is read: its worker was frozen, or the way to it slow. What is exclusive may
        be another's by then.
        """
        self._confirming[ref] = confirmed = asyncio.get_running_loop().create_future()
        self.beat_soon()
        try:
            await confirmed
        finally:
            del self._confirming[ref]

    def stop(self) -> None:
        """Let `live` end: a beat after the last one would bring the worker back."""
        self._stopped = True
        self._now.set()

    async def live(self) -> None:
        """Register and beat until stopped.

        Raises:
            ConfigurationError: The service refuses the registration for good.
        """
        while not self._stopped:
            await self._register()
            while self._registered and not self._stopped:
                match await self.beat():
                    case Heard.RECORDED:
                        await self._pause(self._interval)
                    case Heard.HOLD:
                        await self._pause(min(self._interval, _HELD_SECONDS))
                    case Heard.NOTHING:
                        await self._pause(_AGAIN_SECONDS)
            await self._pause(_REGISTER_PAUSE_SECONDS)

    async def _pause(self, seconds: float) -> None:
        if self._stopped:
            return
        try:
            async with asyncio.timeout(seconds):
                await self._now.wait()
        except TimeoutError:
            pass
        self._now.clear()

    async def _register(self) -> None:
        spec = self._spec
        # Set before it is accepted: an assignment may be here before the answer is.
        incarnation = self.incarnation = new_incarnation(self._subjects.credential, secrets.token_hex(8))
        handlers = [
            HandlerInfo(
                h.workload_type, h.isolation, h.exclusive, h.input_schema, h.form, list(missing_walls(h, self.walls))
            )
            for h in spec.handlers.values()
        ]
        replaces: list[str] = []
        if self._claim is not None:
            self._claim.record(incarnation)
            replaces = self._claim.predecessors
        message = _encode(
            Register(
                spec.worker_id,
                incarnation,
                spec.capacity,
                dict(spec.tags),
                handlers,
                __version__,
                replaces=replaces,
            )
        )
        said, began = ("", False), time.monotonic()
        while not self._stopped:
            await self.say_stopped()
            sent = time.monotonic()
            try:
                raw = await self._broker.request(self._subjects.register, message, timeout_seconds=_REGISTER_SECONDS)
                reply = msgspec.msgpack.decode(raw, type=RegisterReply)
            except ConnectionFailedError as exc:
                reply = RegisterReply(False, RegisterRefusal.AWAY, str(exc))
            if reply.accepted:
                self._interval, self.lease.seconds = reply.heartbeat_interval_seconds, reply.lease_seconds
                self._registered = True
                self.epoch = reply.epoch
                if reply.now_ms:
                    self.on_time(reply.now_ms / 1000, (sent + time.monotonic()) / 2)
                self._answered(sent, recorded=True)
                log.info("worker.registered", extra={"worker_id": spec.worker_id, "incarnation": incarnation})
                return
            if reply.reason in (RegisterRefusal.INVALID, RegisterRefusal.REMOVED):
                raise ConfigurationError(f"the service refuses this worker: {reply.message}")
            said = self._say_not_yet(reply, began, said)
            await self._pause(_REGISTER_PAUSE_SECONDS)

    @staticmethod
    def _say_not_yet(reply: RegisterReply, began: float, said: tuple[str, bool]) -> tuple[str, bool]:
        """Log once why it isn't registered; gives what has been said.

        Workers and coordinators that are started together find each other within seconds, which is no alarm.
        """
        soon = reply.reason is RegisterRefusal.AWAY and time.monotonic() - began < _PATIENT_SECONDS
        if (reply.message, soon) != said:
            log.log(logging.INFO if soon else logging.WARNING, "worker.not_registered_yet: %s", reply.message)
        return reply.message, soon

    def heartbeat(self, *, leaving: bool = False) -> Heartbeat:
        """A sign of life."""
        lingering = self.lingering()
        return Heartbeat(
            self._spec.worker_id,
            self.incarnation,
            self.draining,
            self._held(),
            leaving,
            self.ignored_commands,
            lingering if lingering or self._over != self._settled else None,
        )

    async def beat(self, *, leaving: bool = False) -> Heard:
        """Give one sign of life, and act on the answer."""
        over, message = self._over, self.heartbeat(leaving=leaving)
        ignored, confirming = message.ignored_commands, dict(self._confirming)
        sent = time.monotonic()
        try:
            raw = await self._broker.request(
                self._subjects.heartbeat,
                _encode(message),
                timeout_seconds=beat_answer_seconds(self.lease.seconds),
            )
        except ConnectionFailedError as exc:
            log.debug("worker.beat_lost", extra={"error": str(exc)})
            return Heard.NOTHING
        reply = msgspec.msgpack.decode(raw, type=HeartbeatReply)
        if message.incarnation != self.incarnation:
            return Heard.RECORDED  # lost meanwhile: the answer is about one that is over
        if not reply.ok and not reply.hold:
            self.lost()
            return Heard.RECORDED
        if not reply.hold:
            self.ignored_commands -= ignored
            if not message.lingering:
                self._settled = over
        if reply.epoch:
            self.epoch = reply.epoch
        # First, as the time that exclusive ones among them have left mustn't be prolonged.
        self.on_superseded(reply.superseded)
        self.on_absent(reply.absent)
        if reply.moving is not None:
            self.on_moving(reply.moving)
        self._answered(sent, recorded=not reply.hold)
        if reply.hold:
            return Heard.HOLD
        for ref in confirming.keys() & set(message.attempts) - set(reply.superseded):
            if not confirming[ref].done():
                confirming[ref].set_result(None)
        return Heard.RECORDED

    def _answered(self, sent: float, *, recorded: bool) -> None:
        self.lease.answered(sent, recorded=recorded)
        self.on_answer()

    def lost(self) -> None:
        """The service no longer knows this incarnation: what belongs to it is over, and another is registered."""
        if not self._registered:
            return
        log.warning("worker.superseded", extra={"incarnation": self.incarnation})
        self._registered = False
        self._lost = self.incarnation
        self.incarnation = ""
        self.on_lost()
        self._now.set()

    async def say_stopped(self) -> None:
        """Say once that nothing of the incarnation that was lost runs any more, if that is so.

        The service gives away what is exclusive only then, or when the lease is over.
        """
        if not self._lost or self._held():
            return
        last, self._lost = Heartbeat(self._spec.worker_id, self._lost, True, [], leaving=True), ""
        with contextlib.suppress(ConnectionFailedError):
            await self._broker.request(
                self._subjects.heartbeat, _encode(last), timeout_seconds=beat_answer_seconds(self.lease.seconds)
            )
