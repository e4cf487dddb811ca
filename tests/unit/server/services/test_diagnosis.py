"""What the doctor makes of what it sees."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from niyanta import __version__
from niyanta.domain.workers import WorkerStatus
from niyanta.server.services.diagnosis import (
    Finding,
    Severity,
    cgroup_finding,
    clock_finding,
    leader_finding,
    partition_findings,
    worker_findings,
)
from niyanta.server.settings import CoordinatorSettings
from niyanta.server.store.lease import StoredLease
from niyanta.server.store.vitals import PartitionSpan
from niyanta.server.store.workers import StoredWorker

SETTINGS = CoordinatorSettings(database_url="postgresql://x", nats_url="nats://x")
DAY = 86_400.0


def worker(worker_id: str = "w1", **fields: Any) -> StoredWorker:
    known: dict[str, Any] = {
        "incarnation": "i",
        "status": WorkerStatus.HEALTHY,
        "capacity": 4,
        "tags": {},
        "handlers": [],
        "version": __version__,
        "registered_at": datetime.now(UTC),
        "last_heartbeat": datetime.now(UTC),
        "silent_seconds": 0.5,
    }
    return StoredWorker(worker_id=worker_id, **known | fields)


def bad(found: list[Finding]) -> list[tuple[str, Severity]]:
    assert [finding for finding in found if (finding.severity is Severity.OK) != (finding.advice == "")] == []
    return [(finding.check, finding.severity) for finding in found if finding.severity is not Severity.OK]


@pytest.mark.parametrize(
    ("skew", "severity"), [(0.2, Severity.OK), (-0.9, Severity.OK), (2.0, Severity.WARNING), (-60.0, Severity.WRONG)]
)
def test_clocks(skew: float, severity: Severity) -> None:
    assert clock_finding(skew).severity is severity
    assert ("behind" in clock_finding(skew).text) == (skew < -1)


def test_somebody_has_to_lead() -> None:
    lease = StoredLease(epoch=3, holder="k1", held=True, left_seconds=4.0)
    assert leader_finding(lease).severity is Severity.OK
    gone = leader_finding(StoredLease(epoch=3, holder="k1", held=False, left_seconds=-12.0))
    assert gone.severity is Severity.WRONG
    assert "12 s" in gone.text


def test_partitions_have_to_be_there_and_old_ones_to_go() -> None:
    good = [
        PartitionSpan(parent="workload_logs", ahead_seconds=13 * DAY, behind_seconds=31 * DAY),
        PartitionSpan(parent="audit_events", ahead_seconds=80 * DAY, behind_seconds=400 * DAY),
    ]
    assert bad(partition_findings(good, SETTINGS)) == []
    old = [
        PartitionSpan(parent="workload_logs", ahead_seconds=2 * DAY, behind_seconds=34 * DAY),
        PartitionSpan(parent="audit_events", ahead_seconds=80 * DAY, behind_seconds=430 * DAY),
    ]
    assert bad(partition_findings(old, SETTINGS)) == [
        ("partitions", Severity.WRONG),
        ("retention", Severity.WARNING),
        ("retention", Severity.WARNING),
    ]


def test_workers_of_this_release_are_fine() -> None:
    assert bad(worker_findings([worker(), worker("w2", status=WorkerStatus.DEAD)], 10.0)) == []


@pytest.mark.parametrize(
    ("workers", "found"),
    [
        ([], [("workers", Severity.WRONG)]),
        ([worker(status=WorkerStatus.DEAD)], [("workers", Severity.WRONG)]),
        ([worker(status=WorkerStatus.DRAINING)], [("workers", Severity.WRONG)]),
        ([worker(silent_seconds=6.0)], [("workers", Severity.WARNING)]),
        ([worker(), worker("w2", version="0.0.9")], [("versions", Severity.WARNING)]),
    ],
)
def test_what_is_wrong_with_workers(workers: list[StoredWorker], found: list[tuple[str, Severity]]) -> None:
    assert bad(worker_findings(workers, 10.0)) == found


def test_many_silent_ones_are_told_shortly() -> None:
    silent = [worker(f"w{number}", silent_seconds=9.0) for number in range(8)]
    assert "w4 and 3 more" in worker_findings(silent, 10.0)[1].text


def test_limits_that_the_kernel_keeps() -> None:
    assert cgroup_finding({"memory", "cpu", "pids", "io"}).severity is Severity.OK
    without = cgroup_finding({"pids"})
    assert without.severity is Severity.WARNING
    assert "memory, cpu" in without.text
