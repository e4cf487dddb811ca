"""Cgroups for the attempts of one launcher: limits that the kernel keeps, and a kill that nothing escapes.

What the machine has is used: version 2 for the controllers that can be enabled there, version 1 for the others. A
version 2 tree without controllers, as hybrid machines have it, still finds and kills every process of an attempt.

A launcher makes one directory per tree beside itself, ``niyanta-…``, and in it one for each attempt. It holds a lock
on its directory. The lock goes with the process, however that ends, so whoever can take it may clean up.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Cgroups", "Group", "Hierarchy", "hierarchies"]

_WANTED = frozenset({"memory", "pids", "cpu"})
_PREFIX = "niyanta-"
_LEAF = "agent.niyanta"
"""Where agent and launcher go when version 2 asks for a group without processes of its own."""
_PERIOD_MICROSECONDS = 100_000


@dataclass(frozen=True)
class Hierarchy:
    """A mounted tree of cgroups, and our own place in it."""

    version: int
    controllers: frozenset[str]
    top: Path
    own: Path


def hierarchies(mountinfo: str, memberships: str) -> list[Hierarchy]:
    """The trees by the text of ``/proc/self/mountinfo`` and ``/proc/self/cgroup``; version 2 first."""
    mine: dict[str, str] = {}
    for line in memberships.splitlines():
        _, attached, path = line.split(":", 2)
        mine.update(dict.fromkeys(attached.split(","), path))
    found = []
    for line in mountinfo.splitlines():
        fields, _, tail = line.partition(" - ")
        root, point = fields.split()[3:5]
        kind, _, options = tail.split()[:3]
        names: frozenset[str]
        if kind == "cgroup2":
            names = frozenset({""})
        elif kind == "cgroup":
            names = _WANTED & set(options.split(","))
        else:
            continue
        name = next((n for n in names if n in mine), None)
        if name is not None:
            # In a container the mount may begin at our own group, or the path may be the host's.
            inside = os.path.relpath(mine[name], root) if mine[name].startswith(root) else "."
            version = 2 if kind == "cgroup2" else 1
            found.append(Hierarchy(version, names - {""}, Path(point), Path(point) / inside))
    return sorted(found, key=lambda h: -h.version)


@dataclass
class _Tree:
    version: int
    controllers: set[str]
    directory: Path
    lock: int


class Cgroups:
    """The groups of one launcher.

    Attributes:
        controllers: For each limit that the kernel keeps (``memory``, ``pids``, ``cpu``): the version that does.
    """

    def __init__(self, *, wanted: bool = True) -> None:
        self.controllers: dict[str, int] = {}
        self._trees: list[_Tree] = []
        if not wanted:
            return
        for hierarchy in hierarchies(_read("/proc/self/mountinfo"), _read("/proc/self/cgroup")):
            missing = hierarchy.controllers - self.controllers.keys()
            if hierarchy.version == 2 or missing:
                with contextlib.suppress(OSError):
                    tree = _plant(hierarchy, missing)
                    self._trees.append(tree)
                    self.controllers.update(dict.fromkeys(tree.controllers, tree.version))

    def __bool__(self) -> bool:
        return bool(self._trees)

    def drop_unusable(self) -> None:
        """Do without trees that take no process of ours, for whatever reason. Forks, so only for a single thread."""
        for tree in list(self._trees):
            if not _takes_processes(tree):
                self._trees.remove(tree)
                for name in tree.controllers:
                    del self.controllers[name]
                _remove(tree.directory)
                os.close(tree.lock)

    @property
    def unified(self) -> Path | None:
        """Our directory in the tree of version 2; None where there is none."""
        return next((tree.directory for tree in self._trees if tree.version == 2), None)

    def make(self, name: str) -> Group:
        """A group for one attempt, without limits yet.

        Raises:
            OSError: The kernel refuses.
        """
        parts = []
        for tree in self._trees:
            directory = tree.directory / name
            directory.mkdir()
            parts.append((tree, directory))
        return Group(parts)

    def close(self) -> None:
        """Remove our directories; what is in them must have been removed before."""
        for tree in self._trees:
            _remove(tree.directory)
            os.close(tree.lock)
        self._trees = []


class Group:
    """One attempt's cgroup in every tree."""

    def __init__(self, parts: list[tuple[_Tree, Path]]) -> None:
        self._parts = parts

    def directories(self) -> list[str]:
        """Where a process that is to be in it writes itself to each ``cgroup.procs``."""
        return [str(directory) for _, directory in self._parts]

    def enter(self) -> None:
        """Put the calling process in. For the child between fork and exec, so that nothing ever runs outside."""
        for _, directory in self._parts:
            try:
                _write(directory / "cgroup.procs", "0")
            except OSError as exc:
                # All that reaches anybody from a child that hasn't exec'd yet is what it writes.
                os.write(2, f"can't enter {directory}: {exc.strerror}\n".encode())
                raise

    def limit(self, memory_bytes: int, cores: float, processes: int) -> bool:
        """Set the limits; False when more memory is in use already."""
        for tree, at in self._parts:
            v2 = tree.version == 2
            if "pids" in tree.controllers:
                _write(at / "pids.max", str(processes))
            if "cpu" in tree.controllers:
                quota = max(1_000, int(cores * _PERIOD_MICROSECONDS))
                if v2:
                    _write(at / "cpu.max", f"{quota} {_PERIOD_MICROSECONDS}")
                else:
                    _write(at / "cpu.cfs_period_us", str(_PERIOD_MICROSECONDS))
                    _write(at / "cpu.cfs_quota_us", str(quota))
            if "memory" in tree.controllers:
                try:
                    _write(at / ("memory.max" if v2 else "memory.limit_in_bytes"), str(memory_bytes))
                except OSError:
                    return False
                # Swap would only make a workload that is too large slow; not every kernel counts it.
                with contextlib.suppress(OSError):
                    if v2:
                        _write(at / "memory.swap.max", "0")
                        _write(at / "memory.oom.group", "1")
                    else:
                        _write(at / "memory.memsw.limit_in_bytes", str(memory_bytes))
        return True

    def members(self) -> set[int]:
        """All processes in it, also those in groups that the workload made below it."""
        return {pid for _, directory in self._parts[:1] for pid in _members(directory)}

    def out_of_memory(self) -> bool:
        """Whether the kernel has killed a process of it for want of memory."""
        for tree, at in self._parts:
            if "memory" in tree.controllers:
                text = _read(at / ("memory.events" if tree.version == 2 else "memory.oom_control"))
                return any(int(line[9:]) > 0 for line in text.splitlines() if line.startswith("oom_kill "))
        return False

    def most_memory_bytes(self) -> int | None:
        """The most it has used so far; None when the kernel doesn't say."""
        for tree, at in self._parts:
            if "memory" in tree.controllers:
                text = _read(at / ("memory.peak" if tree.version == 2 else "memory.max_usage_in_bytes"))
                return int(text) if text.strip().isdigit() else None
        return None

    def kill(self) -> None:
        """SIGKILL everything in it."""
        for tree, directory in self._parts:
            if tree.version == 2:
                with contextlib.suppress(OSError):
                    _write(directory / "cgroup.kill", "1")
                    return
            if "pids" in tree.controllers:
                with contextlib.suppress(OSError):
                    _write(directory / "pids.max", "0")  # nothing forks away while we look
        for _ in range(5):
            for pid in (members := self.members()):
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
            if not members:
                return

    def remove(self) -> bool:
        """Remove it; False while something is still in it."""
        self._parts = [part for part in self._parts if not _remove(part[1])]
        return not self._parts


