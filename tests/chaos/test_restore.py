"""The database is put back to an older backup while everything runs: nothing is wedged, and what is lost is known."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

import pytest

from support.cluster import AWAY, copy_database, running_cluster
from support.pace import pace

pytestmark = pytest.mark.chaos

SETTLED_SECONDS = 45.0
"""For what was restored as running on a worker that has it no more: until a beat says so, and the assignment of a
generation that was used before is taken back (10 s), and the next made."""


@pytest.mark.timeout(300)
async def test_everything_settles_after_a_restore_to_an_older_backup(tmp_path: Path) -> None:
    async with running_cluster(tmp_path / "c", coordinators=2, workers=2) as cluster:
        moved = await cluster.submit(steps=600, pause_ms=50)
        ended = await cluster.submit(steps=600, pause_ms=20, every=1)
        cancelled = await cluster.submit(steps=100_000, pause_ms=50)
        for workload_id in (moved, ended, cancelled):
            await cluster.until_status(workload_id, "RUNNING", 15 * pace())
        before = [await cluster.submit(steps=0) for _ in range(3)]
        for workload_id in before:
            await cluster.until_status(workload_id, "COMPLETED", 15 * pace())

        backup = tmp_path / "backup"
        await copy_database(cluster.postgres, backup)
        (backup / "standby.signal").unlink()

        # What the backup doesn't know: an end, a cancel, a new worker and another generation, more work.
        await cluster.until_status(ended, "COMPLETED", 60 * pace())
        assert (await cluster.call("POST", f"/workloads/{cancelled}/cancel")).status == 200
        where = (await cluster.until_status(moved, "RUNNING", 5))["worker_id"]
        worker = next(part for part in cluster.workers if part.name == where)
        worker.restart_seconds = AWAY
        worker.signal(signal.SIGKILL)
        await cluster.until(
            moved, lambda found: found["generation"] == 2 and found["status"] == "RUNNING", 40 * pace()
        )
        await worker.revive()
        later = await cluster.submit(steps=0)
        await cluster.until_status(later, "COMPLETED", 15 * pace())

        await cluster.postgres.stop()
        database = cluster.postgres.data_dir / "cluster"
        shutil.rmtree(database)
        backup.rename(database)
        await cluster.postgres.start()

        await cluster.until_ready(20 * pace())
        fresh = await cluster.submit(steps=0, via=1)
        await cluster.until_status(fresh, "COMPLETED", 15 * pace(), via=1)
        assert (await cluster.call("GET", f"/workloads/{later}")).status == 404
        for workload_id in before:
            await cluster.until_status(workload_id, "COMPLETED", 1)
        # All go on by themselves from where the backup had them.
        for workload_id in (moved, ended):
            await cluster.until_status(workload_id, "COMPLETED", SETTLED_SECONDS + 30 * pace())
        await cluster.until(cancelled, lambda found: found["progress_percent"] > 0, 30 * pace())
