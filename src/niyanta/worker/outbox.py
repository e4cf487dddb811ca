"""Events on their way to the service: numbered, batched, sent again until they are acknowledged."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from niyanta.errors import ConnectionFailedError
from niyanta.wire.broker import Broker
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

__all__ = ["Outbox", "Who"]

log = logging.getLogger(__name__)

_MOST_EVENTS = 1000
_MOST_BYTES = 384 * 1024
MOST_LINES = 5_000
_MOST_LINE_BYTES = 1 << 20
"""Log lines of one attempt that may wait, and their size; while more do there is no room for another."""
MOST_LINE_BYTES_OF_ALL = 64 << 20
"""The same of all attempts together."""
_FIRST_ANSWER_SECONDS = 1.5
"""How long the answer to a batch is waited for at first, and a second more for each `_BYTES_A_SECOND`."""
_LONGEST_ANSWER_SECONDS = 10.0
_BYTES_A_SECOND = 1 << 20
_LATER_SECONDS = 0.3
"""When the service couldn't commit an attempt's events: until they are sent again, while others' go on."""
_LINGER_SECONDS = 0.02
"""How long the word that an attempt has begun waits for others: most short attempts end by then, and it goes with
their result, in one batch and one commit of the service."""
_TURNS = 3
"""Of the event loop without a new event, after which a batch goes: what was begun together, and what ended as soon
as it was begun, shares a commit."""
_SAID = (LogLine, Progressed)
"""Events of which only so many may wait."""


@dataclass(frozen=True)
class Who:
    """One incarnation of one worker."""

    worker_id: str
    incarnation: str
    """Empty between two."""


@dataclass(eq=False, slots=True)
class _Waiting:
    """An event that has not been sent yet."""

    ref: AttemptRef
    sequence: int
    occurred_at_ms: int
    body: EventBody

    @property
    def weight(self) -> int:
        """About how many bytes it takes up."""
        match self.body:
            case Started():
                return 100
            case CheckpointSaved(data=data):
                return 100 + len(data)
            case Completed(result_json=result):
                return 100 + len(result)
            case LogLine(message=str(message)) | Progressed(message=str(message)) | Failed(message=str(message)):
                return 100 + 4 * len(message)
            case _:
                return 100


