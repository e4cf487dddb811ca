"""Views of the machine that only an attempt's process has: namespaces(7).

Landlock can't take a part out of what is allowed. A mount can, in a view of the file system that is only ours.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import re
import socket
import stat
import struct
from collections.abc import Iterable, Sequence

from niyanta.worker.box.kernel import syscall

__all__ = [
    "EMPTIED",
    "NEW_IPC",
    "NEW_MOUNTS",
    "NEW_NETWORK",
    "cover",
    "inside",
    "loop_back",
    "own_memory_files",
    "own_processes_only",
    "own_tmp",
    "read_only",
    "separate",
    "without_sockets",
]

# linux/sched.h and linux/mount.h
NEW_MOUNTS, NEW_IPC, NEW_NETWORK = 0x20000, 0x08000000, 0x40000000
_NEW_USER = 0x10000000
_READ_ONLY, _NO_SUID, _NO_DEVICES, _NO_PROGRAMS, _BOUND, _WITH_ALL_BELOW, _FOLLOWING = (
    1,
    2,
    4,
    8,
    0x1000,
    0x4000,
    0x80000,
)
_TMP = "/tmp"  # noqa: S108 -- becomes ours
TEMPORARY = "tmp"
"""In an attempt's folder: for temporary files, and what else programs keep in a home directory."""
EMPTIED = ("/run", "/var/run", _TMP, "/var/tmp")  # noqa: S108 -- become ours
"""Folders in which a process that has no strange sockets sees only what it may open."""
_HERE = -100
"""AT_FDCWD, linux/fcntl.h."""
_MADE_READ_ONLY = struct.pack("QQQQ", 1, 0, 0, 0)
"""struct mount_attr, linux/mount.h."""
_OUT_OF_REACH = (errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.EINVAL)
"""Of a mount that lies below another one by now."""
_ENTERED = ("/proc", "/sys/fs/cgroup")
"""What is written to by a process that is forked in here, before its own box."""
_SET_FLAGS = 0x8914
"""SIOCSIFFLAGS, linux/sockios.h."""
_UP_AND_RUNNING = 0x41


def inside(paths: Iterable[str], folders: Sequence[str]) -> list[str]:
    """Those paths that lie in one of the folders, or are one."""
    return [path for path in paths if any(f"{path}/".startswith(f"{folder.rstrip('/')}/") for folder in folders)]


def separate(kinds: int, *, as_user: bool = True) -> None:
    """Give this process, and all that it starts, views of its own. For a single thread.

    Args:
        kinds: Of what.
        as_user: Whether a view of users may come with them, in which there is only this process's own.

    Raises:
        OSError: The machine's rules forbid it.
    """
    user, group = os.geteuid(), os.getegid()
    try:
        syscall("unshare", kinds)
    except OSError:
        if not as_user:
            raise
        syscall("unshare", kinds | _NEW_USER)  # anybody may, where the machine's rules don't forbid it
        for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
            with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
                file.write(text)
    if kinds & NEW_MOUNTS:
        _mount(b"none", "/", None, _WITH_ALL_BELOW | _FOLLOWING, None)


def cover(paths: Sequence[str]) -> list[str]:
    """Put something empty in the place of these folders; gives those that are covered."""
    covered = []
    with contextlib.suppress(OSError):
        for path in paths:
            options = _READ_ONLY | _NO_SUID | _NO_DEVICES | _NO_PROGRAMS
            _mount(b"none", path, b"tmpfs", options, b"mode=0,size=4k")
            covered.append(path)
    return covered


def own_tmp(folder: str, opened: Iterable[str]) -> None:
    """Have the temporary files of an attempt's folder where programs look for them.

    Args:
        folder: The attempt's.
        opened: What it may open besides: that of it which lies there, such as the app, stays.

    Raises:
        OSError: The kernel refuses.
    """
    _emptied(_TMP, {folder, *opened}, (os.fsencode(f"{folder}/{TEMPORARY}"), _TMP, None, _BOUND, None))


def without_sockets(kept: Iterable[str]) -> None:
    """Leave no socket in the file system that is another program's, but for what is kept.

    Nothing else keeps a process from connecting to one, as that opens no file. The folders in which most of them are
    made are emptied, so that those made later aren't seen either; elsewhere those are covered that are there now.

    Raises:
        OSError: The kernel refuses.
    """
    kept = [*kept]
    elsewhere = [path for path in _sockets() if not inside([path], [*EMPTIED, *kept])]
    for place in EMPTIED:
        if os.path.isdir(place) and not os.path.islink(place) and not inside([place], kept):
            _emptied(place, kept, (b"none", place, b"tmpfs", _NO_SUID | _NO_DEVICES, b"mode=755,size=1m"))
    for path in elsewhere:
        with contextlib.suppress(FileNotFoundError):
            _mount(b"/dev/null", path, None, _BOUND, None)


