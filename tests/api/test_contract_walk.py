"""The contract, section by section: its requests are sent as they are printed, its answers are compared.

The examples are data here, so that a change of the contract is a change of this file.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest

from niyanta.server.services.workloads import WorkloadService
from niyanta.wire import messages
from niyanta.wire.messages import AttemptRef
from support.cases import cases
from support.contract_shapes import assert_shape
from support.scripted_worker import ScriptedWorker
from support.system import System, beating, running_system

TYPES = ["video_transcoding", "report_generation", "image_processing"]
GPU = {"region": "us-west-2", "hardware": "gpu"}

SUBMISSION: dict[str, Any] = {
    "workload_type": "video_transcoding",
    "input_params": {
        "video_url": "s3://input/video123.mp4",
        "output_format": "mp4",
        "resolution": "1080p",
    },
    "priority": 10,
    "affinity_rules": {"hard_affinity": {"worker_tags": {"hardware": "gpu"}}},
    "timeout_seconds": 3600,
}
WAITING: dict[str, Any] = {"affinity_rules": {"hard_affinity": {"worker_id": "worker-that-never-comes"}}}
SUBMITTED = {
    "workload_id": "wl_abc123",
    "status": "PENDING",
    "created_at": "2025-10-27T12:34:56Z",
    "estimated_start_time": "2025-10-27T12:35:30Z",
}
WORKLOAD = {
    "workload_id": "wl_abc123",
    "customer_id": "cust_abc123",
    "workload_type": "video_transcoding",
    "status": "RUNNING",
    "priority": 10,
    "progress_percent": 45,
    "worker_id": "worker-5",
    "input_params": {"video_url": "s3://input/video123.mp4"},
    "result_data": None,
    "error_message": None,
    "retry_count": 0,
    "created_at": "2025-10-27T12:34:56Z",
    "scheduled_at": "2025-10-27T12:35:00Z",
    "started_at": "2025-10-27T12:35:10Z",
    "completed_at": None,
    "estimated_completion_time": "2025-10-27T13:10:00Z",
}
LISTED = {
    "workloads": [
        {
            "workload_id": "wl_abc123",
            "workload_type": "video_transcoding",
            "status": "RUNNING",
            "priority": 50,
            "progress_percent": 45,
            "created_at": "2025-10-27T12:34:56Z",
            "started_at": "2025-10-27T12:35:10Z",
        }
    ],
    "pagination": {"total": 156, "limit": 20, "offset": 0, "has_more": True},
}
CANCELLED = {"workload_id": "wl_abc123", "status": "CANCELLED", "cancelled_at": "2025-10-27T12:45:00Z"}
PAUSED = {
    "workload_id": "wl_abc123",
    "status": "PAUSED",
    "paused_at": "2025-10-27T12:50:00Z",
    "checkpoint_sequence": 5,
}
RESUMED = {"workload_id": "wl_abc123", "status": "PENDING", "checkpoint_sequence": 5}
LOGS = {
    "workload_id": "wl_abc123",
    "logs": [{"timestamp": "2025-10-27T12:35:15Z", "level": "INFO", "message": "Starting", "details": {}}],
    "has_more": False,
}
AUDIT = {
    "workload_id": "wl_abc123",
    "events": [
        {
            "event_id": 1234,
            "event_type": "workload.created",
            "timestamp": "2025-10-27T12:34:56Z",
            "actor_type": "user",
            "actor_id": "user_789",
            "details": {},
        }
    ],
}
ERROR = {"error": {"code": "INVALID_INPUT", "message": "…", "details": {}, "request_id": "req_abc123"}}
RATE_LIMITED = {
    "error": {
        "code": "RATE_LIMITED",
        "message": "Rate limit exceeded. Retry after 30 seconds.",
        "details": {"limit": 50, "window_seconds": 60, "retry_after": 30},
    }
}


@pytest.fixture
async def gpu(system: System) -> AsyncIterator[ScriptedWorker]:
    """The contract's worker-5, alive."""
    worker = await system.worker("worker-5", types=TYPES, tags=GPU)
    async with beating(worker):
        yield worker


