"""Batches of events as they come from workers, read event by event.

A batch that is in order is decoded at once. In one that isn't, each event is looked at by itself: what can't be read
fails the attempt that it is about, for good and with the reason, and the other events are as good as ever. Otherwise
the worker would send the batch again and again, and whoever got the workload next would do the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from niyanta.domain.limits import MAX_ID_LENGTH
from niyanta.wire import messages
from niyanta.wire.decoding import UNREADABLE
from niyanta.wire.messages import AttemptRef, Event, EventBatch

__all__ = ["Batch", "Unreadable", "is_sane", "read_batch"]

_NUMBERS = range(1, 2**63)
"""Generations and sequences; a sequence must fit a ``bigint``."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An event of which nothing is known but the attempt that it is about."""

    ref: AttemptRef
    why: str

    @property
    def body(self) -> messages.Failed:
        """What it comes to."""
        return messages.Failed(self.why, permanent=True)


@dataclass(frozen=True, slots=True)
class Batch:
    """Events of one worker, oldest first."""

    worker_id: str
    incarnation: str
    events: Sequence[Event | Unreadable]
    takes_later: bool = False
    """Its sender understands that some events are to be sent again later."""
    size_bytes: int = 0
    """Of the message that it came in."""

    @property
    def began_at(self) -> float | None:
        """Unix time of its oldest event, as its worker has it; None when that can't be read."""
        first = self.events[0] if self.events else None
        return first.occurred_at_ms / 1000 if isinstance(first, Event) else None


class _Envelope(msgspec.Struct):
    worker_id: str
    incarnation: str
    events: list[msgspec.Raw]
    takes_later: bool = False


class _Ref(msgspec.Struct):
    ref: AttemptRef


_decode = msgspec.msgpack.Decoder(EventBatch).decode
_decode_envelope = msgspec.msgpack.Decoder(_Envelope).decode
_decode_event = msgspec.msgpack.Decoder(Event).decode
_decode_ref = msgspec.msgpack.Decoder(_Ref).decode


def read_batch(payload: bytes) -> Batch:
    """Read a batch.

    Raises:
        UNREADABLE: It can't be said whose it is, or which attempt some event is about.
    """
    try:
        whole = _decode(payload)
    except UNREADABLE:
        envelope = _decode_envelope(payload)
        events = [_read(raw) for raw in envelope.events]
        return Batch(envelope.worker_id, envelope.incarnation, events, envelope.takes_later, len(payload))
    events = [_checked(event) for event in whole.events]
    return Batch(whole.worker_id, whole.incarnation, events, whole.takes_later, len(payload))


def _read(raw: msgspec.Raw) -> Event | Unreadable:
    try:
        return _checked(_decode_event(raw))
    except UNREADABLE as exc:
        return Unreadable(_decode_ref(raw).ref, f"an event of the attempt can't be read: {exc}")


def _checked(event: Event) -> Event | Unreadable:
    if event.sequence in _NUMBERS:
        return event
    return Unreadable(event.ref, f"an event of the attempt can't be read: it has the number {event.sequence}")


def is_sane(ref: AttemptRef) -> bool:
    """Whether there can be such an attempt; PostgreSQL refuses even to look for others."""
    return (
        ref.generation in _NUMBERS
        and len(ref.customer_id) <= MAX_ID_LENGTH
        and len(ref.workload_id) <= MAX_ID_LENGTH
        and "\0" not in ref.customer_id
        and "\0" not in ref.workload_id
    )
