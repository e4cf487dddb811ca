"""What an attempt may change in its process beside Python's own state, and whether the next may find it so.

A process that is used again must be, for the kernel, what it was before: with the same threads, environment, limits,
signals and rights, and without children. The little that is changed often and put back for sure is put back. For the
rest the process isn't used again. Modules, caches and open files are left alone: they are what using it again is for.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import Iterable

from niyanta.worker.runner.exits import flush_files

__all__ = ["Surroundings"]

_FIELDS = frozenset(
    {"Uid", "Gid", "Groups", "SigBlk", "SigIgn", "SigCgt", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"}
    | {"NoNewPrivs", "Seccomp", "Cpus_allowed", "Mems_allowed"}
)
"""Of ``/proc/self/status``, proc_pid_status(5)."""
_ENDING_SECONDS = 0.1
"""For threads that are about to end, such as those of an event loop that was closed."""
_POLL_SECONDS = 0.001
_libc = ctypes.CDLL(None)
_MOST_MEMORY_SHARE = 0.5
"""Of its limit. Who has kept more than this might be ended in the next attempt for what was used in earlier ones."""


class Surroundings:
    """How the process is now, for `problem` to compare with.

    Args:
        memory_mb: The limit of its attempts.
        output: A descriptor of what it prints, beside the usual ones.
    """

    def __init__(self, memory_mb: int, output: int) -> None:
        self._most_kb = memory_mb * 1024 * _MOST_MEMORY_SHARE
        self._written = (output, 1, 2)
        status = _status()
        self._threads = int(status["Threads"])
        self._known = set(threading.enumerate())
        self._umask = int(status["Umask"], 8)
        self._status = _kept(status)
        self._memory_kb = _anonymous_kb(status)
        self._caught = _numbers(int(status["SigCgt"], 16))
        self._handlers = [signal.getsignal(number) for number in self._caught]
        self._at_end = signal.getsignal(signal.SIGTERM)
        self._limits = _read("/proc/self/limits")
        self._standing = _standing()
        self._streams = (sys.stdout, sys.stderr)
        self._environ = dict(os.environ)
        self._block = _environment_block()
        self._directory = os.getcwd()
        self._output = _identities(self._written)
        self._descriptors = set(os.listdir("/proc/self/fd"))

    def problem(self) -> str | None:
        """Put back what can be; gives why the process can't be used again, or None when it can."""
        try:
            self._put_back()
            if not self._descriptors.issuperset(os.listdir("/proc/self/fd")):
                flush_files()
            return self._difference()
        except Exception as exc:  # whatever the handler has done to the process, that it is unusual is enough
            return f"it can't be looked over ({type(exc).__name__}: {exc})"

    def _put_back(self) -> None:
        sys.stdout, sys.stderr = self._streams
        os.chdir(self._directory)
        os.umask(self._umask)
        signal.set_wakeup_fd(-1)
        if signal.getsignal(signal.SIGTERM) is not self._at_end:
            signal.signal(signal.SIGTERM, self._at_end)  # the attempt's own
        if _environment_block() != self._block or os.environ != self._environ:
            os.environ.clear()
            for entry in _environment_block():
                os.unsetenv(entry.partition(b"=")[0])
            os.environ.update(self._environ)

    def _difference(self) -> str | None:
        if _environment_block() != self._block:
            return "its environment can't be put back"
        if _identities(self._written) != self._output:
            return "its standard output or error is another"
        if (status := self._settled()) is None:
            return f"it has left {', '.join(self._left_threads()) or 'threads'} running"
        if _has_children():
            return "it has left a process running, or not waited for one"
        if changed := [name for name, value in _kept(status).items() if self._status.get(name) != value]:
            return f"it has changed what the kernel calls {', '.join(changed)}"
        if [signal.getsignal(number) for number in self._caught] != self._handlers:
            return "it has changed the handler of a signal"
        if _read("/proc/self/limits") != self._limits or _standing() != self._standing:
            return "it has changed the limits or the priority of its process"
        if (grown_kb := _anonymous_kb(status) - self._memory_kb) > self._most_kb:
            return f"it holds {grown_kb >> 10} MB more of memory than at first"
        return None

    def _left_threads(self) -> list[str]:
        return [one.name for one in threading.enumerate() if one not in self._known]

    def _settled(self) -> dict[str, str] | None:
        """The kernel's words on the process once it has no more threads than before; None if that takes too long."""
        deadline = time.monotonic() + _ENDING_SECONDS
        while int((status := _status())["Threads"]) != self._threads or self._left_threads():
            if time.monotonic() > deadline:
                return None
            time.sleep(_POLL_SECONDS)
        return status


def _read(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.read()


def _status() -> dict[str, str]:
    found = {}
    for line in _read("/proc/self/status").splitlines():
        name, _, value = line.partition(":")
        found[name] = value.strip()
    return found


def _anonymous_kb(status: dict[str, str]) -> int:
    """Its own memory, and that of the process it was forked from, as far as it is still shared."""
    return int(status["RssAnon"].split()[0])


def _kept(status: dict[str, str]) -> dict[str, str]:
    return {name: status[name] for name in _FIELDS if name in status}


def _numbers(mask: int) -> list[int]:
    """The signals in one of the kernel's sets."""
    return [number for number in range(1, signal.NSIG) if mask >> (number - 1) & 1]


def _standing() -> tuple[object, ...]:
    return (os.getpriority(os.PRIO_PROCESS, 0), os.sched_getscheduler(0), os.getpgid(0), os.getsid(0))


def _identities(descriptors: Iterable[int]) -> list[tuple[int, int]]:
    """What descriptors lead to."""
    return [(found.st_dev, found.st_ino) for found in map(os.fstat, descriptors)]


def _environment_block() -> list[bytes]:
    """The environment as a program that is executed would get it, however it was changed; sorted."""
    block = ctypes.POINTER(ctypes.c_char_p).in_dll(_libc, "environ")
    found: list[bytes] = []
    while block and (entry := block[len(found)]) is not None:
        found.append(entry)
    return sorted(found)


def _has_children() -> bool:
    with contextlib.suppress(ChildProcessError):
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        return True
    return False
