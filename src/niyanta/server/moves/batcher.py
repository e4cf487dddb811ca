"""Group commit: a lone item goes at once, those that arrive meanwhile share the next commit (ADR 0006)."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from niyanta.errors import ServiceUnavailableError
from niyanta.wire.cancels import cancels_asked, lasting

__all__ = ["BUSY_BATCH", "LINGER_SECONDS", "GroupCommit"]

Item = TypeVar("Item")
Result = TypeVar("Result")


BUSY_BATCH = 3
"""A batch this large says that more is on its way."""
LINGER_SECONDS = 0.003
"""How long the next batch then waits for it: fewer, larger batches cost less, and a lone item never waits."""


class GroupCommit(Generic[Item, Result]):
    """Turns single items into batches.

    Args:
        process: Commits a batch and gives one result, or one exception, per item. If it raises, every item of the
            batch gets that exception.
        most: A batch takes no more items once it weighs this much.
        room: Weight that may wait; when it is there, the caller's ``is_full`` check refuses more.
        weigh: An item's weight; 1 each when not given.
        gather: Seconds for which a batch's first item waits for more, where cost counts for more than speed.
        observe: Told of each batch that was committed, and of the seconds that took.
    """

    def __init__(
        self,
        process: Callable[[Sequence[Item]], Awaitable[Sequence[Result | Exception]]],
        *,
        most: int = 500,
        room: int = 20_000,
        weigh: Callable[[Item], int] = lambda _: 1,
        gather: float = 0.0,
        observe: Callable[[Sequence[Item], float], None] | None = None,
    ) -> None:
        self._process = process
        self._most = most
        self._room = room
        self._weigh = weigh
        self._gather = gather
        self._load = 0
        self._observe = observe
        self._waiting: deque[tuple[Item, asyncio.Future[Result]]] = deque()
        self._arrived = asyncio.Event()
        self._asked = 0
        """Cancels of the loop's task before it began."""

    @property
    def is_full(self) -> bool:
        """Whether another item would be refused."""
        return self._load >= self._room

    async def submit(self, item: Item) -> Result:
        """Have the item committed; returns after the commit. Cancelling the wait doesn't take the item back."""
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        self._load += self._weigh(item)
        self._arrived.set()
        return await future

    async def run(self) -> None:
        """Commit batches until cancelled."""
        await lasting(self._run)

    async def _run(self) -> None:
        self._asked = cancels_asked()
        if self._waiting:
            self._arrived.set()
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            pause = self._gather
            while self._waiting:
                if pause:
                    await asyncio.sleep(pause)
                batch = self._next_batch()
                await self._commit(batch)
                pause = self._gather or (LINGER_SECONDS if len(batch) >= BUSY_BATCH else 0.0)

    def _next_batch(self) -> list[tuple[Item, asyncio.Future[Result]]]:
        batch = []
        weight = 0
        while self._waiting and weight < self._most:
            batch.append(self._waiting.popleft())
            weight += self._weigh(batch[-1][0])
        self._load -= weight
        return batch

    async def _commit(self, batch: list[tuple[Item, asyncio.Future[Result]]]) -> None:
        results: Sequence[Result | Exception]
        items = [item for item, _ in batch]
        began = time.perf_counter()
        try:
            results = await self._process(items)
        except Exception as exc:
            results = [exc] * len(batch)
        except asyncio.CancelledError:
            if cancels_asked() == self._asked:
                results = [_not_done()] * len(batch)
            else:
                for _, future in batch:
                    future.cancel()
                raise
        else:
            if self._observe is not None:
                self._observe(items, time.perf_counter() - began)
        for (_, future), result in zip(batch, results, strict=True):
            if future.done():
                continue
            if isinstance(result, Exception):
                future.set_exception(result)
            else:
                future.set_result(result)


def _not_done() -> Exception:
    return ServiceUnavailableError("It could not be done at the moment; try again", retry_after_seconds=1)
