"""A cancel that comes while a request waits is never swallowed, whenever it comes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from niyanta.errors import ConnectionFailedError
from niyanta.wire.broker import FRAME_BYTES, Broker
from niyanta.wire.cancels import heeded


class Pair:
    """Two links in one loop: what one asks, the other answers at once."""

    def __init__(self, asking: Broker, answering: Broker, subject: str) -> None:
        self.asking = asking
        self.answering = answering
        self.subject = subject
        self.answered = asyncio.Event()

    async def answer(self, payload: bytes) -> bytes:
        asyncio.get_running_loop().call_soon(self.answered.set)
        return payload[:10]


@pytest.fixture
async def pair(nats_url: str, subject_prefix: str) -> AsyncIterator[Pair]:
    asking, answering = Broker(nats_url, name="asking"), Broker(nats_url, name="answering")
    await asking.connect()
    await answering.connect()
    found = Pair(asking, answering, f"{subject_prefix}.asked")
    await answering.serve(found.subject, found.answer)
    yield found
    await asking.close()
    await answering.close()


async def turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def ask_for_ever(pair: Pair, payload: bytes, timeout_seconds: float) -> None:
    while True:
        try:
            await pair.asking.request(pair.subject, payload, timeout_seconds=timeout_seconds)
        except ConnectionFailedError:
            continue


@pytest.mark.parametrize(
    ("size", "timeout_seconds", "trials"), [(10, 5.0, 400), (10, 0.0005, 400), (2 * FRAME_BYTES + 1, 5.0, 60)]
)
async def test_a_cancel_ends_a_loop_of_requests(pair: Pair, size: int, timeout_seconds: float, trials: int) -> None:
    ended = 0
    for trial in range(trials):
        asking = asyncio.create_task(ask_for_ever(pair, b"x" * size, timeout_seconds))
        pair.answered.clear()
        if timeout_seconds > 1:
            await pair.answered.wait()  # the answer is on its way: cancel in each turn of the loop around its arrival
        await turns(trial % 60)
        asking.cancel()
        done, _ = await asyncio.wait({asking}, timeout=5)
        ended += len(done)
        asking.cancel()
        await asyncio.wait({asking}, timeout=5)
    assert ended == trials


async def test_a_cancel_that_comes_together_with_the_answer_is_heeded() -> None:
    answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def wait_as_clients_do() -> None:
        with heeded():
            await asyncio.wait_for(answer, 5)

    waiting = asyncio.create_task(wait_as_clients_do())
    await turns(2)
    answer.add_done_callback(lambda _: waiting.cancel())
    answer.set_result(None)
    await asyncio.wait({waiting}, timeout=5)
    assert waiting.cancelled()


async def test_a_cancel_at_every_turn_of_one_request(pair: Pair) -> None:
    for count in range(120):
        asking = asyncio.create_task(pair.asking.request(pair.subject, b"x", timeout_seconds=5))
        await turns(count)
        finished_before = asking.done()
        asking.cancel()
        await asyncio.wait({asking}, timeout=5)
        assert asking.cancelled() or finished_before


async def test_a_time_out_of_the_caller_s_own_is_one(pair: Pair) -> None:
    for count in range(60):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(count * 0.0001):
                await ask_for_ever(pair, b"x", 5)


async def test_a_cancel_while_a_message_is_answered_or_listening_begins(pair: Pair, subject_prefix: str) -> None:
    for count in range(40):
        serving = asyncio.create_task(pair.answering.serve(f"{subject_prefix}.more{count}", pair.answer))
        await turns(count)
        finished_before = serving.done()
        serving.cancel()
        await asyncio.wait({serving}, timeout=5)
        assert serving.cancelled() or finished_before
