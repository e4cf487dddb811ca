"""The doors by which workers' messages come in: who sent each, and how many of one sender are let in.

On a closed broker the subject says who speaks (`niyanta.wire.subjects`), and the broker sees to it that nobody else
does. Each service compares that with what the message itself says (`Sender.speaks_for`). One worker's messages are
bounded, at once and over time, so that a worker that floods the service takes nothing from the others: what is beyond
is dropped before anything is done for it, and a worker of ours sends it again.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial

from niyanta.domain.join_tokens import Grant, holder_of, token_of
from niyanta.domain.limits import (
    MAX_BATCHES_AT_ONCE,
    MAX_BEATS_AT_ONCE,
    MAX_FETCHES_AT_ONCE,
    MAX_REGISTRATIONS_AT_ONCE,
    MAX_WORKER_BYTES_PER_SECOND,
    MAX_WORKER_MESSAGES_PER_SECOND,
)
from niyanta.server.fleet.known_tokens import KnownTokens
from niyanta.wire.broker import Broker
from niyanta.wire.frames import MAX_MESSAGE_BYTES
from niyanta.wire.serving import Guest
from niyanta.wire.subjects import Subjects, inbox_of

__all__ = ["ANYBODY", "Doors", "MessageHandler", "MessageKind", "Sender"]

log = logging.getLogger(__name__)

_MOST_SENDERS = 20_000
"""That are remembered; then those that were heard longest ago are forgotten, and begin anew."""
_BURST_BYTES_SECONDS = 4
_BURST_MESSAGES_SECONDS = 2
_COMPLAIN_SECONDS = 10.0


class MessageKind(StrEnum):
    """What a worker may ask."""

    REGISTER = "register"
    HEARTBEAT = "heartbeat"
    EVENTS = "events"
    CHECKPOINT = "checkpoint"


_AT_ONCE = {
    MessageKind.REGISTER: MAX_REGISTRATIONS_AT_ONCE,
    MessageKind.HEARTBEAT: MAX_BEATS_AT_ONCE,
    MessageKind.EVENTS: MAX_BATCHES_AT_ONCE,
    MessageKind.CHECKPOINT: MAX_FETCHES_AT_ONCE,
}


_LARGEST = {
    MessageKind.REGISTER: 2 << 20,
    MessageKind.HEARTBEAT: 2 << 20,
    MessageKind.EVENTS: MAX_MESSAGE_BYTES,
    MessageKind.CHECKPOINT: 4 << 10,
}
"""Bytes of one message; what is sent in frames counts as so many whole frames."""
_FLOOD_MESSAGES = 2 * MAX_WORKER_MESSAGES_PER_SECOND
_FLOOD_SECONDS = 5.0
_EVERYTHING = Grant()


@dataclass(frozen=True, slots=True)
class Sender:
    """Who has sent a message, as the broker vouches for it."""

    worker_id: str = ""
    credential: str = ""
    """Empty on an open broker, where nobody vouches for anything."""
    grant: Grant | None = _EVERYTHING
    """What its join token lets it be; None once the token is revoked or expired."""

    def speaks_for(self, worker_id: str, incarnation: str) -> bool:
        """Whether a message of this worker's incarnation may come from it."""
        if not self.credential:
            return True
        return self.grant is not None and (worker_id, holder_of(incarnation)) == (self.worker_id, self.credential)


ANYBODY = Sender()
MessageHandler = Callable[[bytes, Sender], Awaitable[bytes | None]]


@dataclass(slots=True)
class _Pace:
    """One sender's: two buckets that fill with time, and what is being done for it."""

    messages: float = MAX_WORKER_MESSAGES_PER_SECOND * _BURST_MESSAGES_SECONDS
    size: float = MAX_WORKER_BYTES_PER_SECOND * _BURST_BYTES_SECONDS
    filled_at: float = 0.0
    complained_at: float = float("-inf")
    dropped: int = 0
    """Messages, since a moment."""
    dropped_since: float = float("-inf")
    busy: Counter[MessageKind] = field(default_factory=Counter)

    def floods(self, now: float) -> bool:
        """Count one that is dropped; whether there are so many that their sender is to be put out."""
        if now - self.dropped_since > _FLOOD_SECONDS:
            self.dropped, self.dropped_since = 0, now
        self.dropped += 1
        return self.dropped % _FLOOD_MESSAGES == 0

    def take(self, size: int, now: float) -> bool:
        passed = max(0.0, now - self.filled_at) if self.filled_at else 0.0
        self.filled_at = now
        messages, per_second = self.messages + passed * MAX_WORKER_MESSAGES_PER_SECOND, MAX_WORKER_BYTES_PER_SECOND
        self.messages = min(messages, MAX_WORKER_MESSAGES_PER_SECOND * _BURST_MESSAGES_SECONDS)
        self.size = min(self.size + passed * per_second, per_second * _BURST_BYTES_SECONDS)
        if self.messages < 1 or self.size < size:
            return False
        self.messages -= 1
        self.size -= size
        return True


class Doors:
    """Opens one door for each kind of message.

    Args:
        broker: The link.
        subjects: On which workers speak.
        tokens: Which join tokens are good; None on an open broker.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        broker: Broker,
        subjects: Subjects,
        tokens: KnownTokens | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._broker = broker
        self._subjects = subjects
        self._tokens = tokens
        self._clock = clock
        self._paces: dict[tuple[str, str], _Pace] = {}
        self.on_flood: list[Callable[[str, str], None]] = []
        """Called with the worker and the credential of who sends far more than is let in."""

    async def open(self, kind: MessageKind, handler: MessageHandler) -> None:
        """Begin to answer one kind of message."""
        subject, group = getattr(self._subjects, kind), self._subjects.queue_group
        if self._tokens is None:
            await self._broker.serve(subject, partial(_as_anybody, handler), queue_group=group)
        else:
            await self._broker.serve_guests(subject, partial(self._let_in, kind, handler), queue_group=group)

    def _let_in(self, kind: MessageKind, handler: MessageHandler, subject: str, size: int) -> Guest | None:
        who = self._subjects.sender_of(subject)
        pace = self._paces.pop(who, None) or _Pace()
        self._paces[who] = pace
        if len(self._paces) > _MOST_SENDERS:
            del self._paces[next(iter(self._paces))]
        now = self._clock()
        if size > _LARGEST[kind] or pace.busy[kind] >= _AT_ONCE[kind] or not pace.take(size, now):
            if pace.floods(now):
                for told in self.on_flood:
                    told(*who)
            if now - pace.complained_at > _COMPLAIN_SECONDS:
                pace.complained_at = now
                log.warning("doors.too_much", extra={"worker_id": who[0], "kind": kind})
            return None
        pace.busy[kind] += 1

        def left() -> None:
            pace.busy[kind] -= 1

        async def answer(payload: bytes) -> bytes | None:
            return await handler(payload, await self._sender(*who))

        return Guest(answer, left, f"{inbox_of(who[1])}.")

    async def _sender(self, worker_id: str, credential: str) -> Sender:
        token = None if self._tokens is None else await self._tokens.find(token_of(credential))
        return Sender(worker_id, credential, None if token is None else token.grant)


async def _as_anybody(handler: MessageHandler, payload: bytes) -> bytes | None:
    return await handler(payload, ANYBODY)