def _sockets() -> list[str]:
    """Paths of all sockets that have one."""
    with open("/proc/net/unix", encoding="utf-8", errors="surrogateescape") as file:
        paths = {line.rstrip("\n").split(None, 7)[-1] for line in file}
    return sorted(path for path in paths if path.startswith("/") and _is_socket(path))


def _is_socket(path: str) -> bool:
    """Whether it is there for us; where we may not look, we can't connect either."""
    try:
        return stat.S_ISSOCK(os.stat(path).st_mode)
    except OSError:
        return False


def _emptied(place: str, kept: Iterable[str], mount: tuple[bytes, str, bytes | None, int, bytes | None]) -> None:
    """Mount something over a folder, and put those paths in it that are kept where they were."""
    with contextlib.ExitStack() as stack:
        held: dict[str, int] = {}
        for path in sorted({*kept}):
            if path == place or not inside([path], [place]) or inside([path], [*held]):
                continue
            with contextlib.suppress(OSError):
                held[path] = os.open(path, os.O_PATH | os.O_CLOEXEC)
                stack.callback(os.close, held[path])
        stack.callback(os.umask, os.umask(0o022))
        _mount(*mount)
        for path, fd in held.items():  # covered by now
            if stat.S_ISDIR(os.fstat(fd).st_mode):
                os.makedirs(path, exist_ok=True)
            else:
                os.makedirs(os.path.dirname(path), exist_ok=True)
                os.close(os.open(path, os.O_CREAT | os.O_CLOEXEC, 0o600))
            _mount(f"/proc/self/fd/{fd}".encode(), path, None, _BOUND | _WITH_ALL_BELOW, None)


def own_memory_files() -> None:
    """Have files in memory of our own.

    Raises:
        OSError: The kernel refuses.
    """
    _mount(b"none", "/dev/shm", b"tmpfs", _NO_SUID | _NO_DEVICES, b"mode=1777")  # noqa: S108 -- becomes ours


def own_processes_only() -> None:
    """In a view of our own: have ``/proc`` show a process only those that it may look into.

    Which these are is Landlock's to say, so the processes of one attempt see each other and no others.

    Raises:
        OSError: The kernel refuses: only root of the machine may, as all of its processes are in there.
    """
    _mount(b"proc", "/proc", b"proc", _NO_SUID | _NO_DEVICES | _NO_PROGRAMS, b"hidepid=ptraceable")


def read_only(writable: Iterable[str]) -> None:
    """Leave nothing to be changed but what lies in these paths, and among processes and their groups.

    Landlock looks after contents and names, and not after modes, owners, times and attributes: those of all that the
    worker's user owns could be changed.

    Raises:
        OSError: The kernel refuses.
    """
    kept: list[str] = []
    for path in sorted({os.path.realpath(path) for path in writable}):
        if not inside([path], kept) and os.path.exists(path):
            kept.append(path)
            if not os.path.ismount(path):
                _mount(os.fsencode(path), path, None, _BOUND | _WITH_ALL_BELOW, None)
    for place in _mounts():
        if inside([place], [*kept, *_ENTERED]):
            continue
        try:
            syscall("mount_setattr", _HERE, os.fsencode(place), 0, _MADE_READ_ONLY, len(_MADE_READ_ONLY))
        except OSError as exc:
            if exc.errno not in _OUT_OF_REACH:
                raise


def _mounts() -> set[str]:
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        return {re.sub(r"\\(\d{3})", lambda found: chr(int(found[1], 8)), line.split(" ")[4]) for line in file}


def loop_back() -> None:
    """In a network of our own: let its processes reach one another.

    Raises:
        OSError: The kernel refuses.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        fcntl.ioctl(asking, _SET_FLAGS, struct.pack("16sh14x", b"lo", _UP_AND_RUNNING))


def _mount(source: bytes, target: str, kind: bytes | None, flags: int, options: bytes | None) -> None:
    words = (source, os.fsencode(target), kind, options)
    held = [None if word is None else ctypes.create_string_buffer(word) for word in words]
    found = [0 if word is None else ctypes.addressof(word) for word in held]
    syscall("mount", found[0], found[1], found[2], flags, found[3])
