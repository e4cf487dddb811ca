"""Reasons why a workload waits: their codes, sentences and numbers, and what would take them away."""

from __future__ import annotations

import pytest

from niyanta.domain.explanation import (
    ReasonCode,
    back_off_reason,
    leader_reason,
    limit_reason,
    placement_reason,
    smallest_change,
    suspension_reason,
    turn_reason,
)
from niyanta.domain.placement import Affinity, Constraint, WorkerView, choose

GPU = Affinity(hard=Constraint(worker_tags={"hardware": "gpu"}))


def worker(name: str, capacity: int = 1, used: int = 0, **options: object) -> WorkerView:
    found = WorkerView(name, "i", capacity, {}, frozenset({"count", "render"}), **options)  # type: ignore[arg-type]
    for _ in range(used):
        found.take("count")
    return found


def with_gpu(name: str, **options: object) -> WorkerView:
    found = worker(name, **options)  # type: ignore[arg-type]
    found.tags = {"hardware": "gpu"}
    return found


def test_the_fleet_is_counted() -> None:
    found = placement_reason([worker("a"), worker("b"), with_gpu("c", used=1)], "count", GPU)
    assert found is not None
    assert found.code is ReasonCode.WORKERS_FULL
    assert found.summary == "every matching worker is full"
    assert found.message == (
        "every matching worker is full: 3 workers serve 'count', 2 lack tag hardware=gpu, 1 is full"
    )
    assert found.details["lacking"] == {"tag hardware=gpu": 2}
    assert (found.details["matching"], found.details["full"], found.details["slots"]) == (1, 1, 1)
    assert found.change == "one slot on a worker with hardware=gpu that serves 'count'"


ELSEWHERE = Affinity(
    hard=Constraint("w9", {"zone": "1", "hardware": "gpu"}, ("other",)), anti=Constraint(worker_tags={"old": "yes"})
)


@pytest.mark.parametrize(
    ("workers", "affinity", "code", "change"),
    [
        ([], Affinity(), ReasonCode.TYPE_NOT_SERVED, "one worker that serves 'count'"),
        ([worker("a", draining=True)], Affinity(), ReasonCode.TYPE_NOT_SERVED, "one worker that serves 'count'"),
        ([worker("a")], GPU, ReasonCode.NO_WORKER_MATCHES, "one worker with hardware=gpu that serves 'count'"),
        (
            [worker("a")],
            ELSEWHERE,
            ReasonCode.NO_WORKER_MATCHES,
            "one worker 'w9' with hardware=gpu, zone=1 that serves 'count' and 'other', outside its anti-affinity",
        ),
        (
            [worker("a")],
            Affinity(misfits=frozenset({"any"})),
            ReasonCode.INPUT_NOT_SERVED,
            "one worker that serves 'count' in a version that its input fits",
        ),
        (
            [worker("a", capacity=2, used=1)],
            Affinity(anti=Constraint(workload_types=("count",))),
            ReasonCode.AVOIDED_TYPE_RUNS,
            "one worker that serves 'count' that runs no 'count'",
        ),
        (
            [worker("a", resting=True)],
            Affinity(),
            ReasonCode.WORKERS_FULL,
            "one slot on a worker that serves 'count'",
        ),
    ],
)
def test_why_no_worker_takes_it(workers: list[WorkerView], affinity: Affinity, code: ReasonCode, change: str) -> None:
    found = placement_reason(workers, "count", affinity)
    assert found is not None
    assert (found.code, found.change) == (code, change)
    assert found.message.startswith(found.summary)


def test_there_is_a_reason_exactly_when_no_worker_can_be_chosen() -> None:
    rules = [Affinity(), GPU, Affinity(anti=Constraint(workload_types=("count",))), Affinity(anti=Constraint("c"))]
    fleets = [[worker("a")], [worker("a", used=1)], [with_gpu("c", capacity=2, used=1)], [worker("b", draining=True)]]
    for affinity in rules:
        for fleet in fleets:
            takes = [w for w in fleet if not w.draining and w.worker_id != affinity.anti.worker_id]
            takes = [w for w in takes if not affinity.hard.worker_tags or w.tags]
            can = choose(takes, affinity) is not None
            assert (placement_reason(fleet, "count", affinity) is None) is can


def test_the_others() -> None:
    assert limit_reason(9, 10) is None
    limit = limit_reason(10, 10)
    assert limit is not None
    assert limit.message == "the customer's limit: 10 of 10 concurrent workloads are running"
    none = limit_reason(0, 0)
    assert none is not None
    assert none.change == "an operator lets the customer run something"
    assert leader_reason(held=True, seconds=0) is None
    nobody = leader_reason(held=False, seconds=3.21)
    assert nobody is not None
    assert nobody.message == "held because no coordinator leads since 3.2 s"
    wait = back_off_reason(12.04, 2, "out of memory", taken_back=False)
    assert wait.message == "waiting for the back-off after a failed attempt to end: 12 s are left"
    assert wait.details == {"seconds_left": 12.0, "retry_count": 2, "last_error": "out of memory"}
    assert back_off_reason(-1, 0, None, taken_back=True).details == {"seconds_left": 0, "retry_count": 0}
    behind = turn_reason(4, is_bounded=False)
    assert behind.message == "waiting for its turn: 4 workloads of the customer's go before it"
    many = turn_reason(10_000, is_bounded=True)
    assert many.message == "waiting for its turn: 10,000 or more workloads of the customer's go before it"
    assert smallest_change([many]) == "all before it start, or its priority is raised above theirs"
    assert turn_reason(0, is_bounded=False).code is ReasonCode.ITS_TURN


def test_the_smallest_change_is_all_that_has_to_change() -> None:
    limit, wait = limit_reason(1, 1), back_off_reason(3, 1, None, taken_back=False)
    assert limit is not None
    assert smallest_change([wait]) is None
    assert smallest_change([wait, suspension_reason(), limit]) == (
        "an operator makes the customer active again and one running workload of the customer ends"
    )
