"""What to make of what is seen of a running system, and what to do about it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from datetime import datetime
from enum import StrEnum

import msgspec

from niyanta.domain.workers import WorkerStatus
from niyanta.server.access.certificates import ENDS_SOON
from niyanta.server.access.exposure import Exposure
from niyanta.server.settings import CoordinatorSettings
from niyanta.server.store.lease import StoredLease
from niyanta.server.store.pools import Standing
from niyanta.server.store.retention import AUDIT, LOGS
from niyanta.server.store.schema import SchemaStatus
from niyanta.server.store.vitals import PartitionSpan
from niyanta.server.store.workers import StoredWorker
from niyanta.version import __version__

__all__ = [
    "Finding",
    "Severity",
    "cgroup_finding",
    "clock_finding",
    "database_finding",
    "leader_finding",
    "partition_findings",
    "role_finding",
    "schema_finding",
    "tls_findings",
    "worker_findings",
]

_DAY = 86_400.0
_FEWEST_DAYS_AHEAD = 3.0
_SLACK_DAYS = {LOGS.name: 3.0, AUDIT.name: 63.0}
"""How much older than it is kept a row may be in good order: a partition goes as a whole, at the next upkeep."""
_SKEW_SECONDS = 1.0
_MOST_SKEW_SECONDS = 5.0
_SLOW_SECONDS = 0.25


class Severity(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"
    WRONG = "wrong"


class Finding(msgspec.Struct, frozen=True):
    """What one check found."""

    check: str
    severity: Severity
    text: str
    advice: str = ""
    """What to do; empty when all is well."""


_HOW = {"traffic.in_the_clear": "in the clear", "traffic.unverified": "to whomever answers"}


def tls_findings(exposed: Sequence[Exposure], ends_at: datetime | None, now: datetime) -> list[Finding]:
    """What can be read on the way, and how long the listeners' certificate, if there is one, is still good."""
    found = [
        Finding(
            "tls", Severity.WARNING, f"to the {way.way} ({way.where}) {_HOW[way.event]}: {way.danger}", way.advice
        )
        for way in exposed
    ]
    if ends_at is not None:
        left, day = ends_at - now, ends_at.date().isoformat()
        advice = "Replace NIYANTA_TLS_CERT and NIYANTA_TLS_KEY: coordinators read them again by themselves."
        if left.total_seconds() <= 0:
            found.append(Finding("tls", Severity.WRONG, f"the certificate ended on {day}", advice))
        elif left < ENDS_SOON:
            found.append(Finding("tls", Severity.WARNING, f"the certificate ends on {day}", advice))
        else:
            found.append(Finding("tls", Severity.OK, f"the certificate is good until {day}"))
    return found or [Finding("tls", Severity.OK, "nothing leaves this machine in the clear")]


def database_finding(schema: str, took_seconds: float) -> Finding:
    """How soon the database answers, of which all else is known to be in order."""
    text = f"schema {schema}, answers in {took_seconds * 1000:.0f} ms"
    if took_seconds <= _SLOW_SECONDS:
        return Finding("database", Severity.OK, text)
    advice = "It is far away, or busy: each move of a workload waits for it several times."
    return Finding("database", Severity.WARNING, text, advice)


def schema_finding(found: SchemaStatus) -> Finding | None:
    """What is wrong with the schema, if anything is."""
    if not found.known:
        text = f"its schema ({found.current}) is of a newer release than this one ({found.newest})"
        return Finding("database", Severity.WRONG, text, "Run the doctor of the release that migrated it.")
    if not found.is_current:
        text = f"its schema is {found.current or 'empty'}, this release needs {found.newest}"
        return Finding("database", Severity.WRONG, text, "Run `niyanta db upgrade`.")
    return None


def role_finding(standing: Standing) -> Finding:
    """Whether coordinators may do no more than they need, in the role that was given."""
    if standing.is_superuser or standing.owns_schema:
        what = "is a superuser" if standing.is_superuser else "owns the schema"
        text = f"{standing.role} {what}: who breaks into a coordinator can change everything, history included"
    elif not standing.hides_others:
        text = f"{standing.role} sees all customers, whoever asks: row-level security is off"
    else:
        return Finding("role", Severity.OK, f"{standing.role} reads and writes rows, and owns nothing")
    advice = "Run `niyanta db roles --apply` as the owner, and give coordinators the role niyanta_coordinator."
    return Finding("role", Severity.WARNING, text, advice)


