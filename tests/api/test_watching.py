"""Watches: a snapshot first, every move in order, log lines once, the end last; whatever the feed loses."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from niyanta.domain.customers import Role
from niyanta.errors import ForbiddenError, NotFoundError, ServiceUnavailableError, UnauthorizedError
from niyanta.server.access.identity import Authenticator
from niyanta.server.access.tokens import TokenVerifier
from niyanta.server.moves.feed import ChangeFeed
from niyanta.server.store.customers import CustomerStore, Identity
from niyanta.server.store.database import Database
from niyanta.server.store.sessions import SessionStore
from niyanta.server.store.watching import WatchStore
from niyanta.server.watching.service import Update, Watch, WatcherTooSlowError, WatchService
from niyanta.wire import messages
from niyanta.wire.broker import Broker, Responder
from niyanta.wire.subjects import Subjects
from support.scripted_worker import ScriptedWorker
from support.system import System, beating

A = Identity("cust_a", "key", Role.CUSTOMER)
B = Identity("cust_b", "key", Role.CUSTOMER)


class LossyBroker(Broker):
    """Loses messages on their way in."""

    def __init__(self, url: str, hears: Callable[[], bool]) -> None:
        super().__init__(url, name="watching")
        self._hears = hears
        self.lost = 0

    async def serve(self, subject: str, handler: Responder, *, queue_group: str = "") -> None:
        async def heard(payload: bytes) -> bytes | None:
            if self._hears():
                return await handler(payload)
            self.lost += 1
            return None

        await super().serve(subject, heard, queue_group=queue_group)


@contextlib.asynccontextmanager
async def watching(system: System, hears: Callable[[], bool] = lambda: True) -> AsyncIterator[WatchService]:
    """Watches as another replica offers them, one that hears each hint only if it is said to."""
    database = await Database.open(system.database_url)
    broker = LossyBroker(system.coordinator.settings.nats_url, hears)
    await broker.connect()
    feed = ChangeFeed(broker, Subjects(system.coordinator.settings.subject_prefix), "watching")
    await feed.start()
    authenticator = Authenticator(
        CustomerStore(database), SessionStore(database), TokenVerifier(system.coordinator.settings), feed
    )
    service = WatchService(database, feed, authenticator)
    running = [asyncio.create_task(loop) for loop in (service.run(), authenticator.run())]
    try:
        yield service
    finally:
        for loop in running:
            loop.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await broker.close()
        await database.close()
    assert hears() or broker.lost


async def all_of(watch: Watch, seconds: float = 20.0) -> list[Update]:
    """Everything that a watch tells, up to its end."""
    async with asyncio.timeout(seconds), watch:
        return [update async for update in watch]


async def next_of(watch: Watch, seconds: float = 20.0) -> Update:
    async with asyncio.timeout(seconds):
        return await anext(watch)


def check_order(updates: list[Update]) -> None:
    """What must hold of every watch that came to its end."""
    versions = [update.version for update in updates if update.kind == "status"]
    assert versions == sorted(set(versions))
    everything = [update.version for update in updates]
    assert everything == sorted(everything)
    assert [update.is_terminal for update in updates] == [False] * (len(updates) - 1) + [True]


def statuses(updates: list[Update]) -> list[str]:
    """The statuses passed through, without what only progress repeats."""
    found: list[str] = []
    for update in updates:
        if update.kind == "status" and (not found or found[-1] != update.status):
            found.append(update.status.value)
    return found


def lines(updates: list[Update]) -> list[str | None]:
    return [update.message for update in updates if update.kind == "log"]


async def moves(system: System, workload_id: str) -> list[tuple[int, str]]:
    """(version, status) after each move, from the audit trail."""
    _, body, _ = await system.call("GET", f"/workloads/{workload_id}/audit")
    return [
        (event["details"]["version"], event["details"]["to"])
        for event in body["events"]
        if event["details"]["from"] != event["details"]["to"]
    ]


async def run_once(worker: ScriptedWorker, ref: Any) -> None:
    """One attempt in many small batches."""
    await worker.report(ref, messages.Started(), messages.LogLine("INFO", "line 0"))
    for number in range(1, 6):
        await worker.report(
            ref, messages.Progressed(number * 10), messages.LogLine("WARN", f"line {number}", {"n": number})
        )
    await worker.report(ref, messages.LogLine("INFO", "last words"), messages.Completed(b'{"sum": 6}'))


@pytest.mark.parametrize("hears", [True, False], ids=["hearing", "deaf"])
async def test_a_watch_tells_every_move_and_line_once_and_in_order(system: System, hears: bool) -> None:
    worker = await system.worker()
    async with watching(system, lambda: hears) as service, beating(worker):
        workload_id = await system.submit(affinity_rules={"hard_affinity": {"worker_id": "w2"}})
        watch = await service.open(A, workload_id, logs=True)
        told = asyncio.create_task(all_of(watch))
        second = await system.worker("w2")
        async with beating(second):
            ref = (await second.next_assignment()).ref
            await run_once(second, ref)
            updates = await told
    check_order(updates)
    assert updates[0].status == "PENDING"
    assert updates[0].version == 1
    assert statuses(updates) == ["PENDING", "SCHEDULED", "RUNNING", "COMPLETED"]
    assert lines(updates) == [*(f"line {n}" for n in range(6)), "last words"]
    versions = {update.version: update.status for update in updates if update.kind == "status"}
    for version, status in await moves(system, workload_id):
        assert versions[version] == status
    assert updates[-1].result_json == '{"sum": 6}'
    assert updates[-1].progress_percent == 100


async def test_missing_and_foreign_workloads_are_equally_missing(system: System) -> None:
    await system.worker()
    workload_id = await system.submit()
    async with watching(system) as service:
        for identity, asked in ((B, workload_id), (A, "wl_00000000000000000000000000")):
            with pytest.raises(NotFoundError, match="There is no such workload"):
                await service.open(identity, asked)
        assert service.workloads == 0


async def test_a_workload_that_has_ended_is_told_at_once(system: System) -> None:
    await system.worker("elsewhere", types=["count"], capacity=1)
    workload_id = await system.submit(affinity_rules={"hard_affinity": {"worker_id": "nobody"}})
    await system.call("POST", f"/workloads/{workload_id}/cancel", {"reason": "enough"})
    async with watching(system) as service:
        (only,) = await all_of(await service.open(A, workload_id, logs=True))
    assert only.status == "CANCELLED"
    assert only.is_terminal


async def test_paused_is_no_end(system: System) -> None:
    worker = await system.worker()
    async with watching(system) as service, beating(worker):
        workload_id = await system.submit()
        ref = (await worker.next_assignment()).ref
        await worker.report(ref, messages.Started())
        told = asyncio.create_task(all_of(await service.open(A, workload_id)))
        pausing = asyncio.create_task(system.call("POST", f"/workloads/{workload_id}/pause"))
        await worker.next_command()
        assert (await worker.checkpoint(ref, b"{}")).pause_granted
        await worker.report(ref, messages.Paused())
        assert (await pausing)[0] == 200
        await system.call("POST", f"/workloads/{workload_id}/resume")
        ref = (await worker.next_assignment()).ref
        await worker.report(ref, messages.Started(), messages.Failed("broken", permanent=True))
        updates = await told
    check_order(updates)
    assert statuses(updates)[-6:] == ["RUNNING", "PAUSED", "PENDING", "SCHEDULED", "RUNNING", "FAILED"]
    assert updates[-1].error_message == "broken"


async def test_only_new_log_lines_are_told_and_a_burst_of_them_is_whole(system: System) -> None:
    worker = await system.worker()
    async with watching(system) as service, beating(worker):
        workload_id = await system.submit()
        ref = (await worker.next_assignment()).ref
        await worker.report(ref, messages.Started(), messages.LogLine("INFO", "before anybody watched"))
        told = asyncio.create_task(all_of(await service.open(A, workload_id, logs=True)))
        without = asyncio.create_task(all_of(await service.open(A, workload_id)))
        burst = [messages.LogLine("INFO", f"line {number:04}" + "." * 400) for number in range(1500)]
        await worker.report(ref, *burst, messages.Completed(b"{}"))
        updates = await told
        check_order(updates)
        assert lines(updates) == [line.message for line in burst]
        assert lines(await without) == []


async def test_progress_is_coalesced_for_a_slow_watcher_and_moves_are_not(system: System) -> None:
    worker = await system.worker()
    async with watching(system) as service, beating(worker):
        workload_id = await system.submit()
        ref = (await worker.next_assignment()).ref
        await worker.report(ref, messages.Started())
        async with await service.open(A, workload_id) as slow, await service.open(A, workload_id) as quick:
            assert (await next_of(slow)).version == (await next_of(quick)).version
            await worker.report(ref, messages.Released("handed back"))
            ref = (await worker.next_assignment()).ref
            await worker.report(ref, messages.Started())
            for number in range(1, 40):
                await worker.report(ref, messages.Progressed(number))
            while (await next_of(quick)).progress_percent < 39:
                pass
            told = [(update.status, update.progress_percent) for update in [await next_of(slow) for _ in range(4)]]
            assert told == [("REDISTRIBUTING", 0), ("SCHEDULED", 0), ("RUNNING", 0), ("RUNNING", 39)]


async def test_who_takes_nothing_is_dropped_while_others_go_on(system: System) -> None:
    worker = await system.worker()
    async with watching(system) as service, beating(worker):
        workload_id = await system.submit()
        ref = (await worker.next_assignment()).ref
        await worker.report(ref, messages.Started())
        async with await service.open(A, workload_id, logs=True) as slow:
            await next_of(slow)
            quick = asyncio.create_task(all_of(await service.open(A, workload_id, logs=True)))
            sent = [messages.LogLine("INFO", f"{number:04}" + "x" * 20_000) for number in range(60)]
            for line in sent:
                await worker.report(ref, line)
            await worker.report(ref, messages.Completed(b"{}"))
            updates = await quick
            assert lines(updates) == [line.message for line in sent]
            with pytest.raises(WatcherTooSlowError):
                await next_of(slow)
        assert service.kept_bytes == 0


async def test_many_watchers_share_the_reading(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    worker = await system.worker(capacity=500)
    async with watching(system) as service, beating(worker):
        readings = []
        states = WatchStore.states

        async def counted(store: WatchStore, conn: Any, workloads: Any) -> Any:
            readings.append(len(workloads))
            return await states(store, conn, workloads)

        monkeypatch.setattr(WatchStore, "states", counted)
        refs = []
        for _ in range(10):
            await system.submit()
            refs.append((await worker.next_assignment()).ref)
            await worker.report(refs[-1], messages.Started())
        watches = await asyncio.gather(*(service.open(A, refs[n % 10].workload_id, logs=True) for n in range(200)))
        told = [asyncio.create_task(all_of(watch)) for watch in watches]
        await worker.send(*(worker.event(ref, messages.Completed(b"{}")) for ref in refs))
        for updates in await asyncio.gather(*told):
            check_order(updates)
            assert statuses(updates) == ["RUNNING", "COMPLETED"]
        assert max(readings) == 10
        assert len(readings) < 20
        assert service.workloads == 0


async def test_an_update_committed_on_one_replica_reaches_watchers_of_another_soon(system: System) -> None:
    worker = await system.worker()
    async with watching(system) as service, beating(worker):
        workload_id = await system.submit()
        ref = (await worker.next_assignment()).ref
        await worker.report(ref, messages.Started())
        async with await service.open(A, workload_id) as watch:
            await next_of(watch)
            await worker.report(ref, messages.Completed(b"{}"))
            assert (await next_of(watch, 2.0)).status == "COMPLETED"
            with pytest.raises(StopAsyncIteration):
                await anext(watch)


async def test_open_watches_end_with_the_key_the_customer_and_the_coordinator(system: System) -> None:
    await system.worker()
    workload_id = await system.submit(affinity_rules={"hard_affinity": {"worker_id": "nobody"}})
    made, key = await system.customers.create_key("cust_a", "to be revoked")
    async with watching(system) as service:
        revoked = await service.open(A, workload_id, authorization=f"Bearer {key}")
        kept = await service.open(A, workload_id, authorization=f"Bearer {system.keys['cust_a']}")
        async with revoked, kept:
            assert [(await next_of(watch)).status for watch in (revoked, kept)] == ["PENDING", "PENDING"]
            await system.customers.revoke_key(made.key_id)
            with pytest.raises(UnauthorizedError):
                await next_of(revoked, 3.0)
            await system.customers.update_customer("cust_a", status="suspended")
            with pytest.raises(ForbiddenError):
                await next_of(kept, 3.0)
        unchecked = await service.open(A, workload_id)
    with pytest.raises(ServiceUnavailableError):
        async with unchecked:
            await next_of(unchecked)
    with pytest.raises(ServiceUnavailableError):
        await service.open(A, workload_id)


@pytest.mark.parametrize("seed", range(4))
async def test_whatever_happens_and_gets_lost_the_story_is_the_audit_trails(system: System, seed: int) -> None:
    """Random lives of a workload, with a feed that loses every second hint: what is told is what the trail says."""
    chance = random.Random(seed)
    worker = await system.worker()
    async with watching(system, lambda: chance.random() < 0.5) as service, beating(worker):
        workload_id = await system.submit()
        told = asyncio.create_task(all_of(await service.open(A, workload_id, logs=True), 60))
        said: list[str] = []
        for attempt in range(6):
            ref = (await worker.next_assignment(10)).ref
            if attempt < 5 and chance.random() < 0.3:
                await worker.report(ref, messages.Refused("not now"))
                continue
            await worker.report(ref, messages.Started())
            for number in range(chance.randrange(6)):
                said.append(f"{attempt} {number}")
                body = chance.choice([messages.LogLine("INFO", said[-1]), messages.Progressed(number, said[-1])])
                await worker.report(ref, body)
                if chance.random() < 0.3:
                    await worker.checkpoint(ref, b"{}")
            said.append(f"{attempt} last")
            end = messages.Released("handed back") if attempt < 5 else messages.Completed(b"{}")
            await worker.report(ref, messages.LogLine("WARN", said[-1]), end)
        updates = await told
    check_order(updates)
    assert lines(updates) == said
    told_versions = {update.version: update.status.value for update in updates if update.kind == "status"}
    trail = await moves(system, workload_id)
    assert [version for version, _ in trail] == sorted({version for version, _ in trail})
    for version, status in trail:
        if version >= updates[0].version:
            assert told_versions[version] == status