async def start(system: System, worker: ScriptedWorker, **fields: Any) -> tuple[str, AttemptRef]:
    """A workload that runs: its id and its attempt."""
    workload_id = await system.submit(**SUBMISSION | fields)
    ref = (await worker.next_assignment()).ref
    assert ref.workload_id == workload_id
    await worker.report(ref, messages.Started())
    return workload_id, ref


def assert_error(status: int, code: str, body: Any) -> None:
    assert_shape(ERROR, body)
    assert body["error"]["code"] == code, body
    assert body["error"]["message"], status


# --- 1. Workloads ---------------------------------------------------------------------------------


async def test_1_1_submit(system: System, gpu: ScriptedWorker) -> None:
    status, body, headers = await system.call("POST", "/workloads", SUBMISSION)
    assert status == 202
    assert_shape(SUBMITTED, body)
    assert body["status"] == "PENDING"
    assert body["workload_id"].startswith("wl_")
    assert headers["Location"] == f"/v1/workloads/{body['workload_id']}"
    assert headers["Content-Type"].startswith("application/json")
    whole = await system.get(body["workload_id"])
    for field, value in SUBMISSION.items():
        assert whole[field] == value


async def test_1_1_submit_with_what_is_required_only(system: System, gpu: ScriptedWorker) -> None:
    least = {"workload_type": "video_transcoding", "input_params": {}}
    status, body, _ = await system.call("POST", "/workloads", least)
    assert status == 202
    assert (await system.get(body["workload_id"]))["priority"] == 10


async def test_1_1_idempotency_key(system: System, gpu: ScriptedWorker) -> None:
    key: Any = {"Idempotency_Key": "0b9e6a3c-7d1f-4a7e-9c39-1f6a5e2d4c3b"}
    _, first, _ = await system.call("POST", "/workloads", SUBMISSION, **key)
    status, again, headers = await system.call("POST", "/workloads", SUBMISSION, **key)
    assert (status, again) == (202, first)
    assert headers["Idempotent-Replayed"] == "true"
    status, body, _ = await system.call("POST", "/workloads", SUBMISSION | {"priority": 11}, **key)
    assert status == 409
    assert_error(status, "CONFLICT", body)


async def test_1_2_get(system: System, gpu: ScriptedWorker) -> None:
    workload_id, ref = await start(system, gpu)
    await gpu.report(ref, messages.Progressed(45, "Processing frame 4500/10000"))
    body = await system.get(workload_id)
    assert_shape(WORKLOAD, body)
    assert set(WORKLOAD) <= set(body)
    expected = {
        "workload_id": workload_id,
        "customer_id": "cust_a",
        "status": "RUNNING",
        "progress_percent": 45,
        "worker_id": "worker-5",
        "input_params": SUBMISSION["input_params"],
        "result_data": None,
        "error_message": None,
        "retry_count": 0,
        "completed_at": None,
    }
    assert {key: body[key] for key in expected} == expected


async def test_1_3_list(system: System, gpu: ScriptedWorker) -> None:
    for priority in (30, 50, 40):
        await start(system, gpu, priority=priority)
    await system.submit(workload_type="report_generation", **WAITING)
    query = "status=RUNNING&limit=20&offset=0&order_by=priority&order=desc"
    status, body, _ = await system.call("GET", f"/workloads?{query}")
    assert status == 200
    assert_shape(LISTED, body)
    assert [row["priority"] for row in body["workloads"]] == [50, 40, 30]
    page = body["pagination"]
    assert {key: page[key] for key in ("total", "limit", "offset", "has_more")} == {
        "total": 3,
        "limit": 20,
        "offset": 0,
        "has_more": False,
    }
    _, body, _ = await system.call("GET", "/workloads?workload_type=report_generation")
    assert [row["status"] for row in body["workloads"]] == ["PENDING"]
    assert body["pagination"]["limit"] == 50


