"""The folders that processes are shut in.

A process can do what it likes with what is in its two folders, but not move the folders themselves: a path up to
there leads where it led before, whatever a handler has put in the way.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
from pathlib import Path

from niyanta.worker.box.box import TEMPORARY, WORK

__all__ = ["empty", "hand_over", "make_folder", "remove_folder", "remove_tree"]

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW


def make_folder(path: Path, user: int = 0) -> Path:
    """Make a process's folder with the two in it.

    Args:
        path: Where.
        user: The id that the process takes; 0 for ours. The two become its own. The folder around them stays ours,
            closed to all but the process, so that it can't put something else in their place.
    """
    os.mkdir(path, 0o700)
    for name in (WORK, TEMPORARY):
        os.mkdir(path / name, 0o700)
        hand_over(path / name, user)
    if user:
        os.chown(path, -1, user)
        os.chmod(path, 0o710)  # noqa: S103 -- the group is the process alone
    return path


def hand_over(folder: Path, user: int) -> None:
    """Make a folder that user's own; of 0 it is already. What has come into its place is no folder of others."""
    if user:
        fd = os.open(folder, _FOLDER)
        try:
            os.fchown(fd, user, user)
        finally:
            os.close(fd)


async def remove_folder(path: Path) -> None:
    """Remove it with all that is in it. Idempotent."""
    try:
        for name in (WORK, TEMPORARY):
            os.rmdir(path / name)  # most are empty, and a thread would cost more than they do
        os.rmdir(path)
    except FileNotFoundError:
        return
    except OSError:
        await asyncio.to_thread(remove_tree, path)


async def empty(folder: Path) -> None:
    """Remove what is in a folder, but not the folder."""
    if os.listdir(folder):
        await asyncio.to_thread(_empty, folder)


def _empty(folder: Path) -> None:
    # By descriptor: a name that leads elsewhere by the time is not followed.
    fd = os.open(folder, _FOLDER)
    try:
        _clear(fd)
    finally:
        os.close(fd)


def remove_tree(path: Path | str) -> None:
    """Remove a folder with all that is in it. Never raises: what can't be removed stays."""
    with contextlib.suppress(OSError):
        fd = os.open(path, _FOLDER)
        try:
            _clear(fd)
        finally:
            os.close(fd)
        os.rmdir(path)


def _clear(top: int) -> None:
    """Empty a folder, whatever is in it and however deep.

    Folders are moved up to the first one before they are looked into: no path grows long, and nothing calls itself.
    """
    left = _without_files(top, top)
    while left:
        name = left.pop()
        with contextlib.suppress(OSError):
            fd = os.open(name, _FOLDER, dir_fd=top)
            try:
                left += _without_files(fd, top)
            finally:
                os.close(fd)
            os.rmdir(name, dir_fd=top)


def _without_files(folder: int, top: int) -> list[str]:
    """Remove the files of a folder and move its folders up; gives their names there."""
    moved = []
    with os.scandir(folder) as found:
        entries = list(found)
    for entry in entries:
        with contextlib.suppress(OSError):
            if not entry.is_dir(follow_symlinks=False):
                os.unlink(entry.name, dir_fd=folder)
                continue
            _open_up(entry.name, folder)
            name = entry.name
            if folder != top:
                name = secrets.token_hex(12)
                os.rename(entry.name, name, src_dir_fd=folder, dst_dir_fd=top)
            moved.append(name)
    return moved


def _open_up(name: str, folder: int) -> None:
    """Let its owner do everything with a folder: who left it may have closed it."""
    fd = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
    try:
        os.chmod(f"/proc/self/fd/{fd}", 0o700)
    finally:
        os.close(fd)
