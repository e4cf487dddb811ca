"""Workloads that are about to be stored, and may be assigned at once: whose turn it is decides, as ever.

It is a pass of the scheduler (`niyanta.domain.roster`) over a queue of which nothing has to be read: what arrives is
known, and a lane in which nothing was ready has nothing else. So an arrival is placed exactly where and when a pass
would do it, by the same turns, limits and choice of worker. While anything else waits that could have a slot now, or
may be able to, nothing is placed: a pass has to read that first, and decides on all of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from niyanta.domain.placement import Affinity
from niyanta.domain.roster import Candidate, Found, Placement, Roster

__all__ = ["Arrival", "place_at_once"]


@dataclass(frozen=True, slots=True)
class Arrival:
    """A workload that is about to be stored."""

    customer_id: str
    workload_id: str
    workload_type: str
    placement_key: int
    affinity: Affinity
    rank: float


def place_at_once(roster: Roster, arrivals: Sequence[Arrival], most: int) -> list[Placement]:
    """Place those that a worker can take now, by turns; none while somebody else waits for what is free.

    What has others of its lane before it is left to a pass, too.

    Their lanes are noted, as if they had been stored already: what isn't placed, or isn't stored in the end, is found
    by the next pass. Each placement is to be kept or given up.

    Args:
        roster: All that is known.
        arrivals: What is about to be stored.
        most: To be placed.
    """
    lanes = roster.lanes
    if not roster.fleet.open() or (len(lanes) and _somebody_waits(roster)):
        return []
    own: dict[tuple[str, int], list[Arrival]] = {}
    for arrival in arrivals:
        own.setdefault((arrival.customer_id, arrival.placement_key), []).append(arrival)
    own = {lane: found for lane, found in own.items() if lanes.get(*lane) is None}
    read = {}
    for (customer_id, placement_key), found in own.items():
        found.sort(key=lambda arrival: (arrival.rank, arrival.workload_id))
        first = found[0]
        lanes.note(customer_id, placement_key, first.rank)
        if (lane := lanes.get(customer_id, placement_key)) is not None:
            lanes.describe(lane, first.workload_type, first.affinity)
        waiting = [Candidate(arrival.workload_id, arrival.rank) for arrival in found]
        read[customer_id, placement_key] = Found(first.workload_type, first.affinity, waiting)
    if not own:
        return []
    agenda = roster.choose(min(most, sum(map(len, own.values()))))
    placements = roster.place(agenda, read, with_suspects=True)
    placed = {placement.key for placement in placements}
    for (customer_id, placement_key), found in own.items():
        lane = lanes.get(customer_id, placement_key)
        if lane is not None and all((customer_id, arrival.workload_id) in placed for arrival in found):
            lanes.drop(lane)
    return placements


def _somebody_waits(roster: Roster) -> bool:
    """Whether a pass would find work for a free slot, or has to look for longer to know."""
    agenda = roster.choose(1)
    return bool(agenda.turns) or agenda.blocked > 0
