"""Runs the coroutines of a client whose link never suspends (`niyanta.client.links`), in the caller's thread."""

from __future__ import annotations

from collections.abc import AsyncIterator, Coroutine, Generator
from typing import Any, TypeVar

__all__ = ["iterate", "run"]

T = TypeVar("T")


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end, which is reached without a pause.

    Raises:
        RuntimeError: It waits for something that only an event loop can bring: a defect of ours.
    """
    try:
        work.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    work.close()
    raise RuntimeError("a call that should block has waited for an event loop")


def iterate(items: AsyncIterator[T]) -> Generator[T, None, None]:
    """The items one by one; what they hold open is closed when the caller stops."""
    try:
        while True:
            try:
                item = run(_following(items))
            except StopAsyncIteration:
                return
            yield item
    finally:
        close = getattr(items, "aclose", None)
        if close is not None:
            run(close())


async def _following(items: AsyncIterator[T]) -> T:
    return await anext(items)