def _plant(hierarchy: Hierarchy, wanted: frozenset[str]) -> _Tree:
    """Our directory in a tree, locked, after a look for what dead launchers left."""
    own = hierarchy.own.parent if hierarchy.own.name == _LEAF else hierarchy.own
    if not own.is_dir():
        own = hierarchy.top  # a container that shows us the host's path
    _sweep(own)
    if hierarchy.version == 2:
        _enable_for_children(own)
    while True:
        directory = own / f"{_PREFIX}{os.getpid()}-{secrets.token_hex(4)}"
        directory.mkdir()
        try:
            lock = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
            fcntl.flock(lock, fcntl.LOCK_EX)
        except FileNotFoundError:
            continue  # another launcher took it for one that was left behind
        if directory.exists():
            break
        os.close(lock)
    controllers = set(wanted)
    if hierarchy.version == 2:
        for name in _WANTED & set(_read(directory / "cgroup.controllers").split()):
            with contextlib.suppress(OSError):
                _write(directory / "cgroup.subtree_control", f"+{name}")
        controllers = set(_WANTED & set(_read(directory / "cgroup.subtree_control").split()))
    return _Tree(hierarchy.version, controllers, directory, lock)


def _takes_processes(tree: _Tree) -> bool:
    probe = tree.directory / "probe"
    try:
        probe.mkdir()
        pid = os.fork()
        if pid == 0:
            try:
                _write(probe / "cgroup.procs", "0")
            except OSError:
                os._exit(1)
            os._exit(0)
        _, status = os.waitpid(pid, 0)
        return status == 0
    except OSError:
        return False
    finally:
        _remove(probe)