@pytest.mark.parametrize("state", ["PENDING", "RUNNING"])
async def test_1_4_cancel(system: System, gpu: ScriptedWorker, state: str) -> None:
    if state == "PENDING":
        workload_id = await system.submit(**SUBMISSION | WAITING)
    else:
        workload_id, _ = await start(system, gpu)
    reason = {"reason": "User requested cancellation"}
    status, body, _ = await system.call("POST", f"/workloads/{workload_id}/cancel", reason)
    assert status == 200
    assert_shape(CANCELLED, body)
    assert body["status"] == "CANCELLED"
    status, body, _ = await system.call("POST", f"/workloads/{workload_id}/cancel")
    assert status == 400
    assert_error(status, "INVALID_STATE", body)
    assert body["error"]["details"]["current_status"] == "CANCELLED"


async def test_1_5_and_1_6_pause_and_resume(system: System, gpu: ScriptedWorker) -> None:
    workload_id, ref = await start(system, gpu)
    for number in range(4):
        await gpu.checkpoint(ref, json.dumps({"frame": number}).encode())
    pausing = asyncio.create_task(system.call("POST", f"/workloads/{workload_id}/pause"))
    assert isinstance(await gpu.next_command(), messages.PauseAttempt)
    assert (await gpu.checkpoint(ref, b'{"frame": 4}')).pause_granted
    await gpu.report(ref, messages.Paused())
    status, body, _ = await pausing
    assert status == 200
    assert_shape(PAUSED, body)
    assert (body["status"], body["checkpoint_sequence"]) == ("PAUSED", 5)

    status, body, _ = await system.call("POST", f"/workloads/{workload_id}/pause")
    assert status == 400
    assert_error(status, "INVALID_STATE", body)

    status, body, _ = await system.call("POST", f"/workloads/{workload_id}/resume")
    assert status == 202
    assert_shape(RESUMED, body)
    assert (body["status"], body["checkpoint_sequence"]) == ("PENDING", 5)
    status, body, _ = await system.call("POST", f"/workloads/{workload_id}/resume")
    assert status == 400
    assert_error(status, "INVALID_STATE", body)


async def test_1_7_logs(system: System, gpu: ScriptedWorker) -> None:
    workload_id, ref = await start(system, gpu)
    await gpu.report(
        ref,
        messages.LogLine("INFO", "Starting video transcoding"),
        messages.LogLine("INFO", "Processed 1000/10000 frames", {"progress_percent": 10}),
    )
    status, body, _ = await system.call("GET", f"/workloads/{workload_id}/logs")
    assert status == 200
    assert_shape(LOGS, body)
    assert [line["message"] for line in body["logs"]] == ["Starting video transcoding", "Processed 1000/10000 frames"]
    assert body["logs"][1]["details"] == {"progress_percent": 10}
    assert body["has_more"] is False
    _, body, _ = await system.call("GET", f"/workloads/{workload_id}/logs?limit=1")
    assert (len(body["logs"]), body["has_more"]) == (1, True)
    _, body, _ = await system.call("GET", f"/workloads/{workload_id}/logs?since=2099-01-01T00:00:00Z")
    assert body["logs"] == []
    _, body, _ = await system.call("GET", f"/workloads/{workload_id}/logs?until=2020-01-01T00:00:00Z")
    assert body["logs"] == []


async def test_1_8_audit(system: System, gpu: ScriptedWorker) -> None:
    workload_id, _ = await start(system, gpu)
    status, body, _ = await system.call("GET", f"/workloads/{workload_id}/audit")
    assert status == 200
    assert_shape(AUDIT, body)
    events = body["events"]
    assert [event["event_type"] for event in events] == [
        "workload.created",
        "workload.scheduled",
        "workload.started",
    ]
    assert [event["actor_type"] for event in events] == ["user", "coordinator", "worker"]
    assert events[1]["details"]["worker_id"] == "worker-5"
    assert events[2]["actor_id"] == "worker-5"


# --- 2. Workload configs --------------------------------------------------------------------------

