"""A drain that moves, while a coordinator is killed in the middle: nothing is lost, and no step is done twice."""

from __future__ import annotations

import json
import signal
from collections import Counter
from pathlib import Path

import pytest

from support.cluster import AWAY, Cluster, eventually, running_cluster, submission
from support.pace import pace

pytestmark = pytest.mark.chaos

STEPS = 24


async def submit_to(cluster: Cluster, worker_id: str, pause_ms: int) -> str:
    """One that would rather run there, and saves a checkpoint only when it is asked for one."""
    body = submission("chaos_steps", steps=STEPS, pause_ms=pause_ms, every=1_000_000)
    body["affinity_rules"] = {"soft_affinity": {"worker_id": worker_id}}
    answer = await cluster.call("POST", "/workloads", body)
    assert answer.status == 202, answer
    return str(answer.body["workload_id"])


def steps_done(cluster: Cluster, workload_id: str) -> Counter[int]:
    """How often each step was done, in all attempts."""
    texts = [path.read_text() for path in cluster.traces.glob(f"{workload_id}.*")]
    lines = [json.loads(line) for text in texts for line in text.splitlines()]
    return Counter(line["step"] for line in lines if line["what"] == "step")


@pytest.mark.parametrize("moment", ["as the order is given", "when the first has left"])
@pytest.mark.timeout(300)
async def test_a_drain_that_moves_outlives_its_coordinator(tmp_path: Path, moment: str) -> None:
    async with running_cluster(tmp_path / "c", coordinators=2, workers=2) as cluster:
        ids = [await submit_to(cluster, "w0", pause_ms) for pause_ms in (200, 700, 1200, 1700)]
        for workload_id in ids:
            found = await cluster.until_status(workload_id, "RUNNING", 20 * pace())
            assert found["worker_id"] == "w0"
        killed = await cluster.leader()
        other = 1 - killed
        path, body = "/admin/workers/w0/drain", {"mode": "move"}
        cluster.coordinators[killed].restart_seconds = AWAY
        if moment == "as the order is given":
            cluster.coordinators[killed].signal(signal.SIGSTOP)  # it has the request, and will never answer
            assert (await cluster.call("POST", path, body, via=killed, key="admin", seconds=0.5)).status == 0
            cluster.coordinators[killed].signal(signal.SIGKILL)
            answer = await cluster.call("POST", path, body, via=other, key="admin")
            assert (answer.status, answer.body["remaining"]) == (200, 4), answer
        else:
            answer = await cluster.call("POST", path, body, via=killed, key="admin")
            assert (answer.status, answer.body["remaining"]) == (200, 4), answer
            await cluster.until(ids[0], lambda found: found["generation"] == 2, 20 * pace(), via=other)
            cluster.coordinators[killed].signal(signal.SIGKILL)

        async def is_empty() -> bool:
            answer = await cluster.call("GET", path, via=other, key="admin", seconds=5)
            return answer.status == 200 and answer.body["remaining"] == 0

        await eventually(is_empty, 40 * pace(), "the worker has nothing left")
        for workload_id in ids:
            found = await cluster.until_status(workload_id, "COMPLETED", 90 * pace(), via=other)
            assert (found["result_data"]["step"], found["retry_count"], found["generation"]) == (STEPS, 0, 2)
            assert steps_done(cluster, workload_id) == Counter(range(1, STEPS + 1))
        answer = await cluster.call("GET", path, via=other, key="admin")
        outcomes = [(each["outcome"], each["moved_to"], each["seconds_lost"]) for each in answer.body["workloads"]]
        assert outcomes == [("moved", "w1", 0.0)] * 4
        assert all(each["checkpoint_sequence"] == 1 for each in answer.body["workloads"])
