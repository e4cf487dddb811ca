"""A coordinator without its database leaves what workers send to the others."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from niyanta.errors import ServiceUnavailableError
from niyanta.server.fleet.attendance import Attendance
from niyanta.server.store.database import Database, Pool
from niyanta.wire.broker import Broker
from niyanta.wire.subjects import Subjects


class Flaky:
    """A database that can be taken away."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.is_away = False

    @asynccontextmanager
    async def connection(self, pool: Pool) -> AsyncIterator[Any]:
        if self.is_away:
            raise ServiceUnavailableError("away")
        async with self._database.connection(pool) as conn:
            yield conn


async def test_without_its_database_it_leaves_and_with_it_it_joins(
    database_url: str, nats_url: str, subject_prefix: str
) -> None:
    subjects = Subjects(subject_prefix)
    database = await Database.open(database_url)
    flaky: Any = Flaky(database)
    brokers = [Broker(nats_url, name=name, stay_seconds=0) for name in ("ill", "well", "worker")]
    for broker in brokers:
        await broker.connect()
    ill, well, worker = brokers
    for broker, name in ((ill, b"ill"), (well, b"well")):
        for subject in (subjects.events, subjects.register, subjects.checkpoint, subjects.heartbeat):

            async def answer(_: bytes, name: bytes = name) -> bytes:
                return name

            await broker.serve(subject, answer, queue_group=subjects.queue_group)
    attendance = Attendance(flaky, ill, subjects)

    async def takers(subject: str) -> set[bytes]:
        return {await worker.request(subject, b"", timeout_seconds=5) for _ in range(60)}

    try:
        await attendance.look()
        assert await takers(subjects.events) == {b"ill", b"well"}
        flaky.is_away = True
        await attendance.look()
        assert attendance.attends, "one look may fail"
        await attendance.look()
        for subject in (subjects.events, subjects.register, subjects.checkpoint):
            assert await takers(subject) == {b"well"}
        assert await takers(subjects.heartbeat) == {b"ill", b"well"}
        flaky.is_away = False
        await attendance.look()
        assert await takers(subjects.events) == {b"ill", b"well"}
    finally:
        for broker in brokers:
            await broker.close()
        await database.close()
