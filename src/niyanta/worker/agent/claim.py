"""How a worker that was started again shows that the one before it is gone: it needn't wait for that one's lease.

An agent and its launcher hold a lock on a file that is named for the worker's id. The kernel frees it when both are
gone, and the launcher goes last, once it has ended all attempts. Into the file an agent writes its incarnation before
it registers. So whoever gets the lock knows that the incarnations which it finds there have ended, and everything
that they ran. Their names are secrets of the service and of that machine; nobody else can take an id over by them.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import json
import logging
import os
import tempfile
import time
from pathlib import Path

__all__ = ["WorkerClaim"]

log = logging.getLogger(__name__)

_MOST_REMEMBERED = 8
_MOST_BYTES = 4096
_LOOK_SECONDS = 0.05


class WorkerClaim:
    """One worker id's, in one system, for one user of this machine.

    Where the file can't be had there is no claim, and a worker that was killed is waited for as any other.

    Args:
        worker_id: The id; it fits a file's name.
        system: Tells systems apart that have a worker of the same id: broker and subjects, say.
        folder: For the files; one of the user's own in the machine's folder for such when None.

    Attributes:
        predecessors: Incarnations that have surely ended; known once it is taken.
    """

    def __init__(self, worker_id: str, system: str, folder: Path | None = None) -> None:
        digest = hashlib.sha256(system.encode()).hexdigest()[:16]
        self._folder = folder or Path(tempfile.gettempdir()) / f"niyanta-workers-{os.getuid()}"
        self._path = self._folder / f"{worker_id}-{digest}"
        self._fd: int | None = None
        self._own: list[str] = []
        self.predecessors: list[str] = []

    @property
    def descriptors(self) -> list[int]:
        """What the launcher has to hold open: the lock; nothing without a claim."""
        return [] if self._fd is None else [self._fd]

    async def take(self, patience_seconds: float) -> bool:
        """Get the lock; whether it came free in time."""
        try:
            fd = self._open()
        except OSError as exc:
            log.info("claim.not_possible", extra={"error": str(exc)})
            return False
        deadline = time.monotonic() + patience_seconds
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                if time.monotonic() >= deadline:
                    os.close(fd)
                    return False
            await asyncio.sleep(_LOOK_SECONDS)
        self._fd = fd
        self.predecessors = _read(fd)
        return True

    def _open(self) -> int:
        self._folder.mkdir(mode=0o700, exist_ok=True)
        found = self._folder.lstat()
        if found.st_uid != os.getuid() or found.st_mode & 0o077:
            raise PermissionError(f"{self._folder} isn't this user's alone")
        return os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)

    def record(self, incarnation: str) -> None:
        """Write down who is about to register, for whoever comes after."""
        if self._fd is None:
            return
        self._own = [*self._own, incarnation][-_MOST_REMEMBERED:]
        # Those before us as well, until we have registered: should we end first, the service still knows them.
        written = json.dumps([*self.predecessors, *self._own][-2 * _MOST_REMEMBERED :]).encode()
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, written, 0)

    def release(self) -> None:
        """Let others have it, once the launcher is gone, too. Idempotent."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def _read(fd: int) -> list[str]:
    try:
        found = json.loads(os.pread(fd, _MOST_BYTES, 0) or b"[]")
    except ValueError:  # its writer was killed half way, before it registered under that name
        return []
    return [each for each in found if isinstance(each, str)][-_MOST_REMEMBERED:] if isinstance(found, list) else []