CONFIG: dict[str, Any] = {
    "workload_type": "video_transcoding",
    "description": "Transcode videos to various formats",
    "config_json": {"default_codec": "h264", "default_resolution": "1080p"},
    "resource_limits": {"cpu_cores": 2, "memory_mb": 2048, "disk_mb": 10240},
    "checkpoint_interval_sec": 300,
    "max_retries": 3,
    "timeout_seconds": 7200,
}
CONFIG_CREATED = {
    "config_id": "wlcfg_xyz789",
    "workload_type": "video_transcoding",
    "created_at": "2025-10-27T12:00:00Z",
}
CONFIGS = {
    "configs": [
        {
            "config_id": "wlcfg_xyz789",
            "workload_type": "video_transcoding",
            "description": "Transcode videos to various formats",
            "resource_limits": {"cpu_cores": 2, "memory_mb": 2048},
            "created_at": "2025-10-27T12:00:00Z",
        }
    ]
}


async def test_2_configs_from_creation_to_deletion(system: System) -> None:
    status, created, headers = await system.call("POST", "/workload-configs", CONFIG)
    assert status == 201
    assert_shape(CONFIG_CREATED, created)
    assert created["config_id"].startswith("wlcfg_")
    path = f"/workload-configs/{created['config_id']}"
    assert headers["Location"] == f"/v1{path}"
    status, body, _ = await system.call("POST", "/workload-configs", CONFIG)
    assert status == 409
    assert_error(status, "CONFLICT", body)

    status, body, _ = await system.call("GET", "/workload-configs")
    assert status == 200
    assert_shape(CONFIGS, body)
    assert {key: body["configs"][0][key] for key in CONFIG} == CONFIG

    status, body, _ = await system.call("PUT", path, {"max_retries": 5})
    assert status == 200
    assert {key: body[key] for key in CONFIG} == CONFIG | {"max_retries": 5}
    status, body, _ = await system.call("GET", path)
    assert (status, body["max_retries"]) == (200, 5)

    status, body, headers = await system.call("DELETE", path)
    assert (status, body) == (204, None)
    for method, sent in (("GET", None), ("PUT", {"max_retries": 1}), ("DELETE", None)):
        status, body, _ = await system.call(method, path, sent)
        assert status == 404
        assert_error(status, "NOT_FOUND", body)


async def test_2_4_a_config_with_workloads_is_not_deleted(system: System) -> None:
    _, created, _ = await system.call("POST", "/workload-configs", CONFIG)
    await system.submit(workload_type="video_transcoding", **WAITING)
    status, body, _ = await system.call("DELETE", f"/workload-configs/{created['config_id']}")
    assert status == 409
    assert_error(status, "CONFLICT", body)


# --- 3. Customer ----------------------------------------------------------------------------------

CUSTOMER = {
    "customer_id": "cust_abc123",
    "name": "Acme Corp",
    "tier": "premium",
    "limits": {"max_concurrent_workloads": 500, "max_queue_depth": 2000, "rate_limit_per_sec": 50},
    "usage": {"current_running_workloads": 45, "current_queue_depth": 12, "workloads_today": 234},
    "created_at": "2024-01-15T09:00:00Z",
}
STATS = {
    "start_date": "2025-10-01",
    "end_date": "2025-10-27",
    "summary": {
        "total_workloads": 5432,
        "completed_workloads": 5123,
        "failed_workloads": 234,
        "cancelled_workloads": 75,
        "total_execution_hours": 1234.5,
    },
    "by_workload_type": [
        {
            "workload_type": "video_transcoding",
            "count": 3210,
            "avg_duration_seconds": 1800.0,
            "failure_rate": 0.05,
        }
    ],
}


async def test_3_1_customer(system: System, gpu: ScriptedWorker) -> None:
    own = {"rate_limit_per_sec": 50.0}  # as PostgreSQL gives a customer's own limit back
    await system.customers.create_customer("Acme Corp", "cust_abc123", "premium", own)
    key = (await system.customers.create_key("cust_abc123", "test"))[1]
    await system.submit(key, workload_type="video_transcoding", **WAITING)
    status, body, _ = await system.call("GET", "/customer", key=key)
    assert status == 200
    assert_shape(CUSTOMER, body)
    for field in ("customer_id", "name", "tier"):
        assert body[field] == CUSTOMER[field]
    assert CUSTOMER["limits"].items() <= body["limits"].items()  # type: ignore[attr-defined]
    assert body["usage"]["current_queue_depth"] == 1


