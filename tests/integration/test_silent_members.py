"""A member of a queue group that answers nothing costs its clients one time-out each, and holds no rows for long."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from niyanta.errors import ConnectionFailedError
from niyanta.server.store.database import Database
from niyanta.wire.broker import Broker

GROUP = "coordinators"


@pytest.fixture
async def brokers(nats_url: str) -> AsyncIterator[list[Broker]]:
    opened = [Broker(nats_url, name=name) for name in ("first", "second", "client")]
    for broker in opened:
        await broker.connect()
    yield opened
    for broker in opened:
        await broker.close()


async def never(_: bytes) -> bytes:
    await asyncio.Event().wait()
    raise AssertionError


async def named(_: bytes) -> bytes:
    return b"second"


async def test_after_silence_whoever_is_there_is_asked(brokers: list[Broker], subject_prefix: str) -> None:
    first, second, client = brokers
    subject = f"{subject_prefix}.ask"
    await first.serve(subject, never, queue_group=GROUP)
    with pytest.raises(ConnectionFailedError, match="no reply"):
        await client.request(subject, b"", timeout_seconds=0.2)
    await second.serve(subject, named, queue_group=GROUP)
    silences = 0
    for _ in range(30):  # the broker would take each for about half of them
        try:
            assert await client.request(subject, b"", timeout_seconds=0.5) == b"second"
        except ConnectionFailedError:
            silences += 1
    assert silences <= 1


async def test_who_is_named_for_its_silence_does_not_come_forward(brokers: list[Broker], subject_prefix: str) -> None:
    first, second, client = brokers
    subject = f"{subject_prefix}.ask"
    is_ill = False

    async def answer(payload: bytes) -> bytes:
        return await never(payload) if is_ill else b"first"

    await first.serve(subject, answer, queue_group=GROUP)
    assert await client.request(subject, b"", timeout_seconds=10) == b"first"
    await second.serve(subject, named, queue_group=GROUP)
    assert await client.request(subject, b"", timeout_seconds=10) == b"first", "it stays"
    is_ill = True
    with pytest.raises(ConnectionFailedError, match="no reply"):
        await client.request(subject, b"", timeout_seconds=0.2)
    assert await client.request(subject, b"", timeout_seconds=10) == b"second"


async def test_where_nobody_comes_forward_the_group_is_asked_again(
    brokers: list[Broker], subject_prefix: str
) -> None:
    first, _, client = brokers
    subject = f"{subject_prefix}.ask"
    turns = iter((True, False))

    async def answer(payload: bytes) -> bytes:
        return await never(payload) if next(turns) else b"first"

    await first.serve(subject, answer, queue_group=GROUP)
    with pytest.raises(ConnectionFailedError, match="no reply"):
        await client.request(subject, b"", timeout_seconds=0.2)
    assert await client.request(subject, b"", timeout_seconds=10) == b"first"


async def test_a_transaction_that_asks_nothing_more_is_ended(database_url: str) -> None:
    database = await Database.open(database_url)
    try:
        async with database.connection() as given:
            conn: Any = given
            ended = asyncio.Event()
            conn.add_termination_listener(lambda _: ended.set())
            await conn.execute("BEGIN")
            await conn.fetchval("SELECT 1")
            async with asyncio.timeout(20):
                await ended.wait()
    finally:
        await database.close()


async def test_an_answer_to_nobody_is_no_question(brokers: list[Broker], nats_url: str, subject_prefix: str) -> None:
    """The broker says of an answer that nobody takes where that answer said that it is from."""
    member, _, client = brokers
    subject = f"{subject_prefix}.ask"
    asked: list[bytes] = []
    has_come, is_over = asyncio.Event(), asyncio.Event()

    async def answer(payload: bytes) -> bytes:
        asked.append(payload)
        has_come.set()
        await is_over.wait()
        return b"answer"

    await member.serve(subject, answer, queue_group=GROUP)
    leaving = Broker(nats_url, name="leaving")
    await leaving.connect()
    asking = asyncio.create_task(leaving.request(subject, b"1", timeout_seconds=10))
    await has_come.wait()
    asking.cancel()
    await asyncio.wait({asking})
    await leaving.close()
    is_over.set()
    for payload in (b"2", b"3"):
        assert await client.request(subject, payload, timeout_seconds=10) == b"answer"
    assert asked == [b"1", b"2", b"3"]
