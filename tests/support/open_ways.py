"""Programs and app made reachable to users other than the one that runs the tests, for the time of a test.

A root's interpreter often lies in its home, which is closed to others. In a view of the file system that only this
process and what it starts have, such a folder is replaced by one that others can pass through, with the same in it.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import niyanta
from niyanta.worker.box import hiding

_BOUND, _WITH_ALL_BELOW, _DETACHED = 0x1000, 0x4000, 2
_libc = ctypes.CDLL(None, use_errno=True)


def _mount(source: str, target: str, kind: bytes | None, flags: int, options: bytes | None) -> None:
    if _libc.mount(source.encode(), os.fsencode(target), kind, flags, options) != 0:
        raise OSError(ctypes.get_errno(), f"mounting {target}")


def _closed() -> Path | None:
    for wanted in (Path(sys.executable).resolve(), Path(sys.prefix), Path(sys.base_prefix), Path(niyanta.__file__)):
        for folder in reversed(wanted.parents):
            if not folder.stat().st_mode & 0o001:
                return folder
    return None


@contextlib.contextmanager
def open_ways() -> Iterator[None]:
    """Open the ways, and close them afterwards.

    Raises:
        OSError: The machine gives no such view.
    """
    opened: list[Path] = []
    try:
        while (closed := _closed()) is not None:
            if not opened:
                hiding.separate(hiding.NEW_MOUNTS, as_user=False)
            held = os.open(closed, os.O_PATH | os.O_DIRECTORY)
            try:
                _mount("none", str(closed), b"tmpfs", 0, b"mode=755")
                opened.append(closed)
                for name in os.listdir(f"/proc/self/fd/{held}"):
                    source, target = f"/proc/self/fd/{held}/{name}", closed / name
                    if os.path.islink(source):
                        target.symlink_to(os.readlink(source))
                        continue
                    target.mkdir() if os.path.isdir(source) else target.touch()
                    _mount(source, str(target), None, _BOUND | _WITH_ALL_BELOW, None)
            finally:
                os.close(held)
        yield
    finally:
        for folder in reversed(opened):
            _libc.umount2(os.fsencode(str(folder)), _DETACHED)
