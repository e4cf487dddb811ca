"""Draws faults from a seed and injects them, a few at once, each on a target of its own.

What is drawn depends on the seed alone, never on what the system does meanwhile; so the same seed gives the same
faults in the same order on the same targets, though the system's own races differ.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from chaos.faults import KINDS, Kind, Scene
from chaos.fleet import CUSTOMERS
from chaos.history import Fault, History

__all__ = ["Drawn", "Nemesis"]


@dataclass(frozen=True)
class Drawn:
    """What the seed gave."""

    kind: str
    number: int
    """Chooses among the targets."""
    seconds: float
    gap_seconds: float
    """Until the next one begins."""
    chance: random.Random


class Nemesis:
    """Injects faults until it is told that the time is up.

    Args:
        scene: What they act on.
        history: Where they are recorded.
        seed: Of everything that is drawn.
        kinds: The classes to draw from. Each is had once before any is had twice.
        most_at_once: How many may last at the same time.

    Attributes:
        missed: How often one of a class was drawn but couldn't be done, as its target was away.
    """

    def __init__(
        self, scene: Scene, history: History, seed: int, kinds: Sequence[str], most_at_once: int = 3
    ) -> None:
        self._scene = scene
        self._history = history
        self._random = random.Random(f"nemesis {seed}")
        self._kinds = list(kinds)
        self._left: list[str] = []
        self._room = asyncio.Semaphore(most_at_once)
        self._busy: dict[str, asyncio.Lock] = {}
        self.missed: Counter[str] = Counter()

    def draw(self) -> Drawn:
        """The next fault."""
        if not self._left:
            self._left = self._kinds.copy()
            self._random.shuffle(self._left)
        kind = self._left.pop()
        shortest, longest = KINDS[kind].seconds
        # Most are short; some outlast every lease.
        seconds = shortest + (longest - shortest) * self._random.random() ** 2
        return Drawn(
            kind,
            self._random.randrange(1 << 20),
            seconds,
            self._random.uniform(0.3, 2.0),
            random.Random(self._random.random()),
        )

    async def run(self, seconds: float) -> None:
        """Inject until the time is up, and end what still lasts."""
        deadline = time.monotonic() + seconds
        async with asyncio.TaskGroup() as group:
            while time.monotonic() < deadline:
                drawn = self.draw()
                await self._room.acquire()
                group.create_task(self._strike(drawn))
                await asyncio.sleep(drawn.gap_seconds)

    async def _strike(self, drawn: Drawn) -> None:
        try:
            kind = KINDS[drawn.kind]
            target = await self._target(kind, drawn.number)
            if target is None:
                self.missed[drawn.kind] += 1
                return
            async with self._busy.setdefault(target, asyncio.Lock()):
                began = time.monotonic()
                fired = await kind.strike(self._scene, target, drawn.seconds, drawn.chance)
                if fired:
                    self._history.faults.append(Fault(drawn.kind, target, began, time.monotonic()))
                else:
                    self.missed[drawn.kind] += 1
        finally:
            self._room.release()

    async def _target(self, kind: Kind, number: int) -> str | None:
        fleet = self._scene.fleet
        if kind.on == "leader":
            leader = await self._scene.leader()
            return leader.name if leader is not None else None
        targets = {
            "worker": [part.name for part in fleet.workers],
            "coordinator": [part.name for part in fleet.coordinators],
            "broker": ["broker"],
            "database": ["database"],
            "customer": sorted(CUSTOMERS),
            "worker link": [name for name in fleet.links if name.startswith("broker-w")],
            "broker link": [name for name in fleet.links if name.startswith("broker-") and "w" not in name[7:]],
            "database link": [name for name in fleet.links if name.startswith("database-")],
            "client link": [name for name in fleet.links if name.startswith("client-")],
        }[kind.on]
        return targets[number % len(targets)]