class Outbox:
    """One batch under way at a time, so that order holds; what arrives meanwhile shares the next.

    Args:
        broker: The way to the service.
        subject: Where it takes events.
        who: The present incarnation.
        on_reply: Called with each answer, and the batch that it is to.
        on_unknown: Called when the service doesn't know this incarnation.
        gather_seconds: How long a batch waits at most for what comes in the next turns of the event loop.
    """

    def __init__(
        self,
        broker: Broker,
        subject: str,
        who: Callable[[], Who],
        on_reply: Callable[[EventReply, list[Event]], None],
        on_unknown: Callable[[], None],
        gather_seconds: float = 0.002,
    ) -> None:
        self._broker = broker
        self._subject = subject
        self._who = who
        self._on_reply = on_reply
        self._on_unknown = on_unknown
        self._gather_seconds = gather_seconds
        self._waiting: deque[_Waiting] = deque()
        self._progress: dict[AttemptRef, _Waiting] = {}
        self._later: dict[AttemptRef, float] = {}
        """Attempts whose events are held back, until when."""
        self._lines: Counter[AttemptRef] = Counter()
        self._line_bytes: Counter[AttemptRef] = Counter()
        self._all_line_bytes = 0
        self._clock_seconds = time.time() - time.monotonic()
        """What the monotonic clock is behind Unix time. A clock that is set meanwhile turns no order around."""
        self._stopped = False
        self._arrived = asyncio.Event()
        self._pressing = asyncio.Event()
        """Set while something waits that isn't to linger."""
        self._idle = asyncio.Event()
        self._idle.set()
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode = msgspec.msgpack.Decoder(BatchReply).decode

    def has_room(self, ref: AttemptRef) -> bool:
        """Whether another log line of the attempt may wait: memory stays bounded, however long the broker is away."""
        return (
            self._lines[ref] < MOST_LINES
            and self._line_bytes[ref] < _MOST_LINE_BYTES
            and self._all_line_bytes < MOST_LINE_BYTES_OF_ALL
        )

    def set_clock(self, unix_seconds: float, monotonic_seconds: float) -> None:
        """Stamp by the service's clock, not by this machine's: what both show at the same moment."""
        self._clock_seconds = unix_seconds - monotonic_seconds

    def add(self, ref: AttemptRef, sequence: int, body: EventBody) -> None:
        """Queue an event. Of progress without a message only the newest waits."""
        now_ms = int((time.monotonic() + self._clock_seconds) * 1000)
        waiting = _Waiting(ref, sequence, now_ms, body)
        if isinstance(body, _SAID):
            if self._overtakes(waiting):
                return
        elif self._progress:
            self._progress.pop(ref, None)  # progress must not overtake a checkpoint
        self._waiting.append(waiting)
        self._idle.clear()
        self._arrived.set()
        if not isinstance(body, Started):
            self._pressing.set()

    def _overtakes(self, said: _Waiting) -> bool:
        """Whether this has taken the place of older progress; what hasn't is counted."""
        if isinstance(said.body, Progressed):
            if not self.has_room(said.ref):
                said.body = Progressed(said.body.percent)
            if said.body.message is None:
                earlier = self._progress.setdefault(said.ref, said)
                earlier.body, earlier.occurred_at_ms = said.body, said.occurred_at_ms
                return earlier is not said
        self._count(said, 1)
        return False

    def _take_off(self, said: _Waiting) -> None:
        """What was said is on its way, and waits no more."""
        if self._progress.get(said.ref) is said:
            del self._progress[said.ref]
        elif isinstance(said.body, _SAID) and said.body.message is not None:
            self._count(said, -1)

    def _count(self, event: _Waiting, sign: int) -> None:
        size = sign * event.weight
        self._lines[event.ref] += sign
        self._line_bytes[event.ref] += size
        self._all_line_bytes += size
        if not self._lines[event.ref]:
            del self._lines[event.ref], self._line_bytes[event.ref]

    def forget(self) -> None:
        """Drop everything: the incarnation that it belonged to is over."""
        self._waiting.clear()
        self._progress.clear()
        self._later.clear()
        self._lines.clear()
        self._line_bytes.clear()
        self._all_line_bytes = 0
        self._pressing.clear()

    async def flushed(self) -> None:
        """Return once everything has been acknowledged."""
        await self._idle.wait()

    def stop(self) -> None:
        """Let `run` end; what it hasn't sent by now stays unsent."""
        self._stopped = True
        self._arrived.set()
        self._pressing.set()

    async def run(self) -> None:
        """Send until stopped or cancelled."""
        while not self._stopped:
            await self._arrived.wait()
            self._arrived.clear()
            while self._waiting and not self._stopped:
                await self._linger()
                await self._gather()
                batch = self._next_batch()
                if not self._waiting:
                    self._pressing.clear()
                if batch:
                    await self._send(batch)
                elif self._waiting:
                    await self._rest()
            self._idle.set()

    async def _linger(self) -> None:
        """Give what presses a moment to come, when nothing that waits does."""
        if self._pressing.is_set():
            return
        try:
            async with asyncio.timeout(_LINGER_SECONDS):
                await self._pressing.wait()
        except TimeoutError:
            pass

    async def _gather(self) -> None:
        """Let come what is about to come."""
        quiet, until = 0, time.monotonic() + self._gather_seconds
        while quiet < _TURNS and time.monotonic() < until:
            seen = len(self._waiting)
            await asyncio.sleep(0)
            quiet = quiet + 1 if len(self._waiting) == seen else 0

    async def _rest(self) -> None:
        """Everything that waits is held back: until the first may go, or something else arrives."""
        self._arrived.clear()
        try:
            async with asyncio.timeout(max(0.0, min(self._later.values()) - time.monotonic())):
                await self._arrived.wait()
        except TimeoutError:
            pass

    def _next_batch(self) -> list[Event]:
        batch: list[Event] = []
        size = 0
        if self._later:
            now = time.monotonic()
            self._later = {ref: until for ref, until in self._later.items() if until > now}
        held_back: list[_Waiting] = []
        while self._waiting and len(batch) < _MOST_EVENTS:
            waiting = self._waiting[0]
            if self._later and waiting.ref in self._later:
                held_back.append(self._waiting.popleft())
                continue
            size += waiting.weight
            if batch and size > _MOST_BYTES:
                break
            self._waiting.popleft()
            if isinstance(waiting.body, _SAID):
                self._take_off(waiting)
            batch.append(Event(waiting.ref, waiting.sequence, waiting.occurred_at_ms, waiting.body))
        self._waiting.extendleft(reversed(held_back))
        return batch

    def _hold_back(self, events: list[Event]) -> None:
        """Put events that were sent back to the front, to be sent again in a moment."""
        until = time.monotonic() + _LATER_SECONDS
        for event in reversed(events):
            waiting = _Waiting(event.ref, event.sequence, event.occurred_at_ms, event.body)
            if isinstance(event.body, _SAID) and event.body.message is not None:
                self._count(waiting, 1)
            self._waiting.appendleft(waiting)
            self._later[event.ref] = until

    async def _send(self, batch: list[Event]) -> None:
        who = self._who()
        if not who.incarnation:
            return  # between two incarnations: nothing that waits belongs to the next
        message = self._encode(EventBatch(who.worker_id, who.incarnation, batch, takes_later=True))
        pause = 0.1
        tries = 0
        patience = _FIRST_ANSWER_SECONDS + len(message) / _BYTES_A_SECOND
        while True:
            if self._stopped or self._who() != who:
                return  # registered anew meanwhile: these events would only be fenced
            try:
                reply = self._decode(await self._broker.request(self._subject, message, timeout_seconds=patience))
                if self._who() != who:
                    return  # the answer is about an incarnation that is over, and ends no other
                if reply.unknown_worker:
                    self._on_unknown()
                    return
                if reply.ok:
                    break
            except ConnectionFailedError as exc:
                log.debug("outbox.not_sent", extra={"error": str(exc)})
                # Who took it may be frozen, and the next try likely reaches another; or all are slow.
                tries += 1
                if tries % 2 == 0:
                    patience = max(patience, min(2 * patience, _LONGEST_ANSWER_SECONDS))
            await asyncio.sleep(pause)
            pause = min(1.0, pause * 2)
        later = {answer.ref for answer in reply.replies if answer.outcome is Outcome.LATER}
        if later:
            self._hold_back([event for event in batch if event.ref in later])
        for answer in reply.replies:
            if answer.ref not in later:
                self._on_reply(answer, batch)
