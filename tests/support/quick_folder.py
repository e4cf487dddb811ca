"""Where the servers that many tests share keep their files."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

__all__ = ["quick_folder"]

_MEMORY = Path("/dev/shm")  # in it is made a folder that nobody else can enter
_ROOM_BYTES = 4 * 2**30
_PREFIX = "niyanta-tests-"


@contextlib.contextmanager
def quick_folder(fallback: Path, memory: Path = _MEMORY, room_bytes: int = _ROOM_BYTES) -> Iterator[Path]:
    """A folder in memory, where there is room: a database for each test is hundreds of files to sync, each time.

    A server does in it all that it does elsewhere. Tests that kill servers or fill disks have their own, on the disk.
    """
    if not _fits(memory, room_bytes):
        yield fallback
        return
    with _locked(memory, fcntl.LOCK_EX):  # so that nobody sweeps away what isn't locked yet
        _sweep(memory)
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=memory))
        held = contextlib.ExitStack()
        held.enter_context(_locked(folder, fcntl.LOCK_SH))
    with held:
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _fits(memory: Path, room_bytes: int) -> bool:
    try:
        return os.access(memory, os.W_OK) and shutil.disk_usage(memory).free >= room_bytes
    except OSError:
        return False


@contextlib.contextmanager
def _locked(folder: Path, how: int) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, how)
        yield
    finally:
        os.close(descriptor)


def _sweep(memory: Path) -> None:
    """Take away what killed test processes left: nobody holds its lock."""
    for left in memory.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError), _locked(left, fcntl.LOCK_EX | fcntl.LOCK_NB):
            shutil.rmtree(left)
