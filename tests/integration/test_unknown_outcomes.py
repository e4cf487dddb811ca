"""The link to the database breaks at a COMMIT: whether it was stored is found out, and never guessed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from support.commit_cutter import CommitCutter, commit_cutter
from support.pace import pace
from support.scripted_worker import ScriptedWorker
from support.system import System, running_system, supported

SUBMISSION = {"workload_type": "count", "input_params": {}}


@pytest.fixture
async def cutter(database_url: str) -> AsyncIterator[CommitCutter]:
    async with commit_cutter(database_url) as found:
        yield found


@pytest.fixture
async def cut(
    cutter: CommitCutter, database_url: str, nats_url: str, subject_prefix: str
) -> AsyncIterator[tuple[System, asyncpg.Connection[Any]]]:
    """A system behind the cutter, and a link to its database that isn't."""
    direct = await asyncpg.connect(database_url)
    async with running_system(cutter.url, nats_url, subject_prefix, outcome_wait_seconds=1.5) as system:
        await supported(system)
        yield system, direct
    await direct.close()


async def _waits_for_the_old_transaction(direct: asyncpg.Connection[Any]) -> None:
    """Return once somebody waits for a row lock, or after three seconds in which nobody does."""
    try:
        async with asyncio.timeout(3):
            while not await direct.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
                await asyncio.sleep(0.01)
    except TimeoutError:
        pass


def _submission(workload_type: str) -> dict[str, Any]:
    return {"workload_type": workload_type, "input_params": {}}


async def _submit_cut(
    system: System, cutter: CommitCutter, workload_type: str = "count", **headers: Any
) -> asyncio.Task[Any]:
    cutter.cut_next()
    task = asyncio.create_task(system.call("POST", "/workloads", _submission(workload_type), **headers))
    async with asyncio.timeout(10):
        await cutter.cut.wait()
    return task


async def test_a_commit_that_arrives_late_is_acknowledged(
    cut: tuple[System, asyncpg.Connection[Any]], cutter: CommitCutter
) -> None:
    system, direct = cut
    task = await _submit_cut(system, cutter)
    await _waits_for_the_old_transaction(direct)
    cutter.arrive.set()
    status, body, _ = await task
    assert status == 202, body
    assert [row["workload_id"] for row in await direct.fetch("SELECT * FROM workloads")] == [body["workload_id"]]


async def test_a_commit_that_never_arrives_may_be_sent_again(
    cut: tuple[System, asyncpg.Connection[Any]], cutter: CommitCutter
) -> None:
    system, direct = cut
    task = await _submit_cut(system, cutter)
    await _waits_for_the_old_transaction(direct)
    cutter.drop.set()
    status, body, headers = await task
    assert (status, body["error"]["message"], headers["Retry-After"]) == (503, "Not stored; try again", "1")
    assert await direct.fetchval("SELECT count(*) FROM workloads") == 0
    assert await system.submit()


@pytest.mark.parametrize("key", [None, "k1"])
async def test_a_statement_that_arrives_after_the_answer_stores_nothing(
    cut: tuple[System, asyncpg.Connection[Any]], cutter: CommitCutter, key: str | None
) -> None:
    """What a worker serves needs no config, and so no transaction: nothing is locked while it is on its way."""
    system, direct = cut
    worker = ScriptedWorker(system.broker, system.subjects, "w1", types=["served"])
    await worker.register()
    headers: dict[str, Any] = {} if key is None else {"Idempotency_Key": key}
    task = await _submit_cut(system, cutter, "served", **headers)
    status, body, _ = await task
    assert (status, body["error"]["message"]) == (503, "Not stored; try again")
    cutter.arrive.set()
    async with asyncio.timeout(10 * pace()):
        await cutter.answered.wait()
    assert await direct.fetchval("SELECT count(*) FROM workloads") == 0
    assert (await system.call("POST", "/workloads", _submission("served"), **headers))[0] == 202
    assert await direct.fetchval("SELECT count(*) FROM workloads") == 1


async def test_a_statement_that_arrives_before_the_answer_is_acknowledged(
    cut: tuple[System, asyncpg.Connection[Any]], cutter: CommitCutter
) -> None:
    system, direct = cut
    worker = ScriptedWorker(system.broker, system.subjects, "w1", types=["served"])
    await worker.register()
    task = await _submit_cut(system, cutter, "served")
    cutter.arrive.set()
    status, body, _ = await task
    assert status == 202, body
    assert [row["workload_id"] for row in await direct.fetch("SELECT * FROM workloads")] == [body["workload_id"]]


@pytest.mark.parametrize("key", [None, "k1"])
async def test_what_can_not_be_found_out_is_said_to_be_unknown(
    cut: tuple[System, asyncpg.Connection[Any]], cutter: CommitCutter, key: str | None
) -> None:
    system, direct = cut
    headers: dict[str, Any] = {} if key is None else {"Idempotency_Key": key}
    status, body, answered = await (await _submit_cut(system, cutter, **headers))
    assert (status, body["error"]["details"]["outcome"]) == (503, "unknown"), body
    # Clients send again by themselves what comes with Retry-After: only what a key keeps from being done twice.
    assert ("Retry-After" in answered) == (key is not None)
    cutter.arrive.set()
    if key is not None:
        status, again, answered = await system.call("POST", "/workloads", SUBMISSION, **headers)
        assert (status, answered["Idempotent-Replayed"]) == (202, "true"), again
    else:
        async with asyncio.timeout(20):
            while not await direct.fetchval("SELECT count(*) FROM workloads"):
                await asyncio.sleep(0.01)
    assert await direct.fetchval("SELECT count(*) FROM workloads") == 1


async def test_others_are_served_while_one_outcome_is_found_out(
    cut: tuple[System, asyncpg.Connection[Any]], cutter: CommitCutter
) -> None:
    system, direct = cut
    task = await _submit_cut(system, cutter)
    await _waits_for_the_old_transaction(direct)
    async with asyncio.timeout(2 * pace()):
        await system.submit("cust_b")
    cutter.arrive.set()
    status, body, _ = await task
    assert status == 202, body


async def test_a_hung_transaction_of_one_customer_holds_up_nobody_elses_submissions(
    database_url: str, nats_url: str, subject_prefix: str
) -> None:
    hung = await asyncpg.connect(database_url)
    async with running_system(database_url, nats_url, subject_prefix) as system:
        await supported(system)
        async with hung.transaction():
            await hung.execute("SELECT FROM customer_usage WHERE customer_id = 'cust_a' FOR UPDATE")
            calls = [system.call("POST", "/workloads", SUBMISSION, key=key) for key in ("cust_a", "cust_b") * 5]
            async with asyncio.timeout(4 * pace()):
                answers = await asyncio.gather(*calls)
            assert [status for status, _, _ in answers] == [503, 202] * 5
            assert {answer[2].get("Retry-After") for answer in answers[::2]} == {"1"}
            async with asyncio.timeout(pace()):  # from now on nobody waits at all
                await system.submit("cust_b")
        async with asyncio.timeout(20):
            while (await system.call("POST", "/workloads", SUBMISSION))[0] != 202:
                await asyncio.sleep(0.05)
    await hung.close()
