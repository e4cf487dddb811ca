"""Building the walls: once in the process that others are forked from, and in each attempt's own."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence

from niyanta.domain.workers import Wall
from niyanta.worker.box import hiding, landlock, rights, seccomp
from niyanta.worker.box.hiding import TEMPORARY, inside
from niyanta.worker.box.landlock import Ruleset
from niyanta.worker.box.outside import openings
from niyanta.worker.box.policy import Policy

__all__ = ["TEMPORARY", "WORK", "Box"]

WORK = "work"
"""In an attempt's folder: the directory it starts in."""


class Box:
    """One worker's.

    Args:
        policy: What may be reached.
        apps: References to the app.
    """

    def __init__(self, policy: Policy, apps: Sequence[str]) -> None:
        self._policy = policy
        self._apps = apps
        self._landlock = 0
        self._openings: list[tuple[int, int, bool]] = []
        self._home_is_closed = False

    def prepare(self, folder: str | None = None) -> None:
        """Do what can be done once, for all that are forked from this process.

        Args:
            folder: The attempt's own, when it is for one only.

        Raises:
            OSError: The kernel refuses what it did a moment ago.
        """
        covered = self._have_own_view(folder)
        if self._policy.holds(Wall.PRIVILEGES):
            rights.give_up_privileges()
        if self._policy.holds(Wall.FILES):
            self._landlock = landlock.version()
            for path, allowed in dict(openings(self._policy, self._apps, covered)).items():
                try:
                    fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
                except OSError:
                    continue  # most machines don't have all of it
                self._openings.append((fd, allowed, os.path.isdir(path)))
        if self._policy.holds(Wall.CALLS):
            # Half a millisecond, and what is forked inherits it.
            seccomp.refuse_calls(own_objects=self._policy.strict)
        self._home_is_closed = self._policy.holds(Wall.FILES) and not inside([_home()], self._policy.writes)

    def _have_own_view(self, folder: str | None) -> list[str]:
        """Gives what is hidden by that."""
        policy = self._policy
        hidden = [path for path in policy.hidden if os.path.isdir(path)] if policy.holds(Wall.FILES) else []
        sees_only_own, speaks_to_own = policy.holds(Wall.SIGHT), policy.holds(Wall.SOCKETS)
        kinds = hiding.NEW_MOUNTS if hidden or policy.strict or sees_only_own or speaks_to_own else 0
        kinds |= hiding.NEW_IPC if policy.strict else 0
        kinds |= 0 if policy.network else hiding.NEW_NETWORK
        if not kinds:
            return []
        try:
            hiding.separate(kinds, as_user=not policy.users)
        except OSError:
            if policy.strict or not policy.network:
                raise
            return []  # what is around the hidden is opened in parts, then
        if speaks_to_own:
            kept = dict(openings(policy, self._apps, policy.hidden))
            hiding.without_sockets([*kept, *filter(None, (policy.scratch, folder))])
            hidden = [path for path in hidden if os.path.isdir(path)]
        if sees_only_own:
            hiding.own_processes_only()
        if not policy.network:
            hiding.loop_back()
        if policy.strict and folder is not None:
            hiding.own_memory_files()
            hiding.own_tmp(folder, dict(openings(policy, self._apps, [])))
        if speaks_to_own:
            opened = openings(policy, self._apps, policy.hidden)
            writable = [path for path, allowed in opened if allowed in (landlock.WRITE, landlock.SHARED_MEMORY)]
            own = [*filter(None, (policy.scratch, folder)), *(["/tmp"] if policy.strict and folder else [])]  # noqa: S108
            hiding.read_only([*writable, *own])
        return hiding.cover(hidden)

    def around(self, folder: str) -> Ruleset | None:
        """What the process of one attempt may open, for it to `enter`; None without that wall.

        Some eighty calls. In a process just forked each costs more: what it writes to is copied first.

        Args:
            folder: The attempt's own, with `WORK` and `TEMPORARY` in it.

        Raises:
            OSError: The kernel refuses what it did a moment ago.
        """
        if not self._policy.holds(Wall.FILES):
            return None
        rules = Ruleset(self._landlock)
        for fd, allowed, is_folder in self._openings:
            rules.allow(fd, allowed, is_folder=is_folder)
        for name in (WORK, TEMPORARY):
            rules.allow_path(os.path.join(folder, name), landlock.WRITE)
        return rules

    def close(self) -> None:
        """Let go of what is kept for `around`. Idempotent."""
        while self._openings:
            os.close(self._openings.pop()[0])

    def enter(self, folder: str, rules: Ruleset | None, user: int = 0) -> None:
        """Shut this process in; only its main thread may be running.

        Args:
            folder: The attempt's own.
            rules: What is `around` it.
            user: The id to take; 0 for this process's own.

        Raises:
            OSError: The kernel refuses what it did a moment ago.
        """
        _move_in(os.path.join(folder, TEMPORARY), home_too=self._home_is_closed or user != 0)
        if rules is not None:
            rules.enforce()
        if user:
            rights.become(user)
        if user or self._policy.holds(Wall.PRIVILEGES):
            rights.drop_capabilities()
        rights.show_memory()  # which a new user id hides again


def _home() -> str:
    return os.path.realpath(os.path.expanduser("~"))


def _move_in(temporary: str, *, home_too: bool) -> None:
    """Have temporary files made in the attempt's own folder, and what programs keep at home, when home is closed."""
    os.environ["TMPDIR"] = temporary
    tempfile.tempdir = None  # what was found out before isn't ours
    if home_too:
        os.environ["HOME"] = temporary
