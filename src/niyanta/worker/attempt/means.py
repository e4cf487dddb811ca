"""What an attempt works with, and where."""

from __future__ import annotations

import contextlib
import functools
import os
import secrets
import signal
import stat
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from niyanta.errors import CheckpointError
from niyanta.wire.broker import Broker
from niyanta.wire.messages import AttemptRef
from niyanta.wire.objects import ObjectStore
from niyanta.wire.subjects import Subjects
from niyanta.worker.handlers.children import Guard
from niyanta.worker.launcher.folders import empty, hand_over, make_folder, remove_folder, remove_tree
from niyanta.worker.launcher.pool import ProcessPool
from niyanta.worker.outbox import Outbox, Who
from niyanta.worker.runner import channel

if TYPE_CHECKING:
    from niyanta.telemetry.lines import Lines
    from niyanta.telemetry.spans import Spans

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
    confirm: Callable[[AttemptRef], Coroutine[Any, Any, None]]
    """Waits until the service has said that an attempt is this worker's at this moment."""
    scratch: Path
    """Where attempts make their own directories."""
    object_store: ObjectStore | None = None
    """For checkpoints too large for the database; None where there is none."""
    pool: ProcessPool | None = None
    """None in a worker whose handlers are all inline."""
    spans: Spans | None = None
    """Exports what happens in attempts; None where nobody wants it."""
    lines: Lines | None = None
    """Exports what attempts log; None where nobody wants it."""

    @functools.cached_property
    def guard(self) -> Guard:
        """Keeps what is the agent's from processes that inline handlers fork."""
        return Guard(_AGENT_SIGNALS, self.pool.descriptors if self.pool is not None else tuple)


class AttemptFolder:
    """The attempt's own directory: its scratch directory, and checkpoints in files.

    It is made when it is first asked for: a small inline attempt that needs no files touches no disk. One in a
    process of its own has that process's folder (`move_into`).
    """

    def __init__(self, scratch: Path, name: str) -> None:
        self._scratch = scratch
        self._name = name
        self.work_name = channel.WORK
        """Where in the directory `work` is."""

    @functools.cached_property
    def path(self) -> Path:
        """The directory, made when it is first asked for."""
        return make_folder(self._scratch / f"{self._name}-{secrets.token_hex(4)}")

    @property
    def work(self) -> Path:
        """What a handler sees as its ``work_dir``."""
        return self.path / self.work_name

    @property
    def checkpoint(self) -> Path:
        """The checkpoint that the attempt starts from."""
        return self.path / channel.CHECKPOINT

    async def move_into(self, folder: Path, *, again: bool, user: int = 0) -> None:
        """Have a process's folder from now on, with the checkpoint that the attempt starts from.

        Args:
            folder: The process's.
            again: Whether another attempt was in it before: what that knew as its directory must not be ours.
            user: The process's user id; 0 for the worker's.
        """
        own = vars(self).pop("path", None)
        if own is not None:
            with contextlib.suppress(FileNotFoundError):
                if user:  # while the process can't put something else there
                    os.chown(own / channel.CHECKPOINT, user, user)
                os.replace(own / channel.CHECKPOINT, folder / channel.CHECKPOINT)
            await remove_folder(own)
        vars(self)["path"] = folder
        if again:
            self.work_name = f"{channel.WORK}/{secrets.token_hex(6)}"
            os.mkdir(self.work, 0o700)
            hand_over(self.work, user)

    def new_file(self) -> Path:
        """A name for a file that no process of the attempt can reach."""
        return self._scratch / f"{self._name}-{secrets.token_hex(8)}"

    def take(self, number: int) -> Path:
        """Take a checkpoint that is on its way out away from the process that has written it.

        Raises:
            CheckpointError: What lies there is no file: a link could lead to what only the worker may read.
        """
        taken = self.new_file()
        try:
            os.rename(self.path / channel.saving_name(number), taken)
            found = os.lstat(taken)
        except OSError as exc:
            raise CheckpointError(f"the checkpoint's file is gone: {exc.strerror}") from exc
        if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
            remove_tree(taken) if stat.S_ISDIR(found.st_mode) else os.unlink(taken)
            raise CheckpointError("the checkpoint's file is none")
        return taken

    async def give_back(self) -> None:
        """Leave the process its folder, for the next attempt: what this one worked on is removed."""
        await empty(self.path / channel.WORK)
        self.checkpoint.unlink(missing_ok=True)
        del vars(self)["path"]

    async def remove(self) -> None:
        """Remove it with all that is in it."""
        if (path := vars(self).get("path")) is not None:
            await remove_folder(path)
