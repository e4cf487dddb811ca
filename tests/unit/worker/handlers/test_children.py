"""Handlers' coroutines that are done step by step look and behave as others do."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import AsyncIterator
from typing import Any

import pytest
import uvloop

from niyanta.worker.handlers import children

LOOPS = pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
number: contextvars.ContextVar[int] = contextvars.ContextVar("number", default=0)


async def _doubled(value: int) -> int:
    await asyncio.sleep(0)
    return value * 2


@LOOPS
def test_a_task_shows_what_it_does(run: Any) -> None:
    async def handler() -> None:
        task = asyncio.create_task(_doubled(2), name="mine")
        await asyncio.sleep(0)
        assert task.get_name() == "mine"
        assert "_doubled" in repr(task)
        assert [frame.f_code.co_name for frame in task.get_stack()] == ["_doubled"]
        assert await task == 4

    run(children.awaited(handler))


@LOOPS
def test_what_is_no_coroutine_makes_no_task(run: Any) -> None:
    async def numbers() -> AsyncIterator[int]:
        yield 1

    async def handler() -> None:
        for what in (5, asyncio.sleep, numbers()):
            with pytest.raises(TypeError, match="coroutine"):
                await asyncio.create_task(what)  # type: ignore[arg-type]

    run(children.awaited(handler))


@LOOPS
def test_a_task_s_context_is_the_one_that_it_is_given(run: Any) -> None:
    async def seen() -> int:
        return number.get()

    async def handler() -> list[int]:
        number.set(1)
        return [await asyncio.create_task(seen(), context=given) for given in (None, contextvars.Context())]

    assert run(children.awaited(handler)) == [1, 0]


@LOOPS
def test_cancelling_and_time_limits_reach_tasks(run: Any) -> None:
    async def waits(cleaned: list[str]) -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0)
            cleaned.append("cleaned")

    async def handler() -> list[str]:
        cleaned: list[str] = []
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(waits(cleaned), 0.01)
        task = asyncio.create_task(waits(cleaned))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        unstarted = asyncio.create_task(waits(cleaned))
        unstarted.cancel()
        assert isinstance((await asyncio.gather(unstarted, return_exceptions=True))[0], asyncio.CancelledError)
        return cleaned

    assert run(children.awaited(handler)) == ["cleaned", "cleaned"]


@LOOPS
def test_a_factory_that_the_loop_has_goes_on_making_tasks(run: Any) -> None:
    made: list[Any] = []

    def factory(loop: asyncio.AbstractEventLoop, work: Any, **options: Any) -> asyncio.Task[Any]:
        made.append(work)
        return asyncio.Task(work, loop=loop, **options)

    async def handler() -> int:
        return await asyncio.create_task(_doubled(3))

    async def main() -> Any:
        asyncio.get_running_loop().set_task_factory(factory)
        return await children.awaited(handler)

    assert run(main()) == 6
    assert type(made[0]) is children.Stepwise  # what comes after it is the loop's own


@LOOPS
def test_tasks_of_others_are_left_alone(run: Any) -> None:
    async def handler() -> None:
        pass

    async def main() -> Any:
        await asyncio.create_task(children.awaited(handler))
        return asyncio.create_task(_doubled(3)).get_coro()

    assert not isinstance(run(main()), children.Stepwise)


@LOOPS
def test_whatever_can_be_awaited_may_come_from_a_handler(run: Any) -> None:
    def handler() -> asyncio.Task[int]:
        return asyncio.get_running_loop().create_task(_doubled(4))

    assert run(children.awaited(handler)) == 8
