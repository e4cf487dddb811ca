"""The processes that a command starts, and starts again: of ``niyanta dev``, and coordinators side by side."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any

from niyanta.worker.handlers.app import made_id

__all__ = ["Child", "how_it_ended", "keep", "unless"]

_STOP_SECONDS = 45.0
_LONG_SECONDS = 30.0
"""Who ran for so long has started well."""
_LEAST_PAUSE_SECONDS = 0.2
_MOST_PAUSE_SECONDS = 10.0


class Child:
    """A ``niyanta`` command in a process of its own, in a session of its own.

    It ends by itself when this process is gone, however that comes.

    Args:
        name: What people know it by.
        argv: After ``niyanta``.
        environment: Added to this process's own.
        log: Gets all that it says; None: that goes where this process's words go.
        gets_id: Whether it is a worker that has no id. It gets one that it keeps when it is started again: so it
            takes the place of the one that was killed at once, without waiting for that one's lease.
    """

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        environment: Mapping[str, str],
        log: Path | None = None,
        *,
        gets_id: bool = False,
    ) -> None:
        self.name = name
        self._argv = argv
        self._environment = environment
        self._own = {"NIYANTA_ID": made_id()} if gets_id else {}
        self._log = log
        self.process: asyncio.subprocess.Process | None = None
        self._pipe: int | None = None

    def twin(self) -> Child:
        """The same again, not started; as a worker it is another."""
        return Child(self.name, self._argv, self._environment, self._log, gets_id=bool(self._own))

    async def start(self) -> None:
        """Start it, anew when it has ended."""
        self._close_pipe()
        read, self._pipe = os.pipe()
        with contextlib.nullcontext() if self._log is None else self._log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "niyanta.cli.main", *self._argv),
                env={**os.environ, **self._environment, **self._own, "NIYANTA_PARENT_FD": str(read)},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(read,),
                start_new_session=True,
            )
        os.close(read)

    @property
    def has_ended(self) -> bool:
        """Whether it was started and is gone."""
        return self.process is not None and self.process.returncode is not None

    async def wait(self) -> int:
        """How it ended, once it has."""
        assert self.process is not None  # noqa: S101 -- started before
        return await self.process.wait()

    def last_words(self) -> str:
        """The last line of its log."""
        assert self._log is not None  # noqa: S101 -- asked of those that have one
        lines = self._log.read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"

    async def stop(self) -> None:
        """SIGTERM, then SIGKILL. Idempotent."""
        if self.process is not None and self.process.returncode is None:
            self.process.terminate()
            try:
                async with asyncio.timeout(_STOP_SECONDS):
                    await self.process.wait()
            except TimeoutError:
                self.process.kill()
                await self.process.wait()
        self._close_pipe()

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, if it runs."""
        if self.process is not None and self.process.returncode is None:
            self.process.send_signal(number)

    def _close_pipe(self) -> None:
        if self._pipe is not None:
            os.close(self._pipe)
            self._pipe = None


async def keep(child: Child, has_ended: Callable[[int], None], is_back: Callable[[], None] = lambda: None) -> None:
    """Start it again whenever it ends, until cancelled; after ever longer pauses where it ends soon.

    Args:
        child: Started.
        has_ended: Is told how.
        is_back: Is called when it was started again.
    """
    clock = asyncio.get_running_loop().time
    pause = _LEAST_PAUSE_SECONDS
    while True:
        began = clock()
        code = await child.wait()
        if clock() - began > _LONG_SECONDS:
            pause = _LEAST_PAUSE_SECONDS
        has_ended(code)
        await asyncio.sleep(pause)
        pause = min(_MOST_PAUSE_SECONDS, pause * 2)
        await child.start()
        is_back()


async def unless(stop: asyncio.Event, work: Coroutine[Any, Any, object]) -> bool:
    """Do the work; False when the event came first, which ends the work."""
    task, stopping = asyncio.create_task(work), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait([task, stopping], return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
        return task.done()
    finally:
        for pending in (task, stopping):
            pending.cancel()
        await asyncio.gather(task, stopping, return_exceptions=True)


def how_it_ended(code: int) -> str:
    """An exit status or a signal, in words."""
    return f"exit status {code}" if code >= 0 else signal.Signals(-code).name
