"""Events on their way to the service: numbered, batched, sent again until they are acknowledged."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter, deque
from collections.abc import Callable
from typing import Any

import msgspec

from niyanta.errors import ConnectionFailedError
from niyanta.wire.broker import Broker
from niyanta.wire.messages import (
    AttemptRef,
    BatchReply,
    CheckpointSaved,
    Event,
    EventBatch,
    EventReply,
    LogLine,
    Progressed,
)

__all__ = ["Outbox"]

log = logging.getLogger(__name__)

_MOST_EVENTS = 1000
_MOST_BYTES = 384 * 1024
_MOST_LINES = 5_000
"""Log lines of one attempt that may wait; more are dropped, and counted."""


class Outbox:
    """One batch under way at a time, so that order holds; what arrives meanwhile shares the next."""

    def __init__(
        self,
        broker: Broker,
        subject: str,
        identity: Callable[[], tuple[str, str]],
        on_reply: Callable[[EventReply, list[Event]], None],
        on_unknown: Callable[[], None],
    ) -> None:
        self._broker = broker
        self._subject = subject
        self._identity = identity
        self._on_reply = on_reply
        self._on_unknown = on_unknown
        self._waiting: deque[Event] = deque()
        self._lines: Counter[AttemptRef] = Counter()
        self._dropped: Counter[AttemptRef] = Counter()
        self._arrived = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode = msgspec.msgpack.Decoder(BatchReply).decode

    def add(self, ref: AttemptRef, sequence: int, body: Any) -> bool:
        """Queue an event. False when a log line was dropped instead."""
        if isinstance(body, LogLine):
            if self._lines[ref] >= _MOST_LINES:
                self._dropped[ref] += 1
                return False
            self._lines[ref] += 1
        elif isinstance(body, Progressed) and body.message is None and self._waiting:
            last = self._waiting[-1]
            if last.ref == ref and isinstance(last.body, Progressed) and last.body.message is None:
                self._waiting.pop()
        self._waiting.append(Event(ref, sequence, int(time.time() * 1000), body))
        self._idle.clear()
        self._arrived.set()
        return True

    def forget(self) -> None:
        """Drop everything: the incarnation that it belonged to is over."""
        self._waiting.clear()
        self._lines.clear()
        self._dropped.clear()

    async def flushed(self) -> None:
        """Return once everything has been acknowledged."""
        await self._idle.wait()

    async def run(self) -> None:
        """Send until cancelled."""
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while self._waiting:
                await self._send(self._next_batch())
            self._idle.set()

    def _next_batch(self) -> list[Event]:
        batch: list[Event] = []
        size = 0
        while self._waiting and len(batch) < _MOST_EVENTS:
            event = self._waiting[0]
            weight = 100
            match event.body:
                case CheckpointSaved(data=data):
                    weight += len(data)
                case LogLine(message=message):
                    weight += len(message)
                case _:
                    weight += len(getattr(event.body, "result_json", b""))
            if batch and size + weight > _MOST_BYTES:
                break
            size += weight
            batch.append(self._waiting.popleft())
            if isinstance(event.body, LogLine):
                self._lines[event.ref] -= 1
                if not self._lines[event.ref]:
                    del self._lines[event.ref]
        return batch

    async def _send(self, batch: list[Event]) -> None:
        worker_id, incarnation = self._identity()
        message = self._encode(EventBatch(worker_id, incarnation, batch))
        pause = 0.1
        while True:
            if self._identity()[1] != incarnation:
                return  # registered anew meanwhile: these events would only be fenced
            try:
                reply = self._decode(await self._broker.request(self._subject, message, timeout_seconds=5))
                if reply.unknown_worker:
                    self._on_unknown()
                    return
                if reply.ok:
                    break
            except ConnectionFailedError as exc:
                log.debug("outbox.not_sent", extra={"error": str(exc)})
            await asyncio.sleep(pause)
            pause = min(1.0, pause * 2)
        for answer in reply.replies:
            self._on_reply(answer, batch)

    def take_dropped(self, ref: AttemptRef) -> int:
        """How many log lines of an attempt were dropped since the last time this was asked."""
        return self._dropped.pop(ref, 0)
