"""The same Idempotency-Key never creates two workloads, and a replay is the first answer."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import asyncpg

from niyanta.server.coordinator import Coordinator
from support.system import System, supported

NOWHERE = {"hard_affinity": {"worker_id": "nowhere"}}
BODY = {"workload_type": "count", "input_params": {"a": 1, "b": [1.5, None]}, "affinity_rules": NOWHERE}


async def post(system: System, body: Any, idempotency_key: str, **options: Any) -> Any:
    return await system.call("POST", "/workloads", body, Idempotency_Key=idempotency_key, **options)


async def rows(system: System) -> int:
    connection = await asyncpg.connect(system.database_url)
    try:
        return int(await connection.fetchval("SELECT count(*) FROM workloads"))
    finally:
        await connection.close()


@contextlib.asynccontextmanager
async def limited(system: System, **limits: int) -> AsyncIterator[Coordinator]:
    """A coordinator that knows new limits from its start."""
    await system.customers.update_customer("cust_a", **limits)
    async with system.another_coordinator() as coordinator:
        yield coordinator


async def test_a_replay_is_the_first_answer_on_every_replica(system: System) -> None:
    await supported(system)
    status, first, headers = await post(system, BODY, "k")
    assert status == 202
    assert "Idempotent-Replayed" not in headers
    location = headers["Location"]
    async with system.another_coordinator() as other:
        for via in (system.coordinator, other):
            status, again, headers = await post(system, BODY, "k", via=via)
            assert (status, again, headers["Location"]) == (202, first, location)
            assert headers["Idempotent-Replayed"] == "true"
    await system.call("POST", f"/workloads/{first['workload_id']}/cancel")
    assert (await post(system, BODY, "k"))[1] == first, "whatever has become of it"
    assert await rows(system) == 1


async def test_racing_duplicates_on_two_replicas_make_one(system: System) -> None:
    await supported(system)
    async with system.another_coordinator() as other:
        answers = await asyncio.gather(
            *(post(system, BODY, "k", via=via) for via in (system.coordinator, other) * 25)
        )
    assert {status for status, _, _ in answers} == {202}
    assert len({body["workload_id"] for _, body, _ in answers}) == 1
    assert sum("Idempotent-Replayed" not in headers for _, _, headers in answers) == 1
    assert await rows(system) == 1


async def test_racing_different_bodies_with_one_key_make_one(system: System) -> None:
    await supported(system)
    async with system.another_coordinator() as other:
        answers = await asyncio.gather(
            *(
                post(system, BODY | {"priority": number % 4}, "k", via=via)
                for number, via in enumerate((system.coordinator, other) * 12)
            )
        )
    assert sorted({status for status, _, _ in answers}) == [202, 409]
    assert len({body["workload_id"] for status, body, _ in answers if status == 202}) == 1
    assert sum(status == 202 for status, _, _ in answers) == 6
    assert await rows(system) == 1


async def test_the_same_body_is_what_is_equal_after_decoding(system: System) -> None:
    await supported(system)
    _, first, _ = await post(system, BODY, "k")
    headers = {
        "Authorization": f"Bearer {system.keys['cust_a']}",
        "Content-Type": "application/json; charset=utf-8",
        "Idempotency-Key": "k",
    }
    same = [
        ' { "priority": null, "affinity_rules":{"hard_affinity":{"worker_id":"nowhere","worker_tags":null}},'
        ' "input_params": {"b":[15e-1, null], "\\u0061": 7, "a":1}, "workload_type": "count" } ',
        '{"workload_type": "other", "workload_type": "count", "input_params": {"a": 1, "b": [1.50, null]},'
        ' "affinity_rules": {"hard_affinity": {"worker_id": "nowhere"}, "soft_affinity": null}}',
    ]
    for text in same:
        async with system.http.post(system.url("/v1/workloads"), data=text, headers=headers) as response:
            assert (response.status, await response.json()) == (202, first)
    for other in (
        BODY | {"priority": 10},
        BODY | {"input_params": {"a": "1", "b": [1.5, None]}},
        BODY | {"input_params": {"a": 1, "b": [None, 1.5]}},
        BODY | {"timeout_seconds": 5},
    ):
        status, answer, _ = await post(system, other, "k")
        assert (status, answer["error"]["code"]) == (409, "CONFLICT")
        assert answer["error"]["details"]["field"] == "Idempotency-Key"
    assert await rows(system) == 1


async def test_a_key_is_one_customers(system: System) -> None:
    await supported(system)
    _, first, _ = await post(system, BODY, "k")
    status, second, headers = await post(system, BODY, "k", key="cust_b")
    assert status == 202
    assert "Idempotent-Replayed" not in headers
    assert second["workload_id"] != first["workload_id"]
    assert (await post(system, BODY | {"priority": 1}, "other", key="cust_b"))[0] == 202


async def test_a_refused_request_keeps_nothing(system: System) -> None:
    await supported(system)
    for bad in (BODY | {"workload_type": "unknown"}, BODY | {"priority": -1}, BODY | {"oops": 1}):
        assert (await post(system, bad, "k"))[0] == 400
    assert (await post(system, BODY, "k", key="nyt_cust_a_" + "x" * 32))[0] == 401
    async with limited(system, max_queue_depth=0) as full:
        assert (await post(system, BODY, "k", via=full))[0] == 503
    async with limited(system, max_queue_depth=1) as narrow:
        status, first, headers = await post(system, BODY, "k", via=narrow)
        assert status == 202
        assert "Idempotent-Replayed" not in headers
        assert (await post(system, BODY, "more", via=narrow))[0] == 503
        assert (await post(system, BODY, "k", via=narrow))[1] == first, "a full queue doesn't stop a replay"


async def test_a_replay_needs_no_worker(system: System) -> None:
    worker = await system.worker()
    _, first, _ = await post(system, BODY, "k")
    await worker.beat(leaving=True)
    async with system.another_coordinator() as other:
        status, answer, _ = await post(system, BODY, "new", via=other)
        assert (status, answer["error"]["details"]["field"]) == (400, "workload_type")
        assert (await post(system, BODY, "k", via=other))[1] == first


async def test_a_key_may_be_used_again_after_a_day(system: System) -> None:
    await supported(system)
    _, first, _ = await post(system, BODY, "k")
    connection = await asyncpg.connect(system.database_url)
    await connection.execute("UPDATE idempotency_keys SET created_at = created_at - interval '23:59'")
    assert (await post(system, BODY, "k"))[1] == first
    await connection.execute("UPDATE idempotency_keys SET created_at = created_at - interval '1 minute'")
    await connection.close()
    _, second, headers = await post(system, BODY | {"priority": 1}, "k")
    assert second["workload_id"] != first["workload_id"]
    assert "Idempotent-Replayed" not in headers


TAKEN = ["x" * 255, "a", "!~ k", '"quoted"', "550e8400-e29b-41d4-a716-446655440000"]


async def test_keys_that_are_taken(system: System) -> None:
    await supported(system)
    for key in TAKEN:
        _, first, _ = await post(system, BODY, key)
        assert (await post(system, BODY, key))[1] == first


NO_KEYS = ["", "x" * 256, "é", "a\tb"]


async def test_keys_that_are_none(system: System) -> None:
    await supported(system)
    for key in NO_KEYS:
        status, answer, _ = await post(system, BODY, key)
        assert (status, answer["error"]["code"]) == (400, "INVALID_INPUT")
        assert answer["error"]["details"] == {"field": "Idempotency-Key", "min_length": 1, "max_length": 255}
        assert await rows(system) == 0