def clock_finding(skew_seconds: float) -> Finding:
    """How far the database's clock is from this machine's."""
    if abs(skew_seconds) <= _SKEW_SECONDS:
        return Finding("clocks", Severity.OK, f"the database's is {abs(skew_seconds):.2f} s off this machine's")
    severity = Severity.WRONG if abs(skew_seconds) > _MOST_SKEW_SECONDS else Severity.WARNING
    where = "ahead of" if skew_seconds > 0 else "behind"
    text = f"the database's is {abs(skew_seconds):.1f} s {where} this machine's"
    return Finding(
        "clocks", severity, text, "Have both synchronized (chrony, systemd-timesyncd): tokens and times depend on it."
    )


def leader_finding(lease: StoredLease) -> Finding:
    """Whether anybody leads."""
    if lease.held:
        text = f"{lease.holder} leads, epoch {lease.epoch}, renewed until {lease.left_seconds:.1f} s from now"
        return Finding("leader", Severity.OK, text)
    text = f"nobody leads since {-lease.left_seconds:.0f} s; the last was {lease.holder or 'nobody'}"
    return Finding(
        "leader", Severity.WRONG, text, "Start a coordinator, or read why those that run don't get the lease."
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
                    "partitions", Severity.WRONG, text, "Restart a coordinator and read its log: upkeep makes them."
                )
            )
        else:
            found.append(Finding("partitions", Severity.OK, f"{span.parent} has them for {ahead:.0f} days"))
        kept = kept_days[span.parent]
        if behind > kept + _SLACK_DAYS[span.parent]:
            text = f"{span.parent} goes back {behind:.0f} days and should be kept for {kept}"
            advice = "Upkeep fails, or coordinators have another NIYANTA_…_RETENTION_DAYS: read the leader's log."
            found.append(Finding("retention", Severity.WARNING, text, advice))
        else:
            found.append(Finding("retention", Severity.OK, f"{span.parent} is kept for {kept} days"))
    return found


def worker_findings(workers: Sequence[StoredWorker], lease_seconds: float) -> list[Finding]:
    """Whether there are workers, of which releases, and whether they are heard."""
    live = [worker for worker in workers if worker.status is not WorkerStatus.DEAD]
    if not live:
        return [
            Finding(
                "workers",
                Severity.WRONG,
                "there is none, so nothing runs",
                "Start one: `niyanta worker --app module:worker`.",
            )
        ]
    found = []
    slots = sum(worker.capacity for worker in live)
    found.append(Finding("workers", Severity.OK, f"{len(live)} with {slots} slots"))
    if all(worker.status is WorkerStatus.DRAINING for worker in live):
        found.append(
            Finding("workers", Severity.WRONG, "all are draining", "Take it back: `niyanta workers undrain ID`.")
        )
    if silent := sorted(w.worker_id for w in live if w.silent_seconds > lease_seconds / 2):
        advice = "Look at their machines and at their way to the broker."
        found.append(Finding("workers", Severity.WARNING, f"not heard for half a lease: {_some(silent)}", advice))
    if dead := len(workers) - len(live):
        text = f"{dead} ended within the hour"
        found.append(Finding("workers", Severity.OK, text))
    others = Counter(worker.version for worker in live if worker.version != __version__)
    if others:
        text = ", ".join(f"{count} of {version}" for version, count in sorted(others.items()))
        advice = "Fine in an upgrade; releases further apart than one aren't tested together."
        found.append(
            Finding("versions", Severity.WARNING, f"this is {__version__}, of the workers are {text}", advice)
        )
    else:
        found.append(Finding("versions", Severity.OK, f"all workers are of {__version__}"))
    return found


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def cgroup_finding(controllers: Collection[str]) -> Finding:
    """Which limits the kernel keeps for attempts on this machine.

    Args:
        controllers: Of ``memory``, ``pids`` and ``cpu`` those of which we can make groups.
    """
    missing = [name for name in ("memory", "cpu", "pids") if name not in controllers]
    if not missing:
        return Finding("cgroups", Severity.OK, "the kernel keeps limits of memory, processor and processes here")
    text = f"the kernel doesn't keep limits of {', '.join(missing)} for attempts on this machine"
    advice = (
        "On a worker's machine: Delegate=yes in its systemd unit. Limits are watched meanwhile, that of cpu isn't."
    )
    return Finding("cgroups", Severity.WARNING, text, advice)
