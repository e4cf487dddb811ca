"""One process of an attempt, as the agent has it: its pipes, what it says, and how it ended."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, cast

from niyanta.domain.records import LogLevel
from niyanta.worker.handlers.text import LineSplitter
from niyanta.worker.launcher.folders import make_folder
from niyanta.worker.launcher.over import Over
from niyanta.worker.runner import channel
from niyanta.worker.runner.marks import END, MarkFinder

__all__ = ["Exit", "Output", "Runner", "opened"]

_READ_BYTES = 1 << 16
_RECENT_LINES = 20


@dataclass(frozen=True)
class Exit:
    """How a process's whole tree ended."""

    code: int
    """Exit status of the process itself; minus the signal's number when one ended it."""
    over: Over | None = None
    """Why, where the launcher ended it by itself."""
    used_mb: int = 0


def _future() -> asyncio.Future[Any]:
    return asyncio.get_running_loop().create_future()


class Output(Protocol):
    """Takes what a process writes."""

    def lines(self, level: str, lines: list[bytes]) -> None:
        """Take whole lines."""
        ...

    async def marked(self, number: int) -> None:
        """Take the mark with a number; what follows it waits until this returns."""
        ...


@dataclass(eq=False)
class Runner:
    """One process, warm or at work.

    Attributes:
        sockets: What it is heard and spoken to by: two descriptors of one end.
        hearing: Its transport reads.
        writer: Only writes: that it can't any more must not end the reading of what is there.
        folder: Its own, the only one that it may write to.
        exited: Done once nothing of its tree is left.
        limited: Done once its limits are set; gives what went wrong, or None.
        word: In the marks that it writes into its standard output.
        output: Takes what it writes to standard output (INFO) and standard error (WARN).
        recent: The last lines it wrote, for the case that it ends before it is ready.
        served: How many attempts it has been given.
        alone: Done when the launcher has said whether nothing else of its tree is left; asked after an attempt.
        user: The user id of its own; 0 for the worker's.
    """

    slot: str
    sockets: tuple[socket.socket, socket.socket]
    reader: asyncio.StreamReader
    hearing: asyncio.StreamWriter
    writer: asyncio.StreamWriter
    folder: Path
    pid: int | None = None
    exited: asyncio.Future[Exit] = field(default_factory=_future)
    limited: asyncio.Future[str | None] = field(default_factory=_future)
    word: str = field(default_factory=lambda: secrets.token_hex(8))
    output: Output | None = None
    recent: deque[bytes] = field(default_factory=lambda: deque(maxlen=_RECENT_LINES))
    pumps: list[asyncio.Task[None]] = field(default_factory=list)
    served: int = 0
    alone: asyncio.Future[bool] = field(default_factory=_future)
    user: int = 0
    _drained: asyncio.Future[None] = field(default_factory=_future)
    _ends: int = 0

    def descriptors(self) -> list[int]:
        """What nobody else may hold: whoever does hides our death from it."""
        return [number for one in self.sockets if (number := one.fileno()) >= 0]

    def send(self, message: channel.ToRunner) -> None:
        """Say something to the process, unless it is gone."""
        if not self.writer.is_closing():
            self.writer.write(channel.encode(message))

    async def receive(self) -> channel.FromRunner | None:
        """The next message; None when the process is gone."""
        frame = await channel.read_frame(self.reader)
        return None if frame is None else channel.decode_from_runner(frame)

    async def drained(self) -> None:
        """Wait until both of its outputs have come to the end of the attempt, while it goes on."""
        ends: set[asyncio.Future[Any]] = {self._drained, self.exited}
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        self._drained, self._ends = _future(), 0

    def output_ended(self) -> None:
        """One of its outputs has."""
        self._ends += 1
        if self._ends == len(self.pumps) and not self._drained.done():
            self._drained.set_result(None)

    async def copied(self, seconds: float) -> None:
        """Wait until all of its output has been read, but not longer than so many seconds."""
        if self.pumps:
            await asyncio.wait(self.pumps, timeout=seconds)
        self.close()

    def close(self) -> None:
        """Let go of our ends. Idempotent."""
        for pump in self.pumps:
            pump.cancel()
        self.dismiss()

    def dismiss(self) -> None:
        """Let it end by itself: no attempt will come. What it still writes is read."""
        self.writer.close()
        self.hearing.close()

    def take_lines(self, level: str, lines: list[bytes]) -> None:
        """Hand on what the process wrote, or keep the last of it."""
        if self.output is not None:
            self.output.lines(level, lines)
        else:
            self.recent.extend(line for line in lines if line.strip())


async def opened(slot: str, folder: Path, user: int) -> tuple[Runner, list[int]]:
    """A process that is yet to be started, in a folder that is made for it; and the ends of its pipes."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)  # the other descriptor shares it, and would have it block again
    speaking = ours.dup()
    reader, hearing = await asyncio.open_connection(sock=ours, limit=1 << 20)
    _, writer = await asyncio.open_connection(sock=speaking)
    cast("asyncio.Transport", writer.transport).pause_reading()
    runner = Runner(slot, (ours, speaking), reader, hearing, writer, make_folder(folder, user), user=user)
    ends = [theirs.detach()]
    for level in (LogLevel.INFO, LogLevel.WARN):
        read, write = os.pipe()
        if user:
            os.fchown(write, user, user)  # programs open /dev/stdout, too
        ends.append(write)
        runner.pumps.append(asyncio.get_running_loop().create_task(pump(read, runner, level)))
    return runner, ends


async def pump(fd: int, runner: Runner, level: str) -> None:
    """Read what a process writes. The pipe and one chunk are all that is ever held."""
    splitter, finder = LineSplitter(), MarkFinder(runner.word)
    reader = asyncio.StreamReader(limit=_READ_BYTES)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(fd, "rb", 0)
    )
    try:
        while data := await reader.read(_READ_BYTES):
            for part in finder.feed(data):
                if part == END:
                    if lines := splitter.end():
                        runner.take_lines(level, lines)
                    runner.output_ended()
                elif isinstance(part, int):
                    if runner.output is not None:
                        await runner.output.marked(part)
                elif lines := splitter.feed(part):
                    runner.take_lines(level, lines)
        if lines := splitter.feed(finder.end()) + splitter.end():
            runner.take_lines(level, lines)
    finally:
        transport.close()
