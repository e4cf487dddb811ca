"""Following all workloads live: server-sent events over one connection after another."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from datetime import datetime

import msgspec

from niyanta.client.status import Status
from niyanta.client.transport import Transport
from niyanta.errors import ApiError, ConnectionFailedError

__all__ = ["LiveEvent", "events_in", "follow_events"]


class LiveEvent(msgspec.Struct, kw_only=True):
    """One thing that happened."""

    type: str
    """``workload``: one is like this now. ``ready``: what is committed from now on is told. ``missed``: some events
    may be missing, for the reason that is given; read the list again. For operators also ``fleet`` (workers came,
    went or were drained) and ``customer`` (one changed)."""
    workload_id: str | None = None
    customer_id: str | None = None
    workload_type: str | None = None
    status: Status | None = None
    version: int | None = None
    """Of two events of a workload the one with the higher is the newer."""
    progress_percent: int | None = None
    generation: int | None = None
    worker_id: str | None = None
    message: str | None = None
    timestamp: datetime | None = None
    """When the coordinator heard of it."""
    reason: str | None = None
    """Of ``missed``: ``unknown_id``, ``too_slow`` or ``lost``."""
    resumed: bool | None = None
    """Of ``ready``: whether nothing was missed since the connection before."""


async def follow_events(transport: Transport, path: str) -> AsyncGenerator[LiveEvent, None]:
    """What happens, without end; a connection that breaks is replaced, and goes on where it broke if that can be had.

    Raises:
        ApiError: The service refuses; ConnectionFailedError: it can't be reached any more.
    """
    last_event_id: str | None = None
    failures = 0
    while True:
        failure: ApiError | ConnectionFailedError = ConnectionFailedError("the live feed has ended")
        try:
            async with aclosing(transport.events(path, last_event_id)) as lines:
                async for identifier, data in events_in(lines):
                    failures, last_event_id = 0, identifier
                    yield msgspec.json.decode(data, type=LiveEvent)
        except (ApiError, ConnectionFailedError) as error:
            failure = error
        failures += 1
        await transport.pause_after(failure, failures)


async def events_in(chunks: AsyncGenerator[bytes, None]) -> AsyncGenerator[tuple[str, bytes], None]:
    """The (id, data) of each event in what is received, whatever pieces it comes in."""
    kept = b""
    async for chunk in chunks:
        *whole, kept = (kept + chunk).split(b"\n\n")
        for event in whole:
            fields = _fields(event.split(b"\n"))
            if b"data" in fields:
                yield fields.get(b"id", b"").decode(), fields[b"data"]


def _fields(lines: Iterable[bytes]) -> dict[bytes, bytes]:
    """By name; comments have none and are left out."""
    named = (line.partition(b": ") for line in lines)
    return {name: value for name, _, value in named if name}
