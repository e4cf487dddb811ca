"""User ids for the processes of attempts, where the operator gives them: each serves one process at a time.

An id is free again once no process has it and its last one's folder is gone. So it doesn't matter how a process
ended, nor whether this agent or another program still has some of its kind.
"""

from __future__ import annotations

import asyncio
import contextlib
import grp
import os
import pwd
import sys
import time
from collections import deque
from pathlib import Path

from niyanta.errors import ConfigurationError, TransientError
from niyanta.worker.box.policy import Policy
from niyanta.worker.launcher.claim import claim

__all__ = ["Users", "ids_needed", "users_for"]

_WAIT_SECONDS = 10.0
_POLL_SECONDS = 0.02
_SHARED_MEMORY = "/dev/shm"  # noqa: S108 -- only cleared here
_CAPABILITIES = {
    **{"CAP_CHOWN": 0, "CAP_DAC_OVERRIDE": 1, "CAP_FOWNER": 3, "CAP_KILL": 5},
    **{"CAP_SETGID": 6, "CAP_SETUID": 7, "CAP_SYS_PTRACE": 19},
}
"""linux/capability.h: to give folders away and remove what is in them, to end, to become and to look at others."""


def users_for(policy: Policy, most: int, warm: int, scratch: Path) -> Users | None:
    """The ids for a pool of processes; None where the operator gives none. Raises as `Users`."""
    return Users(policy.users[0], policy.users[1], ids_needed(most, warm), scratch) if policy.users else None


def ids_needed(most: int, warm: int) -> int:
    """How many processes there may be at once: at work or kept, being ended to make room for those, and warm."""
    return 2 * most + warm


class Users:
    """The ids of a range.

    Args:
        first: The first of them.
        last: The last.
        needed: How many processes there may be at once.
        scratch: The directory for attempts; others may pass through it from now on, but not look.

    Raises:
        ConfigurationError: They can't be used, or another worker on the machine has some of them; says why.
    """

    def __init__(self, first: int, last: int, needed: int, scratch: Path) -> None:
        _check(first, last, needed)
        os.chmod(scratch, 0o711)  # noqa: S103 -- to pass through, by who knows a name in it
        for path in (scratch, Path(sys.executable).resolve(), Path(sys.prefix), Path(sys.base_prefix)):
            if (closed := _closed(path.absolute())) is not None:
                raise ConfigurationError(
                    f"--attempt-uids: other users can't reach {path}, as {closed} is closed to them"
                )
        self._claim = claim(first, last)
        self._free = deque(range(first, last + 1))
        self._leaving: list[tuple[int, Path, float]] = []
        """Ids with the folder that must be gone first, and the moment that must have come."""

    def close(self) -> None:
        """Let other workers have them. Idempotent."""
        if self._claim is not None:
            os.close(self._claim)
            self._claim = None

    async def take(self) -> int:
        """An id that nobody has.

        Raises:
            TransientError: All are taken, and stay so.
        """
        deadline = time.monotonic() + _WAIT_SECONDS
        while True:
            self._collect()
            while self._free:
                user = self._free.popleft()
                if not _has_processes(user):
                    return user
                self.give_back(user, Path(f"/proc/{user}/none"))
            if time.monotonic() > deadline:
                raise TransientError("all user ids of --attempt-uids are taken by processes that haven't ended")
            await asyncio.sleep(_POLL_SECONDS)

    def give_back(self, user: int, folder: Path, *, after_seconds: float = 0.0) -> None:
        """Have an id serve another once nothing is left of this one's process.

        Args:
            user: The id.
            folder: The process's.
            after_seconds: Not sooner than this, as the process may only be about to begin.
        """
        self._leaving.append((user, folder, time.monotonic() + after_seconds))

    def _collect(self) -> None:
        leaving, self._leaving = self._leaving, []
        for user, folder, earliest in leaving:
            if time.monotonic() < earliest or os.path.lexists(folder) or _has_processes(user):
                self._leaving.append((user, folder, earliest))
            else:
                _clear_shared_memory(user)
                self._free.append(user)  # the last to be taken again


def _check(first: int, last: int, needed: int) -> None:
    if (missing := _missing_rights()) and os.geteuid() != 0:
        raise ConfigurationError(f"--attempt-uids: the worker must run as root, or with {', '.join(missing)} as well")
    if missing:
        raise ConfigurationError(f"--attempt-uids: root has no {', '.join(missing)} here")
    if (count := last - first + 1) < needed:
        raise ConfigurationError(
            f"--attempt-uids: {first}-{last} are {count} ids, and this worker needs {needed}: two for each workload "
            "at the same time, as a process may begin while another ends, and one for each that waits warm"
        )
    for user in pwd.getpwall():
        if first <= user.pw_uid <= last:
            raise ConfigurationError(f"--attempt-uids: {user.pw_uid} is the user '{user.pw_name}'")
    for group in grp.getgrall():
        if first <= group.gr_gid <= last:
            raise ConfigurationError(f"--attempt-uids: {group.gr_gid} is the group '{group.gr_name}'")


def _missing_rights() -> list[str]:
    """What this process can't do that it must; who isn't root hands on only what is ambient."""
    with open("/proc/self/status", encoding="ascii", errors="replace") as file:
        words = dict(line.rstrip("\n").split(":\t", 1) for line in file if line.startswith("Cap"))
    held = int(words["CapEff" if os.geteuid() == 0 else "CapAmb"], 16)
    return [name for name, number in _CAPABILITIES.items() if not held >> number & 1]


def _closed(path: Path) -> Path | None:
    """The folder on the way to a path that others can't pass through."""
    around = [path, *path.parents]
    return next((folder for folder in reversed(around) if not os.stat(folder).st_mode & 0o001), None)


def _has_processes(user: int) -> bool:
    try:
        os.getpriority(os.PRIO_USER, user)
    except ProcessLookupError:
        return False
    return True


def _clear_shared_memory(user: int) -> None:
    """Remove what processes of a user have left in the one folder that all attempts may write to."""
    with contextlib.suppress(OSError), os.scandir(_SHARED_MEMORY) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                if entry.stat(follow_symlinks=False).st_uid == user:
                    os.unlink(entry.path)
