"""Which walls this machine can build: each is tried, in a process of its own."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence

from niyanta.domain.workers import Wall
from niyanta.worker.box import hiding, landlock, rights, seccomp

__all__ = ["has_users", "standing"]

_SIGNALS_SINCE = 6
"""The version of Landlock that can keep signals in."""


def standing(limits: Mapping[str, int], *, ports_closed: bool, users: Sequence[int] = ()) -> tuple[Wall, ...]:
    """The walls that hold. Forks, so only for a single thread.

    Args:
        limits: The cgroup controllers that keep limits.
        ports_closed: Whether connections to the closed ports are refused by other means.
        users: Ids that processes get, if they get any.
    """

    def separate(kinds: int) -> None:
        hiding.separate(kinds, as_user=not users)

    version = landlock.version()
    files = version > 0 and _works(rights.give_up_privileges, lambda: landlock.Ruleset(version).enforce())
    found = {
        Wall.PRIVILEGES: _works(rights.give_up_privileges, rights.drop_capabilities),
        Wall.CALLS: seccomp.available() and _works(rights.give_up_privileges, seccomp.refuse_calls),
        Wall.FILES: files,
        Wall.PROCESSES: files,
        Wall.SIGHT: files and _works(lambda: separate(hiding.NEW_MOUNTS), hiding.own_processes_only),
        Wall.SOCKETS: files
        and _works(
            lambda: separate(hiding.NEW_MOUNTS), lambda: hiding.without_sockets([]), lambda: hiding.read_only([])
        ),
        Wall.SIGNALS: files and version >= _SIGNALS_SINCE,
        Wall.PORTS: ports_closed,
        Wall.VIEW: _works(lambda: separate(hiding.NEW_MOUNTS | hiding.NEW_IPC), hiding.own_memory_files),
        Wall.NETWORK: _works(lambda: separate(hiding.NEW_NETWORK), hiding.loop_back),
        Wall.MEMORY_LIMIT: "memory" in limits,
        Wall.PROCESS_LIMIT: "pids" in limits,
        Wall.CPU_LIMIT: "cpu" in limits,
        Wall.USER: has_users(users),
    }
    return tuple(wall for wall, holds in found.items() if holds)


def has_users(users: Sequence[int]) -> bool:
    """Whether a process can take one of these ids. Forks, as `standing`."""
    return bool(users) and _works(lambda: rights.become(users[0]))


def _works(*steps: Callable[[], object]) -> bool:
    pid = os.fork()
    if pid == 0:
        try:
            for step in steps:
                step()
        except BaseException:
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
