"""What coordinators tell each other of their commits, as msgspec structs in MessagePack: see `wire.messages`."""

from __future__ import annotations

import msgspec

__all__ = ["Changed", "WorkloadChange"]


class WorkloadChange(msgspec.Struct, frozen=True, omit_defaults=True):
    """One committed change, for watchers and for the leader's scheduler."""

    customer_id: str
    workload_id: str
    version: int
    status: str
    generation: int
    workload_type: str
    worker_id: str | None = None
    """The worker that holds it after the change, or held it when the change took it away."""
    progress_percent: int = 0
    message: str | None = None
    placement_key: int = 0
    """The queue's lane it stands in, while it is queued."""
    released_from: str | None = None
    """The worker whose slot this change freed."""
    waited_seconds: float | None = None
    """Of a first assignment: how long after the submission it came."""
    ran_seconds: float | None = None
    """Of the end of a workload that had started: how long after that it came."""
    queue_rank: float | None = None
    """With ``placement_key``: its rank in that lane, where that is known."""
    unscheduled: bool = False
    """With ``released_from``: that worker refused the assignment, or never answered."""
    cause: str | None = None
    """Of a redistribution: worker_died, worker_removed, attempt_failed, timed_out or handed_back."""
    misfit: bool = False
    """With ``unscheduled``: the input doesn't fit that worker's version of the handler, and won't go there again."""
    held_seconds: float | None = None
    """Of a redistribution: how long the attempt had run; None when it hadn't begun."""
    taken_away: bool = False
    """With ``released_from``: that worker didn't ask for it, and may not have ended the attempt yet."""


class Changed(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one transaction changed. ``origin`` is the coordinator that committed it."""

    origin: str
    changes: list[WorkloadChange] = []
    fleet: bool = False
    """Workers came, went or drained: read them again."""
    customers: list[str] = []
    """Customers whose limits, status or keys changed."""
    logged: list[tuple[str, str]] = []
    """(customer, workload) of those with new log lines."""
    lanes: list[tuple[str, int]] = []
    """(customer, placement key) of lanes of the queue that have something ready, without a move of it."""
    lingering: list[tuple[str, int]] = []
    """(worker, how many) of slots that workers say are held by attempts which are no longer theirs."""
    lease_is_free: bool = False
    """The leader has given its lease up: whoever looks now may lead."""
    is_last: bool = False
    """Its origin stops: that it falls silent means nothing."""
    number: int = 0
    """Grows by one with each message of its origin, so that a lost one is noticed; 0: its release doesn't count."""
