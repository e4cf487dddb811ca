"""Faults in a running system: what is frozen, killed or cut off changes nothing that was acknowledged."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from niyanta import Client
from processes import Dev, changes, until

pytestmark = pytest.mark.chaos

QUICK = {
    "NIYANTA_HEARTBEAT_INTERVAL_SECONDS": "0.5",
    "NIYANTA_WORKER_LEASE_SECONDS": "3",
}


@pytest.fixture
def dev(tmp_path: Path) -> Iterator[Dev]:
    system = Dev(tmp_path / "data", QUICK)
    system.start()
    yield system
    system.end()


def engine(dev: Dev, name: str) -> psutil.Process:
    """The engine's own process, below its guardian."""
    for process in dev.descendants():
        if process.name() == name and "guardian" not in " ".join(process.cmdline()):
            return process
    raise AssertionError(f"no {name} is running")


def wait_for_checkpoint(client: Client, workload_id: str) -> None:
    for workload in changes(client, workload_id):
        if (workload.checkpoint_sequence or 0) >= 3:
            return


def events(client: Client, workload_id: str) -> list[str]:
    return [event.event_type.removeprefix("workload.") for event in client.workloads.audit(workload_id)]


def test_a_frozen_worker_changes_nothing_when_it_thaws(dev: Dev) -> None:
    with dev.client() as client:
        counting = client.workloads.submit("count", {"to": 400})
        wait_for_checkpoint(client, counting.id)
        agent = psutil.Process(dev.pids()["worker-1"])
        agent.send_signal(signal.SIGSTOP)
        lost = until(client, counting.id, "REDISTRIBUTING")
        agent.send_signal(signal.SIGCONT)
        # The only worker registers anew, as another incarnation, and takes it up from the checkpoint.
        done = client.workloads.wait_for_completion(counting.id, 60)
        assert done.result_data is not None
        assert lost.checkpoint_sequence is not None
        assert done.result_data["begun_at"] >= lost.checkpoint_sequence
        assert done.generation is not None
        assert lost.generation is not None
        assert done.generation > lost.generation
        assert events(client, counting.id).count("completed") == 1


def test_a_broker_that_is_killed_moves_no_workload(dev: Dev) -> None:
    with dev.client() as client:
        counting = client.workloads.submit("count", {"to": 300})
        wait_for_checkpoint(client, counting.id)
        engine(dev, "nats-server").kill()
        done = client.workloads.wait_for_completion(counting.id, 60)
        assert done.retry_count == 0
        assert "redistributed" not in events(client, counting.id)


def test_a_database_that_is_killed_loses_nothing_acknowledged(dev: Dev) -> None:
    with dev.client() as client:
        ids = [client.workloads.submit("count", {"to": 60}).id for _ in range(3)]
        wait_for_checkpoint(client, ids[0])
        pid = int((dev.data_dir / "postgres" / "cluster" / "postmaster.pid").read_text().split()[0])
        psutil.Process(pid).kill()
        ids += [client.workloads.submit("count", {"to": 5}).id for _ in range(3)]
        for workload_id in ids:
            done = client.workloads.wait_for_completion(workload_id, 60)
            assert done.retry_count == 0
            assert events(client, workload_id).count("completed") == 1
