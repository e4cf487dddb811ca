"""Which order stands when several meet, and what is said last."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest

from niyanta.wire.messages import Completed, Failed, Paused, Released
from niyanta.worker.attempt.life import Because, End, Life, Phase, StoppedError
from niyanta.worker.handlers.link import Ask

HANDED_BACK = End(Because.HANDED_BACK, "the worker stopped")
DRAINED, PAUSED, DISOWNED = End(Because.DRAINED), End(Because.PAUSED), End(Because.DISOWNED)
DONE, FAILED = Completed(b"{}"), Failed("broken")


@pytest.mark.parametrize("orders", list(itertools.permutations([HANDED_BACK, DRAINED, PAUSED, DISOWNED], 3)))
async def test_the_highest_order_stands_whenever_it_comes(orders: tuple[End, ...]) -> None:
    life = Life()
    for end in orders:
        life.order(end)
    assert life.end == max(orders, key=lambda end: end.because)
    assert life.ordered.done()


@pytest.mark.parametrize(
    ("end", "outcome", "last"),
    [
        (None, DONE, DONE),
        (None, FAILED, FAILED),
        (None, None, Failed("the attempt ended without a result")),
        (HANDED_BACK, None, Released("the worker stopped")),
        (HANDED_BACK, FAILED, Released("the worker stopped")),
        (HANDED_BACK, DONE, DONE),
        (DRAINED, DONE, Released("drained")),
        (PAUSED, None, Paused()),
        (PAUSED, DONE, Paused()),
        (PAUSED, FAILED, Paused()),
    ],
)
async def test_what_is_said_last(end: End | None, outcome: Any, last: Any) -> None:
    life = Life()
    if end is not None:
        life.order(end)
    assert life.last_event(outcome) == last


async def test_a_checkpoint_that_ends_it_leaves_the_handler_to_end_by_itself() -> None:
    life = Life()
    life.begin_running()
    life.order(PAUSED)
    assert life.phase is Phase.RUNNING
    assert not life.told_to_stop
    life.order(DISOWNED)
    assert life.told_to_stop


async def test_only_who_is_disowned_or_over_says_nothing() -> None:
    life = Life()
    for end in (HANDED_BACK, DRAINED, PAUSED):
        life.order(end)
        assert not life.silent
    heard = []
    life.on_disowned.append(lambda: heard.append(1))
    life.order(DISOWNED)
    life.order(DISOWNED)
    assert life.silent
    assert heard == [1]
    other = Life()
    other.phase = Phase.OVER
    assert other.silent


async def test_a_pause_comes_before_a_drain_and_can_be_withdrawn() -> None:
    life = Life()
    heard: list[Ask | None] = []
    life.on_asked.append(heard.append)
    life.ask(Ask.DRAIN)
    life.ask(Ask.PAUSE)
    life.ask(Ask.PAUSE, wanted=False)
    assert heard == [Ask.DRAIN, Ask.PAUSE, Ask.DRAIN]


async def test_an_order_ends_the_preparation_and_cleans_it_up() -> None:
    life = Life()
    cleaned_up = asyncio.Event()

    async def prepare() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            cleaned_up.set()

    preparing = asyncio.create_task(life.unless_ordered(prepare()))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    life.order(HANDED_BACK)
    with pytest.raises(StoppedError):
        await preparing
    assert cleaned_up.is_set()
