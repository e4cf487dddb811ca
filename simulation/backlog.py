"""A model of the ready queue: what the scheduler reads from the database, and how much of it."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field

from niyanta.domain.arrivals import Arrival
from niyanta.domain.lanes import Agenda, Lanes
from niyanta.domain.placement import Affinity
from niyanta.domain.roster import Candidate, Found

__all__ = ["Backlog"]

LaneKey = tuple[str, int]


@dataclass(slots=True)
class _Queue:
    workload_type: str
    affinity: Affinity
    heap: list[tuple[float, str]] = field(default_factory=list)


class Backlog:
    """Ready workloads by lane, in rank order. Counts the rows that are read."""

    def __init__(self) -> None:
        self._queues: dict[LaneKey, _Queue] = {}
        self._keys: dict[tuple[str, str], LaneKey] = {}
        self._suspects: set[tuple[str, str]] = set()
        self.rows_read = 0

    def __len__(self) -> int:
        return len(self._keys)

    def add(
        self,
        customer_id: str,
        workload_id: str,
        rank: float,
        workload_type: str,
        affinity: Affinity,
        placement_key: int,
        *,
        is_suspect: bool = False,
    ) -> LaneKey:
        """Queue a workload."""
        lane = (customer_id, placement_key)
        queue = self._queues.get(lane)
        if queue is None:
            queue = self._queues[lane] = _Queue(workload_type, affinity)
        heapq.heappush(queue.heap, (rank, workload_id))
        self._keys[customer_id, workload_id] = lane
        if is_suspect:
            self._suspects.add((customer_id, workload_id))
        return lane

    def has_before(self, new: Arrival) -> bool:
        """Whether something waits in its lane that goes before it."""
        queue = self._queues.get((new.customer_id, new.placement_key))
        if queue is None:
            return False
        self._drop_taken(new.customer_id, queue)
        return bool(queue.heap) and queue.heap[0][0] < new.rank

    def take(self, key: tuple[str, str]) -> bool:
        """Take a workload out; False when it isn't there."""
        self._suspects.discard(key)
        return self._keys.pop(key, None) is not None

    def tell_all(self, lanes: Lanes) -> None:
        """Note every lane."""
        for (customer_id, placement_key), queue in list(self._queues.items()):
            self._drop_taken(customer_id, queue)
            if queue.heap:
                lanes.note(customer_id, placement_key, queue.heap[0][0])
            else:
                del self._queues[customer_id, placement_key]

    def read(self, agenda: Agenda, *, with_suspects: bool) -> dict[LaneKey, Found]:
        """What the database would give for an agenda."""
        found: dict[LaneKey, Found] = {}
        for lane, most in agenda.lanes:
            queue = self._queues.get((lane.customer_id, lane.placement_key))
            if queue is None:
                continue
            heads = self._heads(lane.customer_id, queue, most, with_suspects and not lane.skips_suspects)
            self.rows_read += len(heads)
            if heads:
                found[lane.customer_id, lane.placement_key] = Found(queue.workload_type, queue.affinity, heads)
        return found

    def _drop_taken(self, customer_id: str, queue: _Queue) -> None:
        while queue.heap and (customer_id, queue.heap[0][1]) not in self._keys:
            heapq.heappop(queue.heap)

    def _heads(self, customer_id: str, queue: _Queue, most: int, with_suspects: bool) -> list[Candidate]:
        popped: list[tuple[float, str]] = []
        heads: list[Candidate] = []
        while queue.heap and len(heads) < most:
            rank, workload_id = heapq.heappop(queue.heap)
            key = (customer_id, workload_id)
            if key not in self._keys:
                continue
            popped.append((rank, workload_id))
            is_suspect = key in self._suspects
            if with_suspects or not is_suspect:
                heads.append(Candidate(workload_id, rank, is_suspect))
        for entry in popped:
            heapq.heappush(queue.heap, entry)
        return heads