async def test_3_2_statistics(system: System, gpu: ScriptedWorker) -> None:
    _, ref = await start(system, gpu)
    await gpu.report(ref, messages.Completed(b"{}"))
    today = datetime.now(UTC).date()
    span = f"start_date={today - timedelta(days=1)}&end_date={today + timedelta(days=1)}"
    status, body, _ = await system.call("GET", f"/customer/stats?{span}")
    assert status == 200
    assert_shape(STATS, body)
    assert (body["start_date"], body["end_date"]) == (str(today - timedelta(days=1)), str(today + timedelta(days=1)))
    assert body["summary"]["total_workloads"] == 1
    for grouping in ("day", "hour", "workload_type"):
        status, body, _ = await system.call("GET", f"/customer/stats?{span}&group_by={grouping}")
        assert status == 200
        assert body[f"by_{grouping}"]
    for query in ("", "start_date=2025-10-01", "start_date=2025-10-02&end_date=2025-10-01", f"{span}&group_by=year"):
        status, body, _ = await system.call("GET", f"/customer/stats?{query}")
        assert status == 400
        assert_error(status, "INVALID_INPUT", body)


# --- 4. Workers -----------------------------------------------------------------------------------

WORKERS = {
    "workers": [
        {
            "worker_id": "worker-5",
            "status": "HEALTHY",
            "capabilities": ["video_transcoding", "image_processing"],
            "capacity_total": 10,
            "capacity_used": 3,
            "tags": {"region": "us-west-2", "hardware": "gpu"},
            "last_heartbeat": "2025-10-27T12:55:30Z",
            "running_workloads": ["wl_abc123"],
        }
    ]
}


async def test_4_workers(system: System, gpu: ScriptedWorker) -> None:
    workload_id, _ = await start(system, gpu)
    status, body, _ = await system.call("GET", "/admin/workers?status=HEALTHY", key="admin")
    assert status == 200
    assert_shape(WORKERS, body)
    (worker,) = body["workers"]
    assert (worker["worker_id"], worker["tags"], worker["running_workloads"]) == ("worker-5", GPU, [workload_id])
    assert (worker["capacity_total"], worker["capacity_used"]) == (10, 1)

    status, body, _ = await system.call("POST", "/admin/workers/worker-5/drain", key="admin")
    assert status == 200
    _, body, _ = await system.call("GET", "/admin/workers?status=DRAINING", key="admin")
    assert [worker["worker_id"] for worker in body["workers"]] == ["worker-5"]

    status, body, _ = await system.call("DELETE", "/admin/workers/worker-5", key="admin")
    assert (status, body) == (204, None)
    assert (await system.get(workload_id))["status"] == "REDISTRIBUTING"
    status, body, _ = await system.call("POST", "/admin/workers/never-seen/drain", key="admin")
    assert status == 404
    assert_error(status, "NOT_FOUND", body)


async def test_4_workers_are_for_admins(system: System) -> None:
    for method, path in (("GET", ""), ("POST", "/w1/drain"), ("POST", "/w1/undrain"), ("DELETE", "/w1")):
        status, body, _ = await system.call(method, f"/admin/workers{path}")
        assert status == 403
        assert_error(status, "FORBIDDEN", body)


# --- 5. Health ------------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["", "/v1"])
async def test_5_health_and_readiness(system: System, prefix: str) -> None:
    async with system.http.get(system.url(f"{prefix}/health")) as response:
        assert response.status == 200
        body = await response.json()
    assert_shape({"status": "healthy", "timestamp": "2025-10-27T12:56:00Z"}, body)
    assert body["status"] == "healthy"
    ready = {
        "status": "ready",
        "dependencies": {"database": "connected", "broker": "connected", "leader_elected": True},
    }
    async with asyncio.timeout(10):
        while True:
            async with system.http.get(system.url(f"{prefix}/ready")) as response:
                status, body = response.status, await response.json()
            assert_shape(ready, body)
            if status == 200:
                break
            assert status == 503
            assert body["status"] == "not_ready"
            await asyncio.sleep(0.02)
    assert body == ready


