"""``niyanta`` as people and programs run it, as a client of a system."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import pty
import struct
import sys
import termios
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, NamedTuple

import pytest

from support.system import System

__all__ = ["Run", "Shown", "Start", "run", "start"]


class Shown(NamedTuple):
    """What a command printed, and its exit status."""

    out: str
    err: str
    code: int

    @property
    def json(self) -> Any:
        assert self.code == 0, self
        return json.loads(self.out)


Run = Callable[..., Coroutine[Any, Any, Shown]]
Start = Callable[..., Awaitable[asyncio.subprocess.Process]]


@pytest.fixture
def start(system: System) -> Start:
    """Start ``niyanta`` as ``cust_a`` or whoever ``key`` names, with another standard output than a pipe if given."""

    async def call(
        *words: str, key: str = "cust_a", stdout: int = asyncio.subprocess.PIPE
    ) -> asyncio.subprocess.Process:
        unwanted = ("COLUMNS", "NO_COLOR", "FORCE_COLOR")
        own = {k: v for k, v in os.environ.items() if not k.startswith("NIYANTA_") and k not in unwanted}
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "niyanta.cli.main", *words),
            env={**own, "NIYANTA_URL": system.url(""), "NIYANTA_API_KEY": system.keys[key]},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=stdout,
            stderr=asyncio.subprocess.PIPE,
        )

    return call


@pytest.fixture
def run(start: Start) -> Run:
    """Run ``niyanta`` to its end, on a terminal with so many ``columns`` if they are given."""

    async def call(*words: str, key: str = "cust_a", columns: int | None = None) -> Shown:
        async with asyncio.timeout(60):
            if columns is None:
                process = await start(*words, key=key)
                out, err = await process.communicate()
            else:
                ours, theirs = pty.openpty()
                fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
                process = await start(*words, key=key, stdout=theirs)
                os.close(theirs)
                _, err = await process.communicate()
                out = await asyncio.to_thread(_everything, ours)
        assert b"Traceback" not in err, err.decode()
        return Shown(out.decode(), err.decode(), process.returncode or 0)

    return call


def _everything(terminal: int) -> bytes:
    """All that was written to a terminal whose other side is closed."""
    found = b""
    with contextlib.suppress(OSError):  # which is how its end shows
        while more := os.read(terminal, 65536):
            found += more
    os.close(terminal)
    return found
