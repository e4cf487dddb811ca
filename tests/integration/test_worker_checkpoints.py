"""What the service does with large and with damaged checkpoints, and where a new attempt's progress begins."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from niyanta import AsyncClient
from niyanta.server.coordinator import Coordinator
from niyanta.server.leader.audit_export import AUDIT_FOLDER
from niyanta.server.settings import CoordinatorSettings
from niyanta.server.store.customers import CustomerStore
from niyanta.server.store.database import Database
from niyanta.wire.broker import Broker
from niyanta.wire.messages import (
    Assignment,
    AttemptRef,
    CheckpointSaved,
    EventReply,
    Failed,
    Progressed,
    Released,
    Started,
)
from niyanta.wire.objects import ObjectStore, checkpoint_folder
from niyanta.wire.subjects import Subjects
from support.scripted_worker import ScriptedWorker


class System:
    def __init__(self, client: AsyncClient, worker: ScriptedWorker, objects: Path, database_url: str) -> None:
        self.client = client
        self.worker = worker
        self.objects = objects
        self.database_url = database_url

    async def begin(self) -> AttemptRef:
        await self.client.workloads.submit("count", {})
        return (await self.again()).ref

    async def again(self) -> Assignment:
        assignment = await self.worker.next_assignment()
        await self.worker.report(assignment.ref, Started())
        return assignment

    async def save_object(self, ref: AttemptRef, data: bytes, folder: str | None = None) -> EventReply:
        path = self.objects.with_name("upload")
        await asyncio.to_thread(path.write_bytes, data)
        where = folder or checkpoint_folder(ref.customer_id, ref.workload_id, ref.generation)
        key = await ObjectStore(self.objects.as_uri()).put(path, where)
        return await self.worker.report(
            ref, CheckpointSaved(b"", hashlib.sha256(data).digest(), "bytes", key, len(data))
        )

    def stored(self) -> set[bytes]:
        """What lies in the object store, but for what the leader writes of the audit."""
        files = (Path(folder, name) for folder, _, names in os.walk(self.objects) for name in names)
        return {file.read_bytes() for file in files if AUDIT_FOLDER not in file.as_posix()}


@pytest.fixture
async def system(database_url: str, nats_url: str, subject_prefix: str, tmp_path: Path) -> AsyncIterator[System]:
    objects = tmp_path / "objects"
    settings = CoordinatorSettings.from_environment(
        {"NIYANTA_OBJECT_STORE_URL": objects.as_uri()},
        database_url=database_url,
        nats_url=nats_url,
        broker_auth="none",
        subject_prefix=subject_prefix,
        port=0,
        grpc_port=0,
    )
    database = await Database.open(database_url)
    customers = CustomerStore(database)
    await customers.create_customer("a", "cust_a", "enterprise")
    _, key = await customers.create_key("cust_a", "test")
    coordinator = Coordinator(settings)
    await coordinator.start()
    broker = Broker(nats_url, name="test")
    await broker.connect()
    worker = ScriptedWorker(broker, Subjects(subject_prefix), "w1")
    assert (await worker.register()).accepted
    async with AsyncClient(key, f"http://127.0.0.1:{coordinator.port}") as client:
        yield System(client, worker, objects, database_url)
    await broker.close()
    await coordinator.stop()
    await database.close()


async def test_objects_of_dropped_checkpoints_are_deleted_and_no_others(system: System) -> None:
    ref = await system.begin()
    for number in range(12):
        assert (await system.save_object(ref, b"%d" % number)).checkpoint_sequence == number + 1
    kept = {b"%d" % number for number in range(2, 12)}
    async with asyncio.timeout(20):
        while system.stored() != kept:
            await asyncio.sleep(0.01)
    reply = await system.worker.fetch_checkpoint(ref, 12)
    assert reply.ok
    assert (reply.data, reply.total_bytes, reply.encoding) == (b"", 2, "bytes")
    assert reply.object_key is not None
    assert (system.objects / reply.object_key).read_bytes() == b"11"


async def test_an_object_elsewhere_is_refused(system: System) -> None:
    ref = await system.begin()
    reply = await system.save_object(ref, b"x", "checkpoints/cust_b/wl_1/1/")
    assert reply.checkpoint_error is not None
    assert "lies where it doesn't belong" in reply.checkpoint_error
    assert reply.checkpoint_sequence == 0


async def test_a_checkpoint_that_arrives_damaged_is_refused(system: System) -> None:
    ref = await system.begin()
    await system.worker.checkpoint(ref, b'{"n": 1}')
    digest = hashlib.sha256(b'{"n": 2}').digest()
    reply = await system.worker.report(ref, CheckpointSaved(b'{"n": 3}', digest))
    assert reply.checkpoint_error is not None
    assert "arrived damaged" in reply.checkpoint_error
    assert (await system.client.workloads.get(ref.workload_id)).checkpoint_sequence == 1
    assert (await system.worker.fetch_checkpoint(ref, 1)).data == b'{"n": 1}'


async def test_a_damaged_checkpoint_is_passed_over(system: System) -> None:
    ref = await system.begin()
    await system.worker.checkpoint(ref, b'{"n": 1}')
    await system.worker.checkpoint(ref, b'{"n": 2}')
    connection = await asyncpg.connect(system.database_url)
    await connection.execute(
        "UPDATE checkpoints SET data = set_byte(data, 6, get_byte(data, 6) # 1) WHERE sequence = 2"
    )
    await connection.close()
    reply = await system.worker.fetch_checkpoint(ref, 2)
    assert (reply.ok, reply.sequence, reply.data) == (True, 1, b'{"n": 1}')
    assert not (await system.worker.fetch_checkpoint(ref, 0)).ok


@pytest.mark.parametrize("how", ["released", "failed"])
async def test_a_new_attempt_begins_at_its_checkpoint_s_progress(system: System, how: str) -> None:
    ref = await system.begin()
    await system.worker.report(ref, Progressed(30))
    await system.worker.checkpoint(ref, b"{}")
    await system.worker.report(ref, Progressed(70))
    assert (await system.client.workloads.get(ref.workload_id)).progress_percent == 70
    await system.worker.report(ref, Released("drained") if how == "released" else Failed("x"))
    assignment = await system.worker.next_assignment(10)
    assert (assignment.progress_percent, assignment.checkpoint_sequence) == (30, 1)
    await system.worker.report(assignment.ref, Started())
    assert (await system.client.workloads.get(ref.workload_id)).progress_percent == 30


async def test_without_a_checkpoint_it_begins_at_nothing(system: System) -> None:
    ref = await system.begin()
    await system.worker.report(ref, Progressed(70))
    await system.worker.report(ref, Released("drained"))
    assert (await system.worker.next_assignment()).progress_percent == 0