async def test_5_3_metrics(system: System, gpu: ScriptedWorker) -> None:
    _, ref = await start(system, gpu)
    await gpu.report(ref, messages.Completed(b"{}"))
    admin = {"Authorization": f"Bearer {system.keys['admin']}"}
    async with asyncio.timeout(10):
        while True:
            async with system.http.get(system.url("/metrics"), headers=admin) as response:
                assert response.status == 200
                assert response.content_type == "text/plain"
                text = await response.text()
            if 'status="COMPLETED"' in text:
                break
            await asyncio.sleep(0.02)
    assert "# TYPE niyanta_workload_submissions_total counter" in text
    assert re.search(r'^niyanta_workload_submissions_total\{customer="cust_a",status="COMPLETED"\} 1', text, re.M)
    assert "# TYPE niyanta_workload_duration_seconds histogram" in text
    assert re.search(
        r'^niyanta_workload_duration_seconds_bucket\{customer="cust_a",le="60(\.0)?",workload_type="video_transcoding"\}'
        r'|^niyanta_workload_duration_seconds_bucket\{customer="cust_a",workload_type="video_transcoding",le="60(\.0)?"\}',
        text,
        re.M,
    )


# --- Errors ---------------------------------------------------------------------------------------


async def test_errors_400(system: System, gpu: ScriptedWorker) -> None:
    status, body, headers = await system.call("POST", "/workloads", SUBMISSION | {"workload_type": "invalid_type"})
    assert status == 400
    assert_error(status, "INVALID_INPUT", body)
    assert body["error"]["message"] == "Workload type 'invalid_type' is not supported"
    assert body["error"]["details"]["supported_types"] == sorted(TYPES)
    assert body["error"]["request_id"] == headers["X-Request-ID"]
    assert body["error"]["request_id"].startswith("req_")


@cases("key", [None, "nonsense", "nyt_cust_a_" + "0" * 32])
async def test_errors_401(system: System, key: str | None) -> None:
    status, body, _ = await system.call("GET", "/workloads", key=key)
    assert status == 401
    assert_error(status, "UNAUTHORIZED", body)


async def test_errors_404(system: System) -> None:
    for path in ("", "/logs", "/audit"):
        status, body, _ = await system.call("GET", f"/workloads/wl_never_issued{path}")
        assert status == 404
        assert_error(status, "NOT_FOUND", body)
    for move in ("cancel", "pause", "resume"):
        status, body, _ = await system.call("POST", f"/workloads/wl_never_issued/{move}")
        assert status == 404
        assert_error(status, "NOT_FOUND", body)
    status, body, _ = await system.call("GET", "/nothing-here")
    assert status == 404
    assert_error(status, "NOT_FOUND", body)


async def test_errors_500_says_nothing_of_the_inside(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("secret of the inside")

    monkeypatch.setattr(WorkloadService, "get", broken)
    status, body, _ = await system.call("GET", "/workloads/wl_abc123")
    assert status == 500
    assert_error(status, "INTERNAL_ERROR", body)
    assert "secret" not in json.dumps(body)


async def test_errors_503_when_the_queue_is_full(system: System) -> None:
    worker = await system.worker("worker-5", types=TYPES)
    async with beating(worker):
        await system.customers.create_customer("full", "cust_full", limits={"max_queue_depth": 2})
        key = (await system.customers.create_key("cust_full", "test"))[1]
        plain = {"workload_type": "video_transcoding", "input_params": {}, **WAITING}
        for _ in range(2):
            status, body, _ = await system.call("POST", "/workloads", plain, key=key)
            assert status == 202, body
        status, body, headers = await system.call("POST", "/workloads", plain, key=key)
        assert status == 503
        assert_error(status, "SERVICE_UNAVAILABLE", body)
        assert int(headers["Retry-After"]) >= 1


# --- Rate limits ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tier", "rate", "burst"), [("free", 1, 5), ("standard", 10, 50), ("premium", 50, 200), ("enterprise", 200, 1000)]
)
async def test_rate_limit_of_each_tier(system: System, tier: str, rate: int, burst: int) -> None:
    customer = await system.customers.create_customer(tier, f"cust_{tier}", tier)
    assert customer.rate_limit_per_sec == rate
    assert customer.burst == burst
    key = (await system.customers.create_key(f"cust_{tier}", "test"))[1]
    _, _, headers = await system.call("GET", "/workloads", key=key)
    assert headers["X-RateLimit-Limit"] == str(rate)
    assert int(headers["X-RateLimit-Remaining"]) == burst - 1
    assert re.fullmatch(r"\d{10}", headers["X-RateLimit-Reset"])


