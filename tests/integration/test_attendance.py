"""A coordinator without its database leaves what workers send to the others."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest
from chaos.proxy import Proxy

from niyanta.errors import ConnectionFailedError, ServiceUnavailableError
from niyanta.server.fleet.attendance import Attendance
from niyanta.server.fleet.pulse import Pulse
from niyanta.server.store.database import Database, Pool
from niyanta.wire.broker import Broker
from niyanta.wire.subjects import Subjects
from support.pace import pace


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

    @asynccontextmanager
    async def new_connection(self) -> AsyncIterator[Any]:
        if self.is_away:
            raise ServiceUnavailableError("away")
        async with self._database.new_connection() as conn:
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


@pytest.fixture
async def behind_proxy(database_url: str) -> AsyncIterator[tuple[Proxy, Database]]:
    place = urlsplit(database_url)
    assert place.port is not None
    proxy = Proxy("database", place.port)
    await proxy.start()
    netloc = place.netloc.replace(f":{place.port}", f":{proxy.port}")
    database = await Database.open(urlunsplit(place._replace(netloc=netloc)))
    yield proxy, database
    proxy.heal()
    await database.close()
    await proxy.stop()


class NoBroker:
    async def resume(self, subject: str) -> None:
        return None

    suspend = resume


def _attendance(database: Database) -> Attendance:
    broker: Any = NoBroker()
    return Attendance(database, broker, Subjects("unused"))


async def _look_until(
    attendance: Attendance, seconds: float, over: Callable[[], bool | None] = lambda: False
) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and not over():
        await attendance.look()


async def _wait_long(database: Database) -> None:
    async with database.connection(Pool.VITAL) as conn:
        await conn.execute("SELECT pg_sleep(7)")


@pytest.mark.parametrize("is_frozen", [False, True])
async def test_a_database_that_is_slow_for_all_is_waited_for(
    behind_proxy: tuple[Proxy, Database], is_frozen: bool
) -> None:
    proxy, database = behind_proxy
    attendance = _attendance(database)
    waiting = asyncio.create_task(_wait_long(database))
    await _look_until(attendance, 0.2)
    if is_frozen:
        proxy.to_server.moving.clear()
    else:
        proxy.to_client.delay_seconds = 1.5
    attended = []
    await _look_until(attendance, 6, lambda: attended.append(attendance.attends))
    assert attended[-1] is False
    proxy.heal()
    await _look_until(attendance, 10, lambda: attendance.attends)
    await waiting  # nobody has cut it


async def test_old_connections_that_are_silent_while_a_new_one_is_answered_are_given_up(
    behind_proxy: tuple[Proxy, Database], database_url: str
) -> None:
    proxy, database = behind_proxy
    attendance = _attendance(database)
    await _look_until(attendance, 0.2)
    waiting = asyncio.create_task(_wait_long(database))
    await _look_until(attendance, 0.2)
    proxy.to_server.moving.clear()  # for good, as of a server that is gone; another is where new connections go
    elsewhere = await Database.open(database_url)
    database.new_connection = elsewhere.new_connection  # type: ignore[method-assign]
    began = time.monotonic()
    await _look_until(attendance, 12, waiting.done)
    with pytest.raises(ServiceUnavailableError):
        await waiting
    assert 3 < time.monotonic() - began < 5 + 1.5 * pace()
    await elsewhere.close()


class Stuck:
    """A coordinator's link in a thread and a loop of its own, which can be made to stand still."""

    def __init__(self, nats_url: str, subject: str, queue_group: str) -> None:
        self._link = (nats_url, subject, queue_group)
        self._loop = asyncio.new_event_loop()
        self._go_on = threading.Event()
        self._over = asyncio.Event()
        self.serves = threading.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=[self._serve()])
        self._thread.start()

    async def _serve(self) -> None:
        nats_url, subject, queue_group = self._link

        async def answer(_: bytes) -> bytes:
            return b"ill"

        broker = Broker(nats_url, name="ill")
        await broker.connect()
        await broker.serve(subject, answer, queue_group=queue_group)
        with Pulse(broker.cut, 0.6):
            self.serves.set()
            await self._over.wait()
        await broker.close()

    def stand_still(self) -> None:
        self._loop.call_soon_threadsafe(self._go_on.wait)

    def go_on(self) -> None:
        self._go_on.set()

    def end(self) -> None:
        self._go_on.set()
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join()
        self._loop.close()


async def test_a_coordinator_whose_loop_is_stuck_leaves_and_joins_again_when_it_goes_on(
    nats_url: str, subject_prefix: str
) -> None:
    subject = f"{subject_prefix}.beats"
    well, worker = (Broker(nats_url, name=name, stay_seconds=0) for name in ("well", "worker"))
    await well.connect()
    await worker.connect()

    async def answer(_: bytes) -> bytes:
        return b"well"

    async def takers() -> set[bytes]:
        found: set[bytes] = set()
        for _ in range(60):
            with contextlib.suppress(ConnectionFailedError):  # taken by one that leaves or joins at this moment
                found.add(await worker.request(subject, b"", timeout_seconds=0.5))
        return found

    async def until_both_take() -> None:
        async with asyncio.timeout(30):
            while await takers() != {b"ill", b"well"}:
                pass

    await well.serve(subject, answer, queue_group="coordinators")
    ill = Stuck(nats_url, subject, "coordinators")
    try:
        assert await asyncio.to_thread(ill.serves.wait, 10)
        await until_both_take()
        ill.stand_still()
        began = time.monotonic()
        while True:  # what it has taken is lost, until it is out
            try:
                assert await worker.request(subject, b"", timeout_seconds=0.2) == b"well"
                if time.monotonic() - began > 2.5:
                    break
            except ConnectionFailedError:
                assert time.monotonic() - began < 20 * pace()
        assert await takers() == {b"well"}
        ill.go_on()
        await until_both_take()
    finally:
        ill.end()
        await well.close()
        await worker.close()
