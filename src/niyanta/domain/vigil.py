"""Which silent workers are dead: the judgement behind the monitor, without its clock, database or broker.

A worker is declared dead when it has been silent for a whole lease, doesn't answer when it is asked directly, and its
observer has looked on for a whole lease without trouble of its own.

**The brake.** Whatever kept the observer from hearing begins the observation anew. When more than half of four or
more workers are silent together, they are declared dead by and by: in a second a twentieth of the fleet, and one at
least.

**A fleet that dies at large** blames no workload: see `niyanta.domain.transitions.lose_worker`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

__all__ = ["ASK_SHARE", "Judgement", "Sign", "Vigil"]

BRAKE_FLEET = 4
"""Of fewer workers most may well die together."""
ASK_SHARE = 0.6
"""Of the lease: a worker that is silent for longer is asked."""
_ASK_AGAIN_SHARE = 0.1
_LOOK_SHARE = 0.5
"""Of the lease: who hasn't looked for longer hasn't observed."""
_TOGETHER_SHARE = 0.5
"""Of the lease: deaths within it are one event. A workload needs longer to take down one worker after another."""
_BRAKED_SHARE = 0.05
"""Of the fleet: how many are declared dead in a second under the brake."""


@dataclass(frozen=True, slots=True)
class Sign:
    """How long a live worker has been silent."""

    worker_id: str
    incarnation: str
    silent_seconds: float


@dataclass(slots=True)
class Judgement:
    """What is to be done now."""

    ask: list[Sign] = field(default_factory=list)
    """Ask these directly, then `answered` or `unanswered`; `condemned` tells what follows."""
    is_braking: bool = False
    wait_seconds: float = 0.0
    """Nothing changes before, unless a worker comes or goes."""


@dataclass(slots=True)
class _Asked:
    incarnation: str
    at: float
    is_silent: bool = False


class Vigil:
    """Watches one fleet. Moments are seconds on one monotonic clock.

    Args:
        lease_seconds: How long a worker may be silent.
    """

    def __init__(self, lease_seconds: float) -> None:
        self._lease = lease_seconds
        self._since = 0.0
        self._looked_at = 0.0
        self._asked: dict[str, _Asked] = {}
        self._deaths: deque[float] = deque()
        self._live = 0
        self._silent: list[Sign] = []
        self._budget = 0.0
        self._budget_at = 0.0
        self._is_braking = False

    def begin(self, now: float, *, absence_seconds: float = 0.0) -> None:
        """Observe anew: there was trouble, or a new leader has begun.

        Args:
            now: The moment.
            absence_seconds: How long workers may need yet until they can be heard at all.
        """
        self._since = max(self._since, now + absence_seconds)
        self._looked_at = now
        self._asked.clear()

    def judge(self, now: float, live: Sequence[Sign]) -> Judgement:
        """Look at the fleet."""
        if now - self._looked_at > self._lease * _LOOK_SHARE:
            self.begin(now)
        self._looked_at = now
        self._live = len(live)
        silent = [sign for sign in live if sign.silent_seconds >= self._lease]
        dead = self._recently_dead(now)
        total = len(live) + dead
        self._is_braking = bool(silent) and total >= BRAKE_FLEET and (len(silent) + dead) * 2 > total
        suspects = {sign.worker_id for sign in live if sign.silent_seconds >= self._lease * ASK_SHARE}
        self._asked = {worker_id: asked for worker_id, asked in self._asked.items() if worker_id in suspects}
        judgement = Judgement(is_braking=self._is_braking)
        judgement.ask = [sign for sign in live if sign.worker_id in suspects and self._is_to_be_asked(now, sign)]
        self._silent = silent
        judgement.wait_seconds = self._wait(live, self._since + self._lease - now)
        return judgement

    def condemned(self, now: float) -> list[Sign]:
        """Of the silent those that are to be declared dead, now that they have been asked."""
        if now < self._since + self._lease:
            return []
        dead = [sign for sign in self._silent if self._gave_no_answer(sign)]
        return dead[: self._allowed(now)] if self._is_braking else dead

    def _is_to_be_asked(self, now: float, sign: Sign) -> bool:
        asked = self._asked.get(sign.worker_id)
        if asked is None or asked.incarnation != sign.incarnation or sign.silent_seconds >= self._lease:
            return True  # once more before it is declared dead
        return now - asked.at >= self._lease * _ASK_AGAIN_SHARE

    def _gave_no_answer(self, sign: Sign) -> bool:
        asked = self._asked.get(sign.worker_id)
        return asked is not None and asked.incarnation == sign.incarnation and asked.is_silent

    def _allowed(self, now: float) -> int:
        """How many may be declared dead now, under the brake."""
        per_second = max(1.0, (self._live + len(self._deaths)) * _BRAKED_SHARE)
        self._budget = min(per_second, self._budget + per_second * (now - self._budget_at))
        self._budget_at = now
        return int(self._budget)

    def _wait(self, live: Sequence[Sign], left: float) -> float:
        step = self._lease * _ASK_AGAIN_SHARE
        waits = [self._lease * ASK_SHARE - sign.silent_seconds for sign in live]
        nearest = min((wait for wait in waits if wait > 0), default=self._lease)
        if any(wait <= 0 for wait in waits):
            nearest = min(nearest, step)
        return max(min(nearest, max(left, step)), 0.0)

    def answered(self, sign: Sign) -> None:
        """It is alive, only its heartbeats don't arrive."""
        self._asked.pop(sign.worker_id, None)

    def unanswered(self, now: float, sign: Sign) -> None:
        """It was asked, and gave no answer in time."""
        self._asked[sign.worker_id] = _Asked(sign.incarnation, now, is_silent=True)

    def died(self, now: float, incarnations: Collection[object]) -> None:
        """These are dead, by judgement or as their workers came back as others."""
        if self._is_braking:
            self._budget -= len(incarnations)
        self._deaths.extend(now for _ in incarnations)

    def _recently_dead(self, now: float) -> int:
        while self._deaths and now - self._deaths[0] > self._lease * _TOGETHER_SHARE:
            self._deaths.popleft()
        return len(self._deaths)

    def is_fleet_dying(self, now: float) -> bool:
        """Whether most of the fleet is dead or silent, or was half a lease ago."""
        dead = self._recently_dead(now)
        return self._is_braking or (dead + self._live >= BRAKE_FLEET and dead > self._live)
