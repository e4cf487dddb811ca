"""Processes that share a port tell each other their metrics."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from niyanta.server.member import Member
from niyanta.server.observability.siblings import Siblings

HEAD = b"# HELP a A\n# TYPE a gauge\n"


def sibling(folder: Path, number: int) -> Siblings:
    async def own() -> bytes:
        return HEAD + b"a %d.0\n" % number

    return Siblings(Member(number=number, of=2, folder=str(folder)), own)


@asynccontextmanager
async def telling(one: Siblings, place: Path) -> AsyncIterator[None]:
    task = asyncio.create_task(one.run())
    try:
        async with asyncio.timeout(30):
            while not await asyncio.to_thread(place.is_socket):
                await asyncio.sleep(0.005)
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_each_tells_of_all_that_are_there(tmp_path: Path) -> None:
    first, second = sibling(tmp_path, 1), sibling(tmp_path, 2)
    alone = HEAD + b'a{process="1"} 1.0\n'
    assert await first.scrape() == alone
    for _ in range(2):  # the second time a socket is left there by the first
        async with telling(second, tmp_path / "metrics-2"):
            assert await first.scrape() == alone + b'a{process="2"} 2.0\n'
        assert await first.scrape() == alone
        (tmp_path / "metrics-2").unlink(missing_ok=True)
        (tmp_path / "metrics-2").touch()  # what is there is no bar to one that is started again
        assert await first.scrape() == alone
