"""Processes that have served an attempt and wait for another of the same kind."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NamedTuple

from niyanta.worker.launcher.process import Runner

__all__ = ["REST_SECONDS", "Kept", "Kind"]

REST_SECONDS = 60.0
"""How long a process waits for the next attempt; then it is ended."""


class Kind(NamedTuple):
    """What attempts must have in common to be served by one process: never two customers, nor two limits."""

    customer_id: str
    workload_type: str
    memory_mb: int
    cpu_cores: float
    disk_mb: int
    strict: bool = False
    network: bool = True

    @property
    def is_special(self) -> bool:
        """Whether the processes that wait for whatever comes are of no use for it."""
        return self.strict or not self.network


class Kept:
    """The processes by kind, the longest unused first.

    Args:
        retire: Ends a process that isn't needed any more.
        rest_seconds: How long one may wait.
    """

    def __init__(self, retire: Callable[[Runner], None], rest_seconds: float = REST_SECONDS) -> None:
        self._retire = retire
        self._rest_seconds = rest_seconds
        self._found: dict[Runner, tuple[Kind, asyncio.TimerHandle]] = {}
        self._by_kind: dict[Kind, list[Runner]] = {}

    def __len__(self) -> int:
        return len(self._found)

    def add(self, kind: Kind, runner: Runner) -> None:
        """Have a process wait."""
        timer = asyncio.get_running_loop().call_later(self._rest_seconds, self._end, runner)
        self._found[runner] = (kind, timer)
        self._by_kind.setdefault(kind, []).append(runner)

    def take(self, kind: Kind) -> Runner | None:
        """The process of a kind that was used last, which waits no more; None when there is none."""
        runners = self._by_kind.get(kind)
        if not runners:
            return None
        runner = runners[-1]
        self.discard(runner)
        return runner

    def discard(self, runner: Runner) -> bool:
        """Forget a process; False when it didn't wait here."""
        kind, timer = self._found.pop(runner, (None, None))
        if kind is None or timer is None:
            return False
        timer.cancel()
        runners = self._by_kind[kind]
        runners.remove(runner)
        if not runners:
            del self._by_kind[kind]
        return True

    def make_room(self, most: int) -> None:
        """End those that were used longest ago until no more than so many wait."""
        while len(self._found) > max(0, most):
            self._end(next(iter(self._found)))

    def take_all(self) -> list[Runner]:
        """All of them, which wait no more."""
        found = list(self._found)
        for runner in found:
            self.discard(runner)
        return found

    def _end(self, runner: Runner) -> None:
        if self.discard(runner):
            self._retire(runner)