async def test_rate_limit_answer(system: System) -> None:
    await system.customers.create_customer("free", "cust_free", "free")
    key = (await system.customers.create_key("cust_free", "test"))[1]
    async with asyncio.timeout(10):
        while (answer := await system.call("GET", "/workloads", key=key))[0] == 200:
            pass
    status, body, headers = answer
    assert status == 429
    assert_shape(RATE_LIMITED, body, free=())
    assert_error(status, "RATE_LIMITED", body)
    wait = body["error"]["details"]["retry_after"]
    assert body["error"]["message"] == f"Rate limit exceeded. Retry after {wait} seconds."
    assert headers["Retry-After"] == str(wait)
    assert body["error"]["details"] == {"limit": 1, "window_seconds": 60, "retry_after": wait}
    assert headers["X-RateLimit-Limit"] == "1"
    assert headers["X-RateLimit-Remaining"] == "0"


# --- Pagination -----------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_pagination_by_cursor(system: System, order: str) -> None:
    worker = await system.worker("worker-5")
    async with beating(worker):
        ids = [await system.submit(**WAITING) for _ in range(7)]
        found: list[str] = []
        query = f"limit=3&order={order}"
        while True:
            status, body, _ = await system.call("GET", f"/workloads?{query}")
            assert status == 200
            found += [row["workload_id"] for row in body["workloads"]]
            assert {"next_cursor", "has_more"} <= set(body["pagination"])
            if not body["pagination"]["has_more"]:
                assert body["pagination"]["next_cursor"] is None
                break
            query = f"limit=3&order={order}&cursor={body['pagination']['next_cursor']}"
    assert found == (ids if order == "asc" else ids[::-1])


async def test_pagination_by_offset(system: System) -> None:
    worker = await system.worker("worker-5")
    async with beating(worker):
        ids = [await system.submit(**WAITING) for _ in range(5)]
        found: list[str] = []
        for offset in (0, 2, 4):
            _, body, _ = await system.call("GET", f"/workloads?limit=2&offset={offset}")
            assert_shape(LISTED["pagination"], body["pagination"])
            assert body["pagination"]["total"] == 5
            assert body["pagination"]["offset"] == offset
            assert body["pagination"]["has_more"] is (offset < 4)
            found += [row["workload_id"] for row in body["workloads"]]
    assert found == ids[::-1]
    status, body, _ = await system.call("GET", "/workloads?offset=0&cursor=abc")
    assert status == 400
    assert_error(status, "INVALID_INPUT", body)


# --- Examples 1 and 2, SDK ------------------------------------------------------------------------

EXAMPLE = {"workload_type": "video_transcoding", "input_params": {"video_url": "s3://input/video123.mp4"}}


async def test_example_1_a_complete_life(system: System, gpu: ScriptedWorker) -> None:
    status, body, _ = await system.call("POST", "/workloads", EXAMPLE)
    assert status == 202
    assert_shape({key: SUBMITTED[key] for key in ("workload_id", "status", "created_at")}, body)
    workload_id = body["workload_id"]
    ref = (await gpu.next_assignment()).ref
    await gpu.report(ref, messages.Started(), messages.Progressed(45))
    body = await system.get(workload_id)
    running = {"status": "RUNNING", "progress_percent": 45, "worker_id": "worker-5"}
    assert {key: body[key] for key in running} == running
    assert_shape({"started_at": "2025-10-27T12:35:10Z"}, body)
    await gpu.report(ref, messages.Completed(b'{"output_url": "s3://output/video123_transcoded.mp4"}'))
    body = await system.get(workload_id)
    completed = {
        "workload_id": workload_id,
        "status": "COMPLETED",
        "progress_percent": 100,
        "result_data": {"output_url": "s3://output/video123_transcoded.mp4"},
    }
    assert {key: body[key] for key in completed} == completed
    assert_shape({"completed_at": "2025-10-27T13:00:00Z"}, body)


