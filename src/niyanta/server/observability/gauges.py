"""What is so at the moment of a scrape. What comes from the database is the same on every coordinator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, Counter, Gauge

__all__ = ["Gauges", "PoolUse", "Reading"]


@dataclass(frozen=True, slots=True)
class PoolUse:
    """Connections to the database."""

    in_use: int
    open: int
    most: int


@dataclass(slots=True)
class Reading:
    """What is so at the moment of a scrape."""

    is_leader: bool
    broker_connected: bool
    watchers: int
    database_connected: bool = False
    """With False, all that is read from the database is unknown, and isn't shown."""
    epoch: int = 0
    leader: str | None = None
    """Id of the coordinator that leads; None while nobody does."""
    queued: Mapping[str, int] = field(default_factory=dict)
    """By tier."""
    oldest_seconds: Mapping[str, float] = field(default_factory=dict)
    """By tier, how long ago the oldest that waits was submitted."""
    running: Mapping[str, int] = field(default_factory=dict)
    workers: Mapping[str, int] = field(default_factory=dict)
    """By status."""
    capacity: int = 0
    """Slots of live workers."""
    slots_by_tag: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """By the value of the tag that is set: slots of live workers, and how many are used."""
    partitions_ahead_seconds: Mapping[str, float] = field(default_factory=dict)
    """By table."""
    audit_seal_lag_seconds: float = 0.0
    """How old the oldest audit event is that isn't sealed."""
    certificate_ends_at: float | None = None
    """Unix time at which the listeners' certificate is no longer good; None where they speak plain."""
    pools: Mapping[str, PoolUse] = field(default_factory=dict)
    lanes: int | None = None
    """Of the queue, as the leader knows them; None where nobody leads."""
    upkeep_at: float | None = None
    """Unix time of the leader's last whole round of upkeep."""
    broker_interruptions: int = 0
    database_failures: int = 0


class Gauges:
    """Instruments that are set for each scrape."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(f"niyanta_{name}", text, labels, registry=registry)

        self._leader = gauge("leader", "1 on the coordinator that leads, else 0")
        self._broker = gauge("broker_connected", "1 while the link to NATS stands, else 0")
        self._database = gauge("database_connected", "1 when PostgreSQL answered this scrape, else 0")
        self._watchers = gauge("watchers", "Requests and streams that wait for a workload's changes here")
        self._epoch = gauge("leader_epoch", "Number of the last election, as this coordinator last read it")
        self._queued = gauge("queue_depth", "Workloads that wait for a worker, by tier", "tier")
        self._oldest = gauge(
            "queue_oldest_age_seconds", "How long ago the oldest workload that waits was submitted, by tier", "tier"
        )
        self._running = gauge("running_workloads", "Workloads that workers hold, by tier", "tier")
        self._workers = gauge("workers", "Known workers, by status", "status")
        self._capacity = gauge("worker_capacity", "Slots of live workers: total and used", "kind")
        self._slots = gauge(
            "worker_slots", "Slots of live workers by the tag that NIYANTA_METRICS_TAG names", "tag", "kind"
        )
        self._lanes = gauge("scheduler_lanes", "Lanes of the queue with something ready; on the leader only", "of")
        self._pools = gauge(
            "database_pool_connections", "Connections to PostgreSQL: in use, open, most", "pool", "kind"
        )
        self._ahead = gauge(
            "partitions_ahead_seconds", "For how long from now on a table has partitions to write to", "table"
        )
        self._seal_lag = gauge(
            "audit_seal_lag_seconds", "How old the oldest audit event is that isn't sealed; 0 when all are", "of"
        )
        self._certificate = gauge(
            "tls_certificate_expiry_timestamp_seconds",
            "When the certificate that this coordinator shows is no longer good; not there where it speaks plain",
            "of",
        )
        self._upkeep = gauge(
            "upkeep_last_success_timestamp_seconds", "When upkeep last went through; on the leader only", "of"
        )
        self._interruptions = Counter(
            "niyanta_broker_interruptions_total", "Times that the link to NATS was lost", registry=registry
        )
        self._failures = Counter(
            "niyanta_database_failures_total",
            "Uses of PostgreSQL that failed as it was away, too slow, or had no connection free",
            registry=registry,
        )
        self._counted = (0, 0)

    def show(self, reading: Reading) -> None:
        """Show this and nothing older."""
        self._leader.set(reading.is_leader)
        self._broker.set(reading.broker_connected)
        self._database.set(reading.database_connected)
        self._watchers.set(reading.watchers)
        known = reading.database_connected
        if known:
            self._epoch.set(reading.epoch)
        _set(self._queued, reading.queued)
        _set(self._oldest, reading.oldest_seconds)
        _set(self._running, reading.running)
        _set(self._workers, reading.workers)
        used = sum(reading.running.values())
        _set(self._capacity, {"total": reading.capacity, "used": used} if known else {})
        _set(self._ahead, reading.partitions_ahead_seconds)
        _set(self._seal_lag, {"oldest": reading.audit_seal_lag_seconds} if known else {})
        _set(self._lanes, {} if reading.lanes is None else {"leader": reading.lanes})
        ends_at = reading.certificate_ends_at
        _set(self._certificate, {} if ends_at is None else {"listeners": ends_at})
        _set(self._upkeep, {} if reading.upkeep_at is None else {"leader": reading.upkeep_at})
        self._slots.clear()
        for tag, (total, taken) in reading.slots_by_tag.items():
            self._slots.labels(tag, "total").set(total)
            self._slots.labels(tag, "used").set(taken)
        self._pools.clear()
        for pool, use in reading.pools.items():
            for kind, count in (("in_use", use.in_use), ("open", use.open), ("most", use.most)):
                self._pools.labels(pool, kind).set(count)
        # Of two scrapes at once the older reading may come last.
        interruptions = max(self._counted[0], reading.broker_interruptions)
        failures = max(self._counted[1], reading.database_failures)
        self._interruptions.inc(interruptions - self._counted[0])
        self._failures.inc(failures - self._counted[1])
        self._counted = (interruptions, failures)


def _set(gauge: Gauge, values: Mapping[str, float]) -> None:
    """Show these values and no older ones."""
    gauge.clear()
    for label, value in values.items():
        gauge.labels(label).set(value)
