"""The admin API: workers, customers and keys."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from niyanta.domain.limits import TIERS, Tier
from niyanta.server.store.workers import WorkerStore
from niyanta.wire import messages
from niyanta.wire.messages import CancelAttempt, DrainWorker
from support.cases import cases
from support.pace import pace
from support.system import System, beating, running_system

MILLISECONDS = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


async def admin(system: System, method: str, path: str, body: Any = None, **options: Any) -> tuple[int, Any, Any]:
    found: tuple[int, Any, Any] = await system.call(method, "/admin" + path, body, key="admin", **options)
    return found


async def listed(system: System, query: str = "") -> list[dict[str, Any]]:
    status, body, _ = await admin(system, "GET", "/workers" + query)
    assert status == 200, body
    return list(body["workers"])


async def test_a_worker_is_shown_with_what_it_holds(system: System) -> None:
    worker = await system.worker(
        "w1", capacity=3, tags={"region": "eu"}, types=["count", "sleep"], missing_walls=["ports", "network"]
    )
    async with beating(worker):
        (idle,) = await listed(system)
        assert (idle["capacity_used"], idle["running_workloads"]) == (0, [])
        ids = sorted([await system.submit() for _ in range(2)])
        for _ in ids:
            await worker.report((await worker.next_assignment()).ref, messages.Started())
        (busy,) = await listed(system)
        assert MILLISECONDS.fullmatch(busy.pop("last_heartbeat"))
        assert MILLISECONDS.fullmatch(busy.pop("registered_at"))
        assert busy == {
            "worker_id": "w1",
            "status": "HEALTHY",
            "capabilities": ["count", "sleep"],
            "input_forms": {"count": "any", "sleep": "any"},
            "capacity_total": 3,
            "capacity_used": 2,
            "tags": {"region": "eu"},
            "running_workloads": ids,
            "standing_order": None,
            "customers": [],
            "missing_walls": ["network", "ports"],
            "version": "test",
        }
        await system.call("POST", f"/workloads/{ids[0]}/cancel")
        assert isinstance(await worker.next_command(), CancelAttempt)
        (busy,) = await listed(system)
        assert (busy["capacity_used"], busy["running_workloads"]) == (1, ids[1:])


async def test_workers_are_filtered_by_status_and_paged(system: System) -> None:
    workers = [await system.worker(f"w{number}") for number in range(5)]
    async with beating(*workers[:4]):
        assert (await admin(system, "POST", "/workers/w1/drain"))[0] == 200
        await workers[4].beat(leaving=True)
        found = {w["worker_id"]: w["status"] for w in await listed(system)}
        assert found == {"w0": "HEALTHY", "w1": "DRAINING", "w2": "HEALTHY", "w3": "HEALTHY", "w4": "DEAD"}
        for status in ("HEALTHY", "DRAINING", "DEAD"):
            expected = [worker_id for worker_id, found_status in found.items() if found_status == status]
            assert [w["worker_id"] for w in await listed(system, f"?status={status}")] == expected
        pages, query = [], "?limit=2"
        while True:
            _, body, _ = await admin(system, "GET", f"/workers{query}")
            pages.append([w["worker_id"] for w in body["workers"]])
            if not body["pagination"]["has_more"]:
                assert body["pagination"]["next_cursor"] is None
                break
            query = f"?limit=2&cursor={body['pagination']['next_cursor']}"
        assert pages == [["w0", "w1"], ["w2", "w3"], ["w4"]]
        _, body, _ = await admin(system, "GET", "/workers?limit=2&offset=3&status=HEALTHY")
        assert body["pagination"] == {
            "has_more": False,
            "next_cursor": None,
            "total": 3,
            "total_is_estimate": False,
            "limit": 2,
            "offset": 3,
        }


async def test_a_drained_worker_finishes_and_takes_nothing_new(system: System) -> None:
    worker = await system.worker("w1")
    async with beating(worker):
        workload_id = await system.submit()
        ref = (await worker.next_assignment()).ref
        await worker.report(ref, messages.Started())
        for _ in range(2):
            status, body, _ = await admin(system, "POST", "/workers/w1/drain")
            assert (status, body["worker_id"], body["status"], body["mode"]) == (200, "w1", "DRAINING", "finish")
            assert isinstance(await worker.next_command(), DrainWorker)
        waiting = await system.submit()
        await worker.report(ref, messages.Completed(b"{}"))
        await system.until(workload_id, "COMPLETED")
        other = await system.worker("w2")
        async with beating(other):
            assert (await other.next_assignment()).ref.workload_id == waiting
        assert worker.assignments.empty()


async def test_a_removed_worker_loses_everything_at_once(
    database_url: str, nats_url: str, subject_prefix: str
) -> None:
    # No worker is lost meanwhile, however slow the machine.
    async with running_system(database_url, nats_url, subject_prefix, worker_lease_seconds=30.0) as system:
        worker = await system.worker("w1")
        workload_id = await system.submit()
        ref = (await worker.next_assignment()).ref
        await worker.report(ref, messages.Started())
        other = await system.worker("w2")
        status, body, _ = await admin(system, "DELETE", "/workers/w1")
        assert (status, body) == (204, None)
        again = await other.next_assignment()
        assert (again.ref.workload_id, again.ref.generation) == (workload_id, ref.generation + 1)
        assert (await worker.report(ref, messages.Completed(b"{}"))).outcome == "fenced"
        assert not (await worker.beat(ref)).ok
        found = await system.get(workload_id)
        assert (found["retry_count"], "removed" in found["error_message"]) == (1, True)
        _, trail, _ = await system.call("GET", f"/workloads/{workload_id}/audit")
        moved = next(e for e in trail["events"] if e["event_type"] == "workload.redistributed")
        assert moved["actor_type"] == "user"
        assert moved["actor_id"].startswith("key_")
        dead = [w["worker_id"] for w in await listed(system, "?status=DEAD")]
        assert dead == ["w1"]


async def test_a_drain_holds_over_restarts_until_it_is_taken_back(
    system: System, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "niyanta.server.fleet.registration")
    worker = await system.worker("w1")
    assert (await admin(system, "POST", "/workers/w1/drain"))[0] == 200
    await worker.beat(leaving=True)
    assert await orders(system) == {"w1": ("DEAD", "drain")}
    worker.incarnation = "second"
    async with beating(worker):
        assert (await worker.register_again()).accepted
        assert (await worker.beat()).draining
        assert await orders(system) == {"w1": ("DRAINING", "drain")}
        workload_id = await system.submit()
        other = await system.worker("w2")
        async with beating(other):
            assert (await other.next_assignment()).ref.workload_id == workload_id
        assert worker.assignments.empty()
        for _ in range(2):
            status, body, _ = await admin(system, "POST", "/workers/w1/undrain")
            assert (status, body) == (200, {"worker_id": "w1", "status": "HEALTHY"})
        assert not (await worker.beat()).draining
        assert (await listed(system))[0]["standing_order"] is None
        again = await system.submit(affinity_rules={"hard_affinity": {"worker_id": "w1"}})
        assert (await worker.next_assignment()).ref.workload_id == again
    said = {record.message: record.__dict__.get("actor_id", "") for record in caplog.records}
    assert said["worker.drained"].startswith("key_")
    assert said["worker.undrained"].startswith("key_")


async def test_a_removed_id_may_not_come_back_until_it_is_undrained(
    system: System, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "niyanta.server.fleet.registration")
    worker = await system.worker("w1")
    assert (await admin(system, "DELETE", "/workers/w1"))[0] == 204
    assert not (await worker.beat()).ok
    for incarnation in (worker.incarnation, "second"):
        worker.incarnation = incarnation
        reply = await worker.register_again()
        assert (reply.accepted, reply.reason) == (False, "removed")
        assert "niyanta workers undrain w1" in reply.message
        assert "key_" in reply.message
    (found,) = await listed(system)
    assert (found["status"], found["standing_order"]["kind"]) == ("DEAD", "remove")
    assert found["standing_order"]["given_by"].startswith("key_")
    assert MILLISECONDS.fullmatch(found["standing_order"]["given_at"])
    status, body, _ = await admin(system, "POST", "/workers/w1/undrain")
    assert (status, body) == (200, {"worker_id": "w1", "status": "DEAD"})
    assert (await worker.register_again()).accepted
    async with beating(worker):
        workload_id = await system.submit()
        assert (await worker.next_assignment()).ref.workload_id == workload_id
    said = {record.message: record.__dict__.get("actor_id", "") for record in caplog.records}
    assert said["worker.removed"].startswith("key_")


async def test_a_standing_order_outlives_the_workers_row(system: System) -> None:
    store = WorkerStore()
    workers = [await system.worker(f"w{number}") for number in range(3)]
    await admin(system, "POST", "/workers/w0/drain")
    await admin(system, "DELETE", "/workers/w1")
    for worker in (workers[0], workers[2]):
        await worker.beat(leaving=True)
    connection = await asyncpg.connect(system.database_url)
    await connection.execute("UPDATE workers SET last_heartbeat = now() - interval '2 hours'")
    await store.forget_dead(connection, 3600)
    assert await store.all(connection) == []
    assert await store.summary(connection) == {}
    await connection.close()
    assert await orders(system) == {"w0": ("DEAD", "drain"), "w1": ("DEAD", "remove")}
    assert (await workers[1].register_again()).reason == "removed"
    workers[0].incarnation = "second"
    assert (await workers[0].register_again()).accepted
    assert (await orders(system))["w0"] == ("DRAINING", "drain")


async def test_undraining_leaves_a_worker_that_is_stopping_alone(system: System) -> None:
    worker = await system.worker("w1")
    await worker.beat(draining=True)
    assert (await admin(system, "POST", "/workers/w1/undrain"))[0] == 200
    await worker.beat(draining=True)
    assert await orders(system) == {"w1": ("DRAINING", None)}


async def orders(system: System) -> dict[str, tuple[str, str | None]]:
    """Status and standing order of each worker."""
    return {
        worker["worker_id"]: (worker["status"], (worker["standing_order"] or {}).get("kind"))
        for worker in await listed(system)
    }


async def test_a_missing_worker_is_not_found(system: System) -> None:
    await system.worker("w1")
    for worker_id in ("none", "no%20id", "%00", "a" * 200, "w1%0a"):
        for method, suffix in (("DELETE", ""), ("POST", "/drain"), ("POST", "/undrain")):
            status, body, _ = await admin(system, method, f"/workers/{worker_id}{suffix}")
            assert (status, body["error"]["code"]) == (404, "NOT_FOUND"), worker_id


async def test_a_customer_is_made_shown_and_changed(system: System) -> None:
    status, made, headers = await admin(system, "POST", "/customers", {"name": "Acme Corp"})
    assert status == 201
    assert headers["Location"] == f"/v1/admin/customers/{made['customer_id']}"
    standard = TIERS[Tier.STANDARD]
    defaults = {
        "max_concurrent_workloads": standard.max_concurrent_workloads,
        "max_queue_depth": standard.max_queue_depth,
        "rate_limit_per_sec": standard.rate_limit_per_sec,
        "burst": standard.burst,
    }
    assert MILLISECONDS.fullmatch(made["created_at"])
    assert (made["name"], made["tier"], made["status"], made["limits"]) == (
        "Acme Corp",
        "standard",
        "active",
        defaults,
    )
    path = f"/customers/{made['customer_id']}"
    assert (await admin(system, "GET", path))[1] == made
    _, changed, _ = await admin(system, "PATCH", path, {"limits": {"burst": 7, "max_queue_depth": 0}})
    assert changed["limits"] == {**defaults, "burst": 7, "max_queue_depth": 0}
    _, changed, _ = await admin(system, "PATCH", path, {"limits": {"burst": None}, "name": "Acme \N{SNOWMAN}"})
    assert changed["limits"] == {**defaults, "max_queue_depth": 0}
    assert changed["name"] == "Acme \N{SNOWMAN}"
    _, changed, _ = await admin(system, "PATCH", path, {"tier": "premium", "status": "suspended"})
    assert (changed["tier"], changed["status"], changed["limits"]["burst"]) == ("premium", "suspended", 200)
    nothing = {"name": None, "tier": None, "limits": None, "status": None}
    assert (await admin(system, "PATCH", path, nothing))[1] == changed
    assert (await admin(system, "PATCH", path, {}))[1] == changed


async def test_a_customer_may_be_given_its_id_and_limits(system: System) -> None:
    body = {
        "name": "x",
        "customer_id": "cust_Given-1_x",
        "tier": "free",
        "limits": {"rate_limit_per_sec": 0.5, "max_concurrent_workloads": 3, "burst": None},
    }
    status, made, _ = await admin(system, "POST", "/customers", body)
    assert (status, made["customer_id"], made["tier"]) == (201, "cust_Given-1_x", "free")
    assert made["limits"] == {
        "rate_limit_per_sec": 0.5,
        "max_concurrent_workloads": 3,
        "burst": 5,
        "max_queue_depth": 50,
    }
    status, again, _ = await admin(system, "POST", "/customers", body)
    assert (status, again["error"]["code"]) == (409, "CONFLICT")


BAD_CUSTOMERS: list[tuple[Any, str, str]] = [
    ({}, "name", "name"),
    ({"name": ""}, "name", "200"),
    ({"name": "   "}, "name", "200"),
    ({"name": "a" * 201}, "name", "200"),
    ({"name": "a\nb"}, "name", "control"),
    ({"name": "a\u0085b"}, "name", "control"),
    ({"name": "a\u202eb"}, "name", "control"),
    ({"name": 3}, "name", "str"),
    ({"name": "a", "tier": "gold"}, "tier", "enterprise"),
    ({"name": "a", "tier": ""}, "tier", "enterprise"),
    ({"name": "a", "customer_id": "abc"}, "customer_id", "cust_"),
    ({"name": "a", "customer_id": "cust_" + "a" * 60}, "customer_id", "cust_"),
    ({"name": "a", "customer_id": "cust_\u0661"}, "customer_id", "cust_"),
    ({"name": "a", "limits": []}, "limits", "object"),
    ({"name": "a", "limits": {"x": 1}}, "limits.x", "unknown field"),
    ({"name": "a", "limits": {"burst": 0}}, "limits.burst", "1 to"),
    ({"name": "a", "limits": {"burst": 1.5}}, "limits.burst", "int"),
    ({"name": "a", "limits": {"burst": "7"}}, "limits.burst", "int"),
    ({"name": "a", "limits": {"burst": 2**40}}, "limits.burst", "1,000,000"),
    ({"name": "a", "limits": {"rate_limit_per_sec": 0}}, "limits.rate_limit_per_sec", "0.001"),
    ({"name": "a", "limits": {"rate_limit_per_sec": -1}}, "limits.rate_limit_per_sec", "0.001"),
    ({"name": "a", "limits": {"rate_limit_per_sec": 1e300}}, "limits.rate_limit_per_sec", "1,000,000"),
    ({"name": "a", "limits": {"max_queue_depth": -1}}, "limits.max_queue_depth", "0 to"),
    ({"name": "a", "limits": {"max_concurrent_workloads": 10**12}}, "limits.max_concurrent_workloads", "0 to"),
    ({"name": "a", "limits": {"max_concurrent_workloads": True}}, "limits.max_concurrent_workloads", "int"),
]


async def test_bad_customers_are_refused_with_what_is_allowed(system: System) -> None:
    for body, field, allowed in BAD_CUSTOMERS:
        calls = [("POST", "/customers")]
        if "name" in body and "customer_id" not in body:
            calls.append(("PATCH", "/customers/cust_b"))
        for method, path in calls:
            status, answer, _ = await admin(system, method, path, body)
            assert (status, answer["error"]["code"]) == (400, "INVALID_INPUT"), body
            assert answer["error"]["details"]["field"] == field, body
            assert allowed in str(answer["error"]), body
    _, found, _ = await admin(system, "GET", "/customers")
    assert [c["customer_id"] for c in found["customers"]] == ["cust_a", "cust_b"]


async def test_a_missing_customer_is_not_found_whatever_the_input(system: System) -> None:
    for path in ("/customers/cust_none", "/customers/no%20id"):
        for method, suffix, body in (
            ("GET", "", None),
            ("PATCH", "", {"status": "suspended"}),
            ("PATCH", "", {"status": "nonsense"}),
            ("PATCH", "", {"unknown": 1}),
            ("GET", "/api-keys", None),
            ("GET", "/api-keys?limit=0", None),
            ("POST", "/api-keys", {"name": "x"}),
            ("POST", "/api-keys", {"name": ""}),
            ("DELETE", "/api-keys/key_none", None),
        ):
            status, answer, _ = await admin(system, method, path + suffix, body)
            assert (status, answer["error"]["code"]) == (404, "NOT_FOUND"), (method, suffix)


async def test_lists_are_paged(system: System) -> None:
    for number in range(5):
        await admin(system, "POST", "/customers", {"name": f"n{number}", "customer_id": f"cust_{number}"})
        await admin(system, "POST", "/customers/cust_b/api-keys", {"name": f"n{number}"})
    lists = (("/customers", "customers", "customer_id"), ("/customers/cust_b/api-keys", "api_keys", "name"))
    for path, rows, name in lists:
        _, whole, _ = await admin(system, "GET", path)
        expected = [row[name] for row in whole[rows]]
        assert len(expected) == whole["pagination"]["total"] >= 6
        found: list[Any] = []
        cursor: str | None = ""
        while cursor is not None:
            _, page, _ = await admin(system, "GET", f"{path}?limit=2{cursor and '&cursor=' + cursor}")
            found += [row[name] for row in page[rows]]
            cursor = page["pagination"]["next_cursor"]
            assert page["pagination"]["has_more"] == (cursor is not None)
        assert found == expected
        _, page, _ = await admin(system, "GET", f"{path}?limit=2&offset=2")
        assert [row[name] for row in page[rows]] == expected[2:4]
    _, page, _ = await admin(system, "GET", "/customers?limit=2")
    other = page["pagination"]["next_cursor"]
    for query, field in (
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("offset=-1", "offset"),
        (f"offset=1&cursor={other}", "cursor"),
        ("cursor=nonsense", "cursor"),
        ("cursor=%00", "cursor"),
        ("cursor=\u00e4", "cursor"),
        (f"cursor={other[:-2]}", "cursor"),
        ("unknown=1", "unknown"),
    ):
        status, answer, _ = await admin(system, "GET", f"/customers?{query}")
        assert (status, answer["error"]["details"].get("field")) == (400, field), query
    assert (await admin(system, "GET", f"/workers?cursor={other}"))[0] == 400
    status, answer, _ = await admin(system, "GET", "/workers?status=SLEEPING")
    assert (status, answer["error"]["details"]["allowed"]) == (400, ["HEALTHY", "DRAINING", "DEAD"])


async def test_a_key_is_shown_once_and_revoked_for_ever(system: System) -> None:
    expires_at = (datetime.now(UTC) + timedelta(days=1)).replace(microsecond=0)
    body = {"name": "deploy", "role": "admin", "expires_at": expires_at.isoformat()}
    status, made, _ = await admin(system, "POST", "/customers/cust_b/api-keys", body)
    assert status == 201
    assert re.fullmatch(r"nyt_cust_b_[a-z0-9]{32}", made["api_key"])
    assert (made["customer_id"], made["name"], made["role"]) == ("cust_b", "deploy", "admin")
    assert datetime.fromisoformat(made["expires_at"]) == expires_at
    assert (await system.call("GET", "/admin/workers", key=made["api_key"]))[0] == 200
    _, found, _ = await admin(system, "GET", "/customers/cust_b/api-keys")
    assert made["api_key"] not in str(found)
    shown = found["api_keys"][-1]
    assert (shown["key_id"], shown["status"], shown["revoked_at"]) == (made["key_id"], "active", None)
    path = f"/api-keys/{made['key_id']}"
    assert (await admin(system, "DELETE", f"/customers/cust_a{path}"))[0] == 404
    assert (await system.call("GET", "/admin/workers", key=made["api_key"]))[0] == 200
    revoked = set()
    for _ in range(2):
        assert (await admin(system, "DELETE", f"/customers/cust_b{path}"))[0] == 204
        _, found, _ = await admin(system, "GET", "/customers/cust_b/api-keys")
        assert found["api_keys"][-1]["status"] == "revoked"
        revoked.add(found["api_keys"][-1]["revoked_at"])
    assert len(revoked) == 1
    assert (await system.call("GET", "/admin/workers", key=made["api_key"]))[0] == 401


BAD_KEYS: list[tuple[Any, str, str]] = [
    ({"name": None}, "name", "str"),
    ({"name": "\0"}, "", "NUL"),
    ({"name": "a\tb"}, "name", "control"),
    ({"role": "root"}, "role", "customer"),
    ({"role": 1}, "role", "str"),
    ({"expires_at": "tomorrow"}, "expires_at", "RFC3339"),
    ({"expires_at": "2030-01-01T00:00:00"}, "expires_at", "timezone"),
    ({"expires_at": 1893456000}, "expires_at", "datetime"),
    ({"expires_at": "2020-01-01T00:00:00Z"}, "expires_at", "future"),
    ({"expires_at": "9999-12-31T23:59:59-23:59"}, "expires_at", "hundred years"),
    ({"key_id": "key_mine"}, "key_id", "unknown field"),
]


async def test_bad_keys_are_refused(system: System) -> None:
    for fields, field, allowed in BAD_KEYS:
        status, answer, _ = await admin(system, "POST", "/customers/cust_b/api-keys", {"name": "x", **fields})
        assert (status, answer["error"]["code"]) == (400, "INVALID_INPUT"), fields
        assert field in answer["error"]["details"].get("field", ""), fields
        assert allowed in str(answer["error"]), fields


async def test_new_limits_reach_every_replica_within_a_second(system: System) -> None:
    async with system.another_coordinator() as other:
        await admin(system, "PATCH", "/customers/cust_b", {"limits": {"rate_limit_per_sec": 77}})
        _, _, headers = await system.call("GET", "/workloads", key="cust_b")
        assert headers["X-RateLimit-Limit"] == "77"
        async with asyncio.timeout(pace()):
            while True:
                _, _, headers = await system.call("GET", "/workloads", key="cust_b", via=other)
                if headers["X-RateLimit-Limit"] == "77":
                    break


async def test_a_suspended_customers_running_work_finishes_and_its_pending_work_waits(system: System) -> None:
    worker = await system.worker(capacity=1)
    async with beating(worker):
        running = await system.submit("cust_b")
        ref = (await worker.next_assignment()).ref
        await worker.report(ref, messages.Started())
        waiting = await system.submit("cust_b")
        await admin(system, "PATCH", "/customers/cust_b", {"status": "suspended"})
        await worker.report(ref, messages.Completed(b"{}"))
        mine = await system.submit("cust_a")
        ref = (await worker.next_assignment()).ref
        assert ref.workload_id == mine
        await worker.report(ref, messages.Started(), messages.Completed(b"{}"))
        await admin(system, "PATCH", "/customers/cust_b", {"status": "active"})
        assert (await system.get(running, "cust_b"))["status"] == "COMPLETED"
        assert (await worker.next_assignment()).ref.workload_id == waiting


async def test_join_tokens_are_made_listed_and_revoked(system: System) -> None:
    wanted = {"name": "GPUs", "worker_pattern": "gpu-*", "workload_types": ["train"], "tags": {"gpu": "a100"}}
    wanted["customers"] = ["cust_a", "cust_never"]
    status, made, _ = await system.call("POST", "/admin/join-tokens", wanted, key="admin")
    assert status == 201
    assert made["join_token"].startswith(f"nyj_{made['token_id']}_")
    assert {name: made[name] for name in wanted} == wanted
    status, listed, _ = await system.call("GET", "/admin/join-tokens", key="admin")
    assert status == 200
    (row,) = listed["join_tokens"]
    assert (row["token_id"], row["status"]) == (made["token_id"], "active")
    assert "join_token" not in row
    path = f"/admin/join-tokens/{made['token_id']}"
    for _ in range(2):
        assert (await system.call("DELETE", path, key="admin"))[0] == 204
    _, listed, _ = await system.call("GET", "/admin/join-tokens", key="admin")
    assert listed["join_tokens"][0]["status"] == "revoked"
    assert (await system.call("DELETE", "/admin/join-tokens/never0000000", key="admin"))[0] == 404
    assert (await system.call("GET", "/admin/join-tokens"))[0] == 403


@cases(
    "wrong",
    [
        {"name": ""},
        {"worker_pattern": "a.b"},
        {"worker_pattern": "*" * 9},
        {"workload_types": ["a\0"]},
        {"tags": {"": "x"}},
        {"expires_at": "2001-01-01T00:00:00Z"},
        {"customers": ["no id"]},
        {"customers": [f"cust_{number}" for number in range(101)]},
        {"limits": {}},
    ],
)
async def test_what_no_join_token_can_be(system: System, wrong: dict[str, Any]) -> None:
    status, body, _ = await system.call("POST", "/admin/join-tokens", {"name": "x"} | wrong, key="admin")
    assert (status, body["error"]["code"]) == (400, "INVALID_INPUT")
