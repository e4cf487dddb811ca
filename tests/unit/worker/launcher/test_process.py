"""The agent's end of the pipes of an attempt's process."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
import uvloop

from niyanta.domain.records import LogLevel
from niyanta.wire.messages import LogLine
from niyanta.worker.launcher.process import opened
from niyanta.worker.runner import channel

_ANSWER = channel.Saved(1, 1, None, False)


async def _last_words_of_one_that_is_answered(folder: Path) -> tuple[int, object]:
    """Of a process that is gone when it is answered: how many lines it had sent are heard, and what comes after."""
    runner, ends = await opened("slot", folder / "slot", 0)
    with socket.socket(fileno=ends[0]) as theirs:
        line = channel.encode(channel.Report(LogLine(LogLevel.INFO, "x" * 1000), 0))
        theirs.sendall(line * 50 + channel.encode(channel.Done(b"1")))
    for end in ends[1:]:
        os.close(end)
    for _ in range(3):
        runner.send(_ANSWER)
    heard = 0
    async with asyncio.timeout(10):
        while isinstance(message := await runner.receive(), channel.Report):
            heard += 1
    await runner.copied(1.0)
    return heard, message


@pytest.mark.parametrize("factory", [uvloop.new_event_loop, asyncio.new_event_loop], ids=["uvloop", "asyncio"])
def test_who_can_not_be_answered_any_more_is_heard_to_the_end(
    tmp_path: Path, factory: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    with asyncio.Runner(loop_factory=factory) as loop:
        assert loop.run(_last_words_of_one_that_is_answered(tmp_path)) == (50, channel.Done(b"1"))


async def test_nobody_else_may_hold_what_it_hears_and_speaks_by(tmp_path: Path) -> None:
    runner, ends = await opened("slot", tmp_path / "slot", 0)
    for end in ends:
        os.close(end)
    held = runner.descriptors()
    assert len(set(held)) == 2
    assert len({os.fstat(one).st_ino for one in held}) == 1
    await runner.copied(1.0)
