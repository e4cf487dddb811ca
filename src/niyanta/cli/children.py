"""The processes that ``niyanta dev`` starts, and starts again."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from niyanta.worker.handlers.app import made_id

__all__ = ["Child", "how_it_ended"]

_STOP_SECONDS = 45.0


class Child:
    """A ``niyanta`` command in a process of its own, in a session of its own, with a log file.

    It ends by itself when this process is gone, however that comes.

    Args:
        name: What people know it by.
        argv: After ``niyanta``.
        environment: Added to this process's own.
        log: Gets all that it says.
        gets_id: Whether it is a worker that has no id. It gets one that it keeps when it is started again: so it
            takes the place of the one that was killed at once, without waiting for that one's lease.
    """

    def __init__(
        self, name: str, argv: Sequence[str], environment: Mapping[str, str], log: Path, *, gets_id: bool = False
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
        with self._log.open("ab") as log:
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

    def _close_pipe(self) -> None:
        if self._pipe is not None:
            os.close(self._pipe)
            self._pipe = None


def how_it_ended(code: int) -> str:
    """An exit status or a signal, in words."""
    return f"exit status {code}" if code >= 0 else signal.Signals(-code).name
