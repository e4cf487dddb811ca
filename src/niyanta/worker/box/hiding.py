"""Putting something empty in the place of folders that an attempt may not see, where those around are open to it.

Landlock can't take a part out of what is allowed. A mount can, in a view of the file system that is only ours.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Iterable, Sequence

from niyanta.worker.box.kernel import syscall

__all__ = ["hide", "inside"]

# linux/sched.h and linux/mount.h
_NEW_MOUNTS, _NEW_USER = 0x20000, 0x10000000
_READ_ONLY, _NO_SUID, _NO_DEVICES, _NO_PROGRAMS, _WITH_ALL_BELOW, _FOLLOWING = 1, 2, 4, 8, 0x4000, 0x80000


def inside(paths: Iterable[str], folders: Sequence[str]) -> list[str]:
    """Those paths that lie in one of the folders, or are one."""
    return [path for path in paths if any(f"{path}/".startswith(f"{folder.rstrip('/')}/") for folder in folders)]


def hide(paths: Sequence[str]) -> list[str]:
    """Cover these folders in the view of this process and all that it starts; gives those that are covered.

    For a single thread. What isn't there is left out.
    """
    there = [path for path in paths if os.path.isdir(path)]
    if not there:
        return []
    covered = []
    with contextlib.suppress(OSError):
        _have_own_view()
        _mount(b"none", b"/", None, _WITH_ALL_BELOW | _FOLLOWING, None)
        for path in there:
            options = _READ_ONLY | _NO_SUID | _NO_DEVICES | _NO_PROGRAMS
            _mount(b"none", os.fsencode(path), b"tmpfs", options, b"mode=0,size=4k")
            covered.append(path)
    return covered


def _have_own_view() -> None:
    user, group = os.geteuid(), os.getegid()
    try:
        syscall("unshare", _NEW_MOUNTS)
    except OSError:
        syscall("unshare", _NEW_MOUNTS | _NEW_USER)  # anybody may, where the machine's rules don't forbid it
        for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
            with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
                file.write(text)


def _mount(source: bytes, target: bytes, kind: bytes | None, flags: int, options: bytes | None) -> None:
    held = [None if word is None else ctypes.create_string_buffer(word) for word in (source, target, kind, options)]
    found = [0 if word is None else ctypes.addressof(word) for word in held]
    syscall("mount", found[0], found[1], found[2], flags, found[3])
