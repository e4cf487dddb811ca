"""The JSON bodies of how the whole system is."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from niyanta.server.rest.bodies.account import TierName
from niyanta.server.rest.bodies.workloads import Timestamp

__all__ = [
    "BrokerState",
    "CustomerShare",
    "DatabaseState",
    "FairnessAnswer",
    "LeaderState",
    "PartitionState",
    "PoolState",
    "QueueState",
    "SystemAnswer",
]


class LeaderState(msgspec.Struct):
    """Who leads."""

    coordinator_id: Annotated[str | None, Meta(description="null while nobody leads.")]
    epoch: Annotated[int, Meta(description="Grows with each election.", ge=0)]
    lanes: Annotated[
        int | None, Meta(description="Lanes of the queue with something ready; null unless this coordinator leads.")
    ]
    upkeep_at: Annotated[
        Timestamp | None, Meta(description="Of the last whole round of upkeep; null unless this coordinator leads.")
    ]


class PoolState(msgspec.Struct):
    """One pool of connections to the database."""

    name: str
    in_use: int
    open: int
    most: int


class DatabaseState(msgspec.Struct):
    """PostgreSQL, as this coordinator sees it."""

    is_connected: bool
    failures: Annotated[int, Meta(description="Since this coordinator started.")]
    pools: list[PoolState]


class BrokerState(msgspec.Struct):
    """NATS, as this coordinator sees it."""

    is_connected: bool
    interruptions: Annotated[int, Meta(description="Since this coordinator started.")]


class QueueState(msgspec.Struct):
    """What a tier has under way."""

    tier: TierName
    queued: int
    running: int
    oldest_seconds: Annotated[float, Meta(description="How long ago the oldest that waits was submitted.")]


class PartitionState(msgspec.Struct):
    """How long a table has partitions for what comes."""

    table: str
    ahead_seconds: float


class SystemAnswer(msgspec.Struct):
    """How the system is now. What comes from the database is empty while it doesn't answer."""

    coordinator_id: Annotated[str, Meta(description="Who answers.")]
    version: str
    watchers: Annotated[int, Meta(description="Requests and streams that wait for changes at this coordinator.")]
    leader: LeaderState
    database: DatabaseState
    broker: BrokerState
    workers: Annotated[dict[str, int], Meta(description="How many there are, by status.")]
    slots: Annotated[int, Meta(description="Of live workers.")]
    queues: list[QueueState]
    partitions: list[PartitionState]


class CustomerShare(msgspec.Struct):
    """What a customer has of the slots, and what it deserves at the same moment."""

    customer_id: str
    name: str
    tier: TierName
    weight: Annotated[int, Meta(description="Its tier's.")]
    running: int
    queued: int
    max_concurrent_workloads: int
    deserved: Annotated[
        float,
        Meta(description="Slots: dealt out by weight among all that want some, to each no more than it could use."),
    ]


class FairnessAnswer(msgspec.Struct):
    """Who gets what. Turns go by run-seconds, so at one moment a customer may have more or less than it deserves."""

    slots: Annotated[int, Meta(description="Of workers that take new workloads.")]
    customers: Annotated[list[CustomerShare], Meta(description="With something under way; the most first.")]
