"""A dump is restored on another server while workers run: they go on with it, as docs/operations.md says."""

from __future__ import annotations

import asyncio
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import msgspec
import pytest

from niyanta.embedded.postgres import binaries, url_as
from niyanta.server.coordinator import Coordinator
from niyanta.server.store.roles.writing import DatabaseRole
from niyanta.wire import messages
from support.system import System, beating


async def program(name: str, *words: str) -> None:
    process = await asyncio.create_subprocess_exec(str(binaries() / name), *words, stderr=asyncio.subprocess.PIPE)
    _, err = await process.communicate()
    assert process.returncode == 0, err.decode()


@pytest.mark.hasty
async def test_a_dump_is_restored_elsewhere_and_work_goes_on(system: System, tmp_path: Path) -> None:
    settings = system.coordinator.settings
    restored = f"{urlsplit(system.database_url).path[1:]}_restored"
    url = system.database_url.rpartition("/")[0] + f"/{restored}"
    worker = await system.worker(capacity=1)
    owner = await asyncpg.connect(system.database_url)
    try:
        async with beating(worker):
            running, waiting = [await system.submit() for _ in range(2)]
            ref = (await worker.next_assignment()).ref
            await worker.report(ref, messages.Started())
            await worker.checkpoint(ref, b'{"n": 1}')
            dump = str(tmp_path / "niyanta.dump")
            await program("pg_dump", "--format=custom", "--file", dump, system.database_url)
            await owner.execute(f"CREATE DATABASE {restored}")
            await program("pg_restore", "--no-owner", "--dbname", url, dump)
            await system.coordinator.stop()
            restored_url = url_as(url, DatabaseRole.COORDINATOR)
            another = Coordinator(
                msgspec.structs.replace(settings, database_url=restored_url, coordinator_id="k-restored")
            )
            await another.start()
            try:
                status, found, _ = await system.call("GET", f"/workloads/{ref.workload_id}", via=another)
                assert (status, found["status"], found["checkpoint_sequence"]) == (200, "RUNNING", 1)
                await worker.report(ref, messages.Completed(b"{}"))
                left = (await worker.next_assignment(10)).ref
                assert {ref.workload_id, left.workload_id} == {running, waiting}
                await worker.report(left, messages.Started(), messages.Completed(b"{}"))
                for workload_id in (running, waiting):
                    _, found, _ = await system.call("GET", f"/workloads/{workload_id}", via=another)
                    assert (found["status"], found["retry_count"]) == ("COMPLETED", 0)
            finally:
                await another.stop()
    finally:
        await owner.execute(f"DROP DATABASE IF EXISTS {restored} WITH (FORCE)")
        await owner.close()