def _enable_for_children(own: Path) -> None:
    """Pass version 2 controllers on. It must hold no process itself then: agent and launcher move into a leaf."""
    there = _WANTED & set(_read(own / "cgroup.controllers").split())
    missing = there - set(_read(own / "cgroup.subtree_control").split())
    if not missing:
        return
    with contextlib.suppress(OSError):
        if own.parent.joinpath("cgroup.procs").exists() and set(_pids(own)) <= {os.getpid(), os.getppid()}:
            (own / _LEAF).mkdir(exist_ok=True)
            for pid in (os.getppid(), os.getpid()):
                _write(own / _LEAF / "cgroup.procs", str(pid))
        _write(own / "cgroup.subtree_control", " ".join(f"+{name}" for name in missing))


def _sweep(own: Path) -> None:
    """End and remove what launchers left that are gone."""
    for directory in own.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            lock = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                deadline = time.monotonic() + 2
                while not _remove(directory) and time.monotonic() < deadline:
                    for pid in _members(directory):
                        with contextlib.suppress(OSError):
                            os.kill(pid, signal.SIGKILL)
                    time.sleep(0.005)
            finally:
                os.close(lock)


def _members(directory: Path) -> Iterator[int]:
    if not _has_groups_below(directory):
        yield from _pids(directory)
        return
    for path, _, _ in os.walk(directory):
        yield from _pids(Path(path))


def _pids(directory: Path) -> list[int]:
    return [int(word) for word in _read(directory / "cgroup.procs").split()]


def _remove(directory: Path) -> bool:
    """Remove a group and those below it; False when one is still in use."""
    try:
        os.rmdir(directory)  # most have none below
        return True
    except FileNotFoundError:
        return True
    except OSError:
        if not _has_groups_below(directory):
            return False
    for path, _, _ in os.walk(directory, topdown=False):
        try:
            os.rmdir(path)
        except FileNotFoundError:
            pass
        except OSError:
            return False
    return True


def _has_groups_below(directory: Path) -> bool:
    """Of a directory in a cgroup file system: each directory in one counts as a link to it."""
    try:
        return os.stat(directory).st_nlink != 2
    except OSError:
        return False


def _read(path: str | Path) -> str:
    try:
        with open(path) as file:
            return file.read()
    except OSError:
        return ""


def _write(path: Path, text: str) -> None:
    # Unbuffered, so that a refusal is seen here and not when the file is closed.
    fd = os.open(path, os.O_WRONLY)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)
