"""What a live feed tells, and its text: the form of server-sent events, in which it is kept once for all."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import TypeAlias

import msgspec

__all__ = [
    "HEARTBEAT",
    "RETRY",
    "CustomerEvent",
    "FeedEvent",
    "FleetEvent",
    "MissedEvent",
    "MissedReason",
    "ReadyEvent",
    "WorkloadEvent",
    "events_in",
    "told",
]


class MissedReason(StrEnum):
    """Why events may be missing."""

    UNKNOWN_ID = "unknown_id"
    """What came after the last id that was seen isn't kept, or another coordinator told it."""
    TOO_SLOW = "too_slow"
    """More waited to be taken than is kept."""
    LOST = "lost"
    """What another coordinator committed may not have arrived here."""


class WorkloadEvent(msgspec.Struct, tag_field="type", tag="workload"):
    """A workload as it is after a committed change."""

    workload_id: str
    customer_id: str
    workload_type: str
    status: str
    version: int
    progress_percent: int
    generation: int
    worker_id: str | None
    message: str | None
    timestamp: str


class ReadyEvent(msgspec.Struct, tag_field="type", tag="ready"):
    """Opens a feed."""

    resumed: bool


class MissedEvent(msgspec.Struct, tag_field="type", tag="missed"):
    """Something may be missing."""

    reason: MissedReason


class FleetEvent(msgspec.Struct, tag_field="type", tag="fleet"):
    """Workers came, went or were drained."""


class CustomerEvent(msgspec.Struct, tag_field="type", tag="customer"):
    """A customer, its limits or its keys changed."""

    customer_id: str


FeedEvent: TypeAlias = WorkloadEvent | ReadyEvent | MissedEvent | FleetEvent | CustomerEvent

HEARTBEAT = b": heartbeat\n\n"
RETRY = b"retry: 2000\n\n"

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(FeedEvent).decode
_ID, _DATA = b"id: ", b"\ndata: "


def told(kind: str, identifier: str, event: FeedEvent) -> bytes:
    """One event as it goes over the wire (HTML Living Standard, section 9.2)."""
    return b"id: %s\nevent: %s\ndata: %s\n\n" % (identifier.encode(), kind.encode(), _encode(event))


def events_in(text: bytes) -> Iterator[tuple[str, FeedEvent]]:
    """The events of what `told` made, each with its id; what is no event is left out."""
    for part in text.split(b"\n\n"):  # JSON has its line breaks escaped
        if part.startswith(_ID):
            head, _, data = part.partition(_DATA)
            yield head.partition(b"\n")[0].removeprefix(_ID).decode(), _decode(data)
