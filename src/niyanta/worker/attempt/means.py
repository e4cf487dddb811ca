"""What an attempt works with, and where."""

from __future__ import annotations

import asyncio
import functools
import shutil
import signal
import tempfile
from dataclasses import dataclass
from pathlib import Path

from niyanta.wire.broker import Broker
from niyanta.wire.objects import ObjectStore
from niyanta.wire.subjects import Subjects
from niyanta.worker.handlers.children import Guard
from niyanta.worker.launcher.pool import ProcessPool
from niyanta.worker.outbox import Outbox, Who
from niyanta.worker.runner import channel

__all__ = ["AttemptFolder", "Means"]

_AGENT_SIGNALS = (signal.SIGTERM, signal.SIGINT)
"""What a process that an inline handler forks must not take for the agent."""


@dataclass(frozen=True, kw_only=True)
class Means:
    """What all attempts of one incarnation share."""

    who: Who
    broker: Broker
    subjects: Subjects
    outbox: Outbox
    scratch: Path
    """Where attempts make their own directories."""
    object_store: ObjectStore | None = None
    """For checkpoints too large for the database; None where there is none."""
    pool: ProcessPool | None = None
    """None in a worker whose handlers are all inline."""

    @functools.cached_property
    def guard(self) -> Guard:
        """Keeps what is the agent's from processes that inline handlers fork."""
        return Guard(_AGENT_SIGNALS, self.pool.descriptors if self.pool is not None else tuple)


class AttemptFolder:
    """The attempt's own directory: its scratch directory, and checkpoints in files.

    It is made when it is first asked for: a small inline attempt that needs no files touches no disk.
    """

    def __init__(self, scratch: Path, name: str) -> None:
        self._scratch = scratch
        self._name = name

    @functools.cached_property
    def path(self) -> Path:
        """The directory, made when it is first asked for."""
        made = Path(tempfile.mkdtemp(prefix=f"{self._name}-", dir=self._scratch))
        (made / channel.WORK).mkdir()
        return made

    @property
    def work(self) -> Path:
        """What a handler sees as its ``work_dir``."""
        return self.path / channel.WORK

    @property
    def checkpoint(self) -> Path:
        """The checkpoint that the attempt starts from."""
        return self.path / channel.CHECKPOINT

    def saving(self, number: int) -> Path:
        """A checkpoint on its way out."""
        return self.path / channel.saving_name(number)

    async def remove(self) -> None:
        """Remove it with all that is in it."""
        if "path" not in vars(self):
            return
        try:
            self.work.rmdir()  # most are empty, and a thread would cost more than they do
            self.path.rmdir()
        except OSError:
            await asyncio.to_thread(shutil.rmtree, self.path, True)
