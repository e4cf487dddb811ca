"""The folders that processes are shut in.

A process can do what it likes with what is in its two folders, but not move the folders themselves: a path up to
there leads where it led before, whatever a handler has put in the way.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from pathlib import Path

from niyanta.worker.box.box import TEMPORARY, WORK

__all__ = ["empty", "make_folder", "remove_folder"]


def make_folder(path: Path) -> Path:
    """Make a process's folder with the two in it."""
    for made in (path, path / WORK, path / TEMPORARY):
        os.mkdir(made, 0o700)
    return path


async def remove_folder(path: Path) -> None:
    """Remove it with all that is in it. Idempotent."""
    try:
        for name in (WORK, TEMPORARY):
            os.rmdir(path / name)  # most are empty, and a thread would cost more than they do
        os.rmdir(path)
    except FileNotFoundError:
        return
    except OSError:
        await asyncio.to_thread(shutil.rmtree, path, True)


async def empty(folder: Path) -> None:
    """Remove what is in a folder, but not the folder."""
    if os.listdir(folder):
        await asyncio.to_thread(_empty, folder)


def _empty(folder: Path) -> None:
    # By descriptor: a name that leads elsewhere by the time is not followed.
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        for name in os.listdir(fd):
            with contextlib.suppress(OSError):
                os.unlink(name, dir_fd=fd)
                continue
            shutil.rmtree(name, ignore_errors=True, dir_fd=fd)
    finally:
        os.close(fd)
