"""What operators are told of the whole system."""

from __future__ import annotations

from datetime import datetime

import msgspec

__all__ = ["CustomerShare", "Fairness", "LeaderState", "QueueState", "SystemState"]


class LeaderState(msgspec.Struct):
    """Who leads."""

    coordinator_id: str | None
    """None while nobody does."""
    epoch: int
    lanes: int | None
    """Of the queue with something ready; None unless the coordinator that answered leads."""
    upkeep_at: datetime | None


class QueueState(msgspec.Struct):
    """What a tier has under way."""

    tier: str
    queued: int
    running: int
    oldest_seconds: float


class SystemState(msgspec.Struct):
    """How the system is, as one coordinator sees it."""

    coordinator_id: str
    version: str
    leader: LeaderState
    workers: dict[str, int]
    """How many there are, by status."""
    slots: int
    queues: list[QueueState]


class CustomerShare(msgspec.Struct):
    """What a customer has of the slots, and what it deserves at the same moment."""

    customer_id: str
    name: str
    tier: str
    weight: int
    running: int
    queued: int
    max_concurrent_workloads: int
    deserved: float


class Fairness(msgspec.Struct):
    """Who gets what."""

    slots: int
    customers: list[CustomerShare]
