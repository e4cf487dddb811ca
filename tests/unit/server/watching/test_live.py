"""A live feed's bounds: who is too slow is told so, and what is told at once is bounded."""

from __future__ import annotations

import json

import pytest

from niyanta.errors import ServiceUnavailableError
from niyanta.server.watching.events import MissedEvent, MissedReason
from niyanta.server.watching.live import LiveFeed, LiveWatch

EVENT = MissedEvent(MissedReason.LOST)
PLENTY = 1 << 20


def watch(feed: LiveFeed, last_event_id: str | None = None) -> LiveWatch:
    return LiveWatch(feed, "cust_a", "Bearer key", last_event_id)


def told(sent: bytes) -> list[dict[str, object]]:
    lines = sent.decode().splitlines()
    return [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]


async def test_who_is_behind_what_is_kept_goes_on_at_the_newest() -> None:
    feed = LiveFeed()
    slow = watch(feed)
    await anext(slow)
    for _ in range(50):
        feed.add("missed", EVENT, 500)
    assert feed.first > 0
    assert feed.size_bytes <= 500
    assert told(await anext(slow)) == [{"type": "missed", "reason": "too_slow"}]
    feed.add("missed", EVENT, 500)
    assert told(await anext(slow)) == [{"type": "missed", "reason": "lost"}]


async def test_a_burst_is_told_in_parts() -> None:
    feed = LiveFeed()
    one = watch(feed)
    await anext(one)
    for _ in range(250):
        feed.add("missed", EVENT, PLENTY)
    assert [len(told(await anext(one))) for _ in range(2)] == [200, 50]


async def test_an_event_larger_than_a_feed_is_kept_alone() -> None:
    feed = LiveFeed()
    one = watch(feed)
    await anext(one)
    feed.add("missed", EVENT, 1)
    assert len(told(await anext(one))) == 1


async def test_ids_lead_back_to_their_place_only() -> None:
    feed = LiveFeed()
    for _ in range(3):
        feed.add("missed", EVENT, PLENTY)
    assert [feed.place_of(feed.id_at(place)) for place in range(4)] == [0, 1, 2, 3]
    assert feed.place_of(feed.id_at(4)) is None
    assert feed.place_of(LiveFeed().id_at(1)) is None
    assert told(await anext(watch(feed, feed.id_at(2))))[0] == {"type": "ready", "resumed": True}


async def test_an_interruption_ends_the_waiting() -> None:
    one = watch(LiveFeed())
    await anext(one)
    one.interrupt(ServiceUnavailableError("stops"))
    with pytest.raises(ServiceUnavailableError):
        await anext(one)
