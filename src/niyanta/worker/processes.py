"""The agent's side of the launcher, and the pool of warm processes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import secrets
import socket
import sys
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from niyanta.errors import TransientError
from niyanta.worker import channel

__all__ = ["ProcessPool", "Runner"]

log = logging.getLogger(__name__)

_HIDDEN = ("NIYANTA_", "PYTHONSTARTUP")
_MOST_LINE_BYTES = 8192


@dataclass
class Runner:
    """One process, warm or at work."""

    slot: str
    control: socket.socket
    stdout: asyncio.StreamReader
    stderr: asyncio.StreamReader
    reader: asyncio.StreamReader | None = None
    writer: asyncio.StreamWriter | None = None
    pid: int | None = None
    exited: asyncio.Future[int] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def send(self, message: channel.ToRunner) -> None:
        if self.writer is not None and not self.writer.is_closing():
            self.writer.write(channel.encode(message))

    async def receive(self) -> channel.FromRunner | None:
        """The next message; None when the process is gone."""
        if self.reader is None:
            return None
        frame = await channel.read_frame(self.reader)
        return None if frame is None else _decode(frame)


_decode = msgspec.msgpack.Decoder(channel.FromRunner).decode


class ProcessPool:
    """Starts processes through the launcher, keeps a few warm."""

    def __init__(self, app: Sequence[str], warm: int) -> None:
        self._app = list(app)
        self._warm = warm
        self._idle: deque[Runner] = deque()
        self._runners: dict[str, Runner] = {}
        self._launcher: asyncio.subprocess.Process | None = None
        self._socket: socket.socket | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing = False

    async def start(self) -> None:
        """Start the launcher and the first warm processes."""
        await self._start_launcher()
        for _ in range(self._warm):
            await self._spawn_warm()

    async def _start_launcher(self) -> None:
        ours, theirs = socket.socketpair()
        os.set_inheritable(theirs.fileno(), True)
        self._launcher = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-I", str(Path(__file__).with_name("launcher.py")), str(theirs.fileno())),
            stdin=asyncio.subprocess.DEVNULL,
            pass_fds=(theirs.fileno(),),
            start_new_session=True,
        )
        theirs.close()
        self._socket = ours
        ours.setblocking(False)
        self._go(self._listen(ours))

    def _go(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _listen(self, ours: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        buffer = b""
        while True:
            try:
                data = await loop.sock_recv(ours, 65536)
            except OSError:
                data = b""
            if not data:
                break
            *lines, buffer = (buffer + data).split(b"\n")
            for line in lines:
                event = json.loads(line)
                runner = self._runners.get(event["slot"])
                if runner is None:
                    continue
                if event["event"] == "spawned":
                    runner.pid = event["pid"]
                elif not runner.exited.done():
                    runner.exited.set_result(event["code"])
                    self._forget(runner)
        if not self._closing:
            log.error("launcher.died")
            self._socket = None
            for runner in list(self._runners.values()):
                if runner.pid is not None:
                    with contextlib.suppress(OSError):
                        os.killpg(runner.pid, 9)
                if not runner.exited.done():
                    runner.exited.set_result(-9)
                self._forget(runner)
            await self._start_launcher()

    def _forget(self, runner: Runner) -> None:
        self._runners.pop(runner.slot, None)
        with contextlib.suppress(ValueError):
            self._idle.remove(runner)

    def _command(self, **command: Any) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.send(json.dumps(command).encode() + b"\n")

    async def _spawn(self) -> Runner:
        slot = secrets.token_hex(6)
        ours, theirs = socket.socketpair()
        out_read, out_write = os.pipe()
        err_read, err_write = os.pipe()
        runner = Runner(slot, ours, await _reader(out_read), await _reader(err_read))
        runner.reader, runner.writer = await asyncio.open_connection(sock=ours, limit=1 << 20)
        self._runners[slot] = runner
        environment = {k: v for k, v in os.environ.items() if not k.startswith(_HIDDEN)}
        command = {
            "do": "spawn",
            "slot": slot,
            "argv": [sys.executable, "-m", "niyanta.worker.runner", json.dumps(self._app)],
            "env": environment,
            "cwd": os.getcwd(),
        }
        if self._socket is None:
            raise TransientError("the launcher is not running")
        data = json.dumps(command).encode() + b"\n"
        socket.send_fds(self._socket, [data[:1]], [theirs.fileno(), out_write, err_write])
        await asyncio.get_running_loop().sock_sendall(self._socket, data[1:])
        theirs.close()
        os.close(out_write)
        os.close(err_write)
        return runner

    async def _spawn_warm(self) -> None:
        if not self._closing and len(self._idle) < self._warm:
            self._idle.append(await self._spawn())

    async def take(self) -> Runner:
        """A process that has imported the app, for one workload.

        Raises:
            TransientError: It ended before it was ready.
        """
        while self._idle:
            runner = self._idle.popleft()
            if not runner.exited.done():
                break
        else:
            runner = await self._spawn()
        self._go(self._spawn_warm())
        ready = await runner.receive()
        if not isinstance(ready, channel.Ready):
            words = (await runner.stderr.read(4000)).decode(errors="replace").strip().splitlines()
            raise TransientError(f"the workload's process ended before it began: {' '.join(words[-1:])}")
        return runner

    def kill(self, runner: Runner, *, at_once: bool = False) -> None:
        """End a process and all its descendants: SIGTERM, five seconds, SIGKILL; or SIGKILL now."""
        self._command(do="kill_now" if at_once else "kill", slot=runner.slot)

    def mark_exclusive(self, runner: Runner) -> None:
        """End it before the worker's lease can be handed on, should the agent be frozen."""
        self._command(do="exclusive", slot=runner.slot)

    def renew(self, seconds: float, exclusive_seconds: float) -> None:
        """Tell the launcher how long it may let things run without hearing from us again."""
        self._command(do="alive", seconds=float(seconds), exclusive_seconds=float(exclusive_seconds))

    async def close(self) -> None:
        """End everything."""
        self._closing = True
        if self._socket is not None:
            # A close alone would not reach the launcher while the event loop still reads from the socket.
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
        if self._launcher is not None:
            await self._launcher.wait()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._socket is not None:
            self._socket.close()
        for runner in list(self._runners.values()):
            if runner.writer is not None:
                runner.writer.close()


async def _reader(fd: int) -> asyncio.StreamReader:
    reader = asyncio.StreamReader(limit=_MOST_LINE_BYTES)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(fd, "rb", 0)
    )
    return reader


async def lines_of(reader: asyncio.StreamReader) -> Any:
    """Lines of text, each at most 8 KiB; longer ones are cut into several."""
    while True:
        try:
            line = await reader.readuntil(b"\n")
        except asyncio.IncompleteReadError as end:
            line = end.partial
            if not line:
                return
        except asyncio.LimitOverrunError as over:
            line = await reader.read(max(1, over.consumed))
        yield line.decode(errors="replace").rstrip("\r\n").replace("\0", "\ufffd")
