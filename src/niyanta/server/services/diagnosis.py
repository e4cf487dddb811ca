"""Looks at a running system from outside, by its database, its broker and this machine, and says what to do."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Sequence
from enum import StrEnum

import msgspec

from niyanta.domain.workers import WorkerStatus
from niyanta.errors import NiyantaError
from niyanta.server.settings import CoordinatorSettings
from niyanta.server.store import schema as schemas
from niyanta.server.store.database import Database
from niyanta.server.store.lease import LeaseStore, StoredLease
from niyanta.server.store.retention import AUDIT, LOGS
from niyanta.server.store.vitals import PartitionSpan, VitalsStore
from niyanta.server.store.workers import StoredWorker, WorkerStore
from niyanta.version import __version__
from niyanta.wire.broker import Broker

__all__ = [
    "Finding",
    "Verdict",
    "broker_findings",
    "cgroup_finding",
    "clock_finding",
    "database_findings",
    "leader_finding",
    "partition_findings",
    "worker_findings",
]

_DAY = 86_400.0
_FEWEST_DAYS_AHEAD = 3.0
_SLACK_DAYS = {LOGS.name: 3.0, AUDIT.name: 63.0}
"""How much older than it is kept a row may be in good order: a partition goes as a whole, at the next upkeep."""
_SKEW_SECONDS = 1.0
_MOST_SKEW_SECONDS = 5.0
_SLOW_SECONDS = 0.25


class Verdict(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"
    WRONG = "wrong"


class Finding(msgspec.Struct, frozen=True):
    """What one check found."""

    check: str
    verdict: Verdict
    text: str
    advice: str = ""
    """What to do; empty when all is well."""


async def database_findings(url: str, settings: CoordinatorSettings) -> list[Finding]:
    """The database, and what it says of the leader, the clocks, partitions, retention and workers."""
    try:
        schema = await schemas.status(url)
        if not schema.known:
            text = f"its schema ({schema.current}) is of a newer release than this one ({schema.newest})"
            return [Finding("database", Verdict.WRONG, text, "Run the doctor of the release that migrated it.")]
        if not schema.is_current:
            text = f"its schema is {schema.current or 'empty'}, this release needs {schema.newest}"
            return [Finding("database", Verdict.WRONG, text, "Run `niyanta db upgrade`.")]
        database = await Database.open(url, api_connections=1, vital_connections=1)
    except NiyantaError as exc:
        advice = "Is it there, does it take writes, and is NIYANTA_DATABASE_URL right?"
        return [Finding("database", Verdict.WRONG, str(exc), advice)]
    try:
        async with database.connection() as conn:
            before, began = time.time(), time.monotonic()
            now = (await WorkerStore().time_now(conn)).timestamp()
            took = time.monotonic() - began
            lease = await LeaseStore().current(conn)
            spans = await VitalsStore().partition_spans(conn)
            workers = await WorkerStore().all(conn)
    except NiyantaError as exc:
        return [Finding("database", Verdict.WRONG, str(exc), "Look at its log and at what its connections wait for.")]
    finally:
        await database.close()
    verdict = Verdict.WARNING if took > _SLOW_SECONDS else Verdict.OK
    advice = (
        "It is far away, or busy: each move of a workload waits for it several times." if took > _SLOW_SECONDS else ""
    )
    return [
        Finding("database", verdict, f"schema {schema.current}, answers in {took * 1000:.0f} ms", advice),
        clock_finding(now - before - took / 2),
        leader_finding(lease),
        *partition_findings(spans, settings),
        *worker_findings(workers, settings.worker_lease_seconds),
    ]


def clock_finding(skew_seconds: float) -> Finding:
    """How far the database's clock is from this machine's."""
    if abs(skew_seconds) <= _SKEW_SECONDS:
        return Finding("clocks", Verdict.OK, f"the database's is {abs(skew_seconds):.2f} s off this machine's")
    verdict = Verdict.WRONG if abs(skew_seconds) > _MOST_SKEW_SECONDS else Verdict.WARNING
    where = "ahead of" if skew_seconds > 0 else "behind"
    text = f"the database's is {abs(skew_seconds):.1f} s {where} this machine's"
    return Finding(
        "clocks", verdict, text, "Have both synchronized (chrony, systemd-timesyncd): tokens and times depend on it."
    )


def leader_finding(lease: StoredLease) -> Finding:
    """Whether anybody leads."""
    if lease.held:
        text = f"{lease.holder} leads, epoch {lease.epoch}, renewed until {lease.left_seconds:.1f} s from now"
        return Finding("leader", Verdict.OK, text)
    text = f"nobody leads since {-lease.left_seconds:.0f} s; the last was {lease.holder or 'nobody'}"
    return Finding(
        "leader", Verdict.WRONG, text, "Start a coordinator, or read why those that run don't get the lease."
    )


def partition_findings(spans: Sequence[PartitionSpan], settings: CoordinatorSettings) -> list[Finding]:
    """Whether there are partitions for what comes, and whether what is old goes."""
    kept_days = {LOGS.name: settings.log_retention_days, AUDIT.name: settings.audit_retention_days}
    found = []
    for span in spans:
        ahead, behind = span.ahead_seconds / _DAY, span.behind_seconds / _DAY
        if ahead < _FEWEST_DAYS_AHEAD:
            text = f"those of {span.parent} end in {ahead:.1f} days; then nothing can be written there"
            found.append(
                Finding(
                    "partitions", Verdict.WRONG, text, "Restart a coordinator and read its log: upkeep makes them."
                )
            )
        else:
            found.append(Finding("partitions", Verdict.OK, f"{span.parent} has them for {ahead:.0f} days"))
        kept = kept_days[span.parent]
        if behind > kept + _SLACK_DAYS[span.parent]:
            text = f"{span.parent} goes back {behind:.0f} days and should be kept for {kept}"
            advice = "Upkeep fails, or coordinators have another NIYANTA_…_RETENTION_DAYS: read the leader's log."
            found.append(Finding("retention", Verdict.WARNING, text, advice))
        else:
            found.append(Finding("retention", Verdict.OK, f"{span.parent} is kept for {kept} days"))
    return found


def worker_findings(workers: Sequence[StoredWorker], lease_seconds: float) -> list[Finding]:
    """Whether there are workers, of which releases, and whether they are heard."""
    live = [worker for worker in workers if worker.status is not WorkerStatus.DEAD]
    if not live:
        return [
            Finding(
                "workers",
                Verdict.WRONG,
                "there is none, so nothing runs",
                "Start one: `niyanta worker --app module:worker`.",
            )
        ]
    found = []
    slots = sum(worker.capacity for worker in live)
    found.append(Finding("workers", Verdict.OK, f"{len(live)} with {slots} slots"))
    if all(worker.status is WorkerStatus.DRAINING for worker in live):
        found.append(
            Finding("workers", Verdict.WRONG, "all are draining", "Take it back: `niyanta workers undrain ID`.")
        )
    if silent := sorted(w.worker_id for w in live if w.silent_seconds > lease_seconds / 2):
        advice = "Look at their machines and at their way to the broker."
        found.append(Finding("workers", Verdict.WARNING, f"not heard for half a lease: {_some(silent)}", advice))
    if dead := len(workers) - len(live):
        text = f"{dead} ended within the hour"
        found.append(Finding("workers", Verdict.OK, text))
    others = Counter(worker.version for worker in live if worker.version != __version__)
    if others:
        text = ", ".join(f"{count} of {version}" for version, count in sorted(others.items()))
        advice = "Fine in an upgrade; releases further apart than one aren't tested together."
        found.append(
            Finding("versions", Verdict.WARNING, f"this is {__version__}, of the workers are {text}", advice)
        )
    else:
        found.append(Finding("versions", Verdict.OK, f"all workers are of {__version__}"))
    return found


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


async def broker_findings(url: str) -> list[Finding]:
    """Whether the broker is there and takes us."""
    broker = Broker(url, name="doctor")
    began = time.monotonic()
    try:
        await broker.connect(timeout_seconds=5.0)
    except NiyantaError as exc:
        advice = "Is it there, are the credentials right, and is NIYANTA_NATS_URL what coordinators and workers have?"
        return [Finding("broker", Verdict.WRONG, str(exc), advice)]
    took = time.monotonic() - began
    await broker.close()
    return [Finding("broker", Verdict.OK, f"connected in {took * 1000:.0f} ms")]


def cgroup_finding(controllers: Collection[str]) -> Finding:
    """Which limits the kernel keeps for attempts on this machine.

    Args:
        controllers: Of ``memory``, ``pids`` and ``cpu`` those of which we can make groups.
    """
    missing = [name for name in ("memory", "cpu", "pids") if name not in controllers]
    if not missing:
        return Finding("cgroups", Verdict.OK, "the kernel keeps limits of memory, processor and processes here")
    text = f"the kernel doesn't keep limits of {', '.join(missing)} for attempts on this machine"
    advice = (
        "On a worker's machine: Delegate=yes in its systemd unit. Limits are watched meanwhile, that of cpu isn't."
    )
    return Finding("cgroups", Verdict.WARNING, text, advice)
