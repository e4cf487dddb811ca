"""Group commit: a lone item goes at once, those that arrive meanwhile share the next commit (ADR 0006)."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

__all__ = ["BUSY_BATCH", "LINGER_SECONDS", "GroupCommit"]

Item = TypeVar("Item")
Result = TypeVar("Result")


BUSY_BATCH = 3
"""A batch this large says that more is on its way."""
LINGER_SECONDS = 0.002
"""How long the next batch then waits for it: fewer, larger batches cost less, and a lone item never waits."""


class GroupCommit(Generic[Item, Result]):
    """Turns single items into batches.

    Args:
        process: Commits a batch and gives one result, or one exception, per item. If it raises, every item of the
            batch gets that exception.
        most: Items in one batch at the most.
        room: Items that may wait; one more is refused by the caller's ``is_full`` check.
        observe: Told of each batch that was committed, and of the seconds that took.
    """

    def __init__(
        self,
        process: Callable[[Sequence[Item]], Awaitable[Sequence[Result | Exception]]],
        *,
        most: int = 500,
        room: int = 20_000,
        observe: Callable[[Sequence[Item], float], None] | None = None,
    ) -> None:
        self._process = process
        self._most = most
        self._room = room
        self._observe = observe
        self._waiting: deque[tuple[Item, asyncio.Future[Result]]] = deque()
        self._arrived = asyncio.Event()

    @property
    def is_full(self) -> bool:
        return len(self._waiting) >= self._room

    async def submit(self, item: Item) -> Result:
        """Have the item committed; returns after the commit. Cancelling the wait doesn't take the item back."""
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        self._arrived.set()
        return await future

    async def run(self) -> None:
        """Commit batches until cancelled."""
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            busy = False
            while self._waiting:
                if busy:
                    await asyncio.sleep(LINGER_SECONDS)
                batch = [self._waiting.popleft() for _ in range(min(self._most, len(self._waiting)))]
                await self._commit(batch)
                busy = len(batch) >= BUSY_BATCH

    async def _commit(self, batch: list[tuple[Item, asyncio.Future[Result]]]) -> None:
        results: Sequence[Result | Exception]
        items = [item for item, _ in batch]
        began = time.perf_counter()
        try:
            results = await self._process(items)
            if self._observe is not None:
                self._observe(items, time.perf_counter() - began)
        except Exception as exc:
            results = [exc] * len(batch)
        except BaseException:
            for _, future in batch:
                future.cancel()
            raise
        for (_, future), result in zip(batch, results, strict=True):
            if future.done():
                continue
            if isinstance(result, Exception):
                future.set_exception(result)
            else:
                future.set_result(result)