@pytest.mark.hasty
async def test_example_2_a_worker_that_fails(system: System) -> None:
    first = await system.worker("worker-5", types=TYPES)
    async with beating(first):
        workload_id, ref = await start(system, first, **EXAMPLE, affinity_rules=None)
        await first.report(ref, messages.Progressed(45))
        assert (await first.checkpoint(ref, b'{"frame": 4500}')).checkpoint_sequence == 1
    body = await system.until(workload_id, "REDISTRIBUTING")
    assert {key: body[key] for key in ("status", "retry_count", "error_message")} == {
        "status": "REDISTRIBUTING",
        "retry_count": 1,
        "error_message": "Worker heartbeat timeout",
    }
    second = await system.worker("worker-7", types=TYPES)
    async with beating(second):
        assignment = await second.next_assignment(10)
        await second.report(assignment.ref, messages.Started())
        body = await system.until(workload_id, "RUNNING")
    again = {"status": "RUNNING", "worker_id": "worker-7", "retry_count": 1, "progress_percent": 45}
    assert {key: body[key] for key in again} == again
    assert assignment.checkpoint_sequence == 1


PYTHON_EXAMPLE = """\
from niyanta import Client

client = Client(api_key="nyt_cust_abc123_...")

# Submit workload
workload = client.workloads.submit(
    workload_type="video_transcoding",
    input_params={"video_url": "s3://input/video123.mp4"}
)

# Wait for completion
final_workload = client.workloads.wait_for_completion(workload.id)
print(f"Result: {final_workload.result_data}")
"""


async def test_python_example_runs_as_it_is_printed(
    system: System, gpu: ScriptedWorker, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    await system.customers.create_customer("Acme Corp", "cust_abc123", "premium")
    key = (await system.customers.create_key("cust_abc123", "test"))[1]
    assert re.fullmatch(r"nyt_cust_abc123_[A-Za-z0-9]{32}", key)
    monkeypatch.setenv("NIYANTA_URL", system.url(""))
    monkeypatch.setenv("NIYANTA_API_KEY", key)
    names: dict[str, Any] = {}
    running = asyncio.create_task(asyncio.to_thread(exec, compile(PYTHON_EXAMPLE, "example.py", "exec"), names))
    try:
        ref = (await gpu.next_assignment()).ref
        await gpu.report(ref, messages.Started(), messages.Completed(b'{"output_url": "s3://output/video123.mp4"}'))
        await running
    finally:
        if "client" in names:
            names["client"].close()
    assert capsys.readouterr().out == "Result: {'output_url': 's3://output/video123.mp4'}\n"


# --- Headers everywhere ---------------------------------------------------------------------------


async def test_a_request_id_is_taken_over_when_it_is_sane(system: System) -> None:
    _, _, headers = await system.call("GET", "/workloads", X_Request_ID="my-id_1.2")
    assert headers["X-Request-ID"] == "my-id_1.2"
    _, _, headers = await system.call("GET", "/workloads", X_Request_ID="with spaces")
    assert headers["X-Request-ID"].startswith("req_")


async def test_a_body_over_the_limit_is_413_and_another_type_415(
    database_url: str, nats_url: str, subject_prefix: str
) -> None:
    async with running_system(database_url, nats_url, subject_prefix, max_body_bytes=1000) as system:
        status, body, _ = await system.call("POST", "/workloads", SUBMISSION | {"input_params": {"x": "y" * 1000}})
        assert status == 413
        assert_error(status, "INVALID_INPUT", body)
        status, body, _ = await system.call("POST", "/workloads", SUBMISSION, Content_Type="text/plain")
        assert status == 415
        assert_error(status, "INVALID_INPUT", body)


async def test_another_method_is_405_with_what_is_allowed(system: System) -> None:
    async with aiohttp.ClientSession() as http, http.put(system.url("/v1/workloads")) as response:
        assert response.status == 405
        assert response.headers["Allow"] == "GET, HEAD, OPTIONS, POST"
        assert_error(405, "INVALID_INPUT", await response.json())
