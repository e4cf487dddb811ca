"""Configurations of workload types: createWorkloadConfig and the operations beside it."""

from __future__ import annotations

from typing import Any

import pytest

from niyanta.wire import messages
from support.system import System, beating

WHOLE = {
    "workload_type": "video_transcoding",
    "description": "Transcode videos",
    "config_json": {"default_codec": "h264", "nested": {"a": [1, None, 1.5]}},
    "resource_limits": {"cpu_cores": 2.5, "memory_mb": 2048, "disk_mb": 10240},
    "checkpoint_interval_sec": 60,
    "max_retries": 0,
    "timeout_seconds": 7200,
    "input_schema": {"type": "object", "required": ["video_url"], "properties": {"video_url": {"type": "string"}}},
}


async def created(system: System, key: str = "cust_a", **fields: Any) -> str:
    status, body, _ = await system.call("POST", "/workload-configs", {"workload_type": "t", **fields}, key=key)
    assert status == 201, body
    return str(body["config_id"])


async def test_a_config_lives(system: System) -> None:
    status, body, headers = await system.call("POST", "/workload-configs", WHOLE)
    assert status == 201
    assert set(body) == {"config_id", "workload_type", "created_at"}
    config_id = body["config_id"]
    assert config_id.startswith("wlcfg_")
    assert headers["Location"] == f"/v1/workload-configs/{config_id}"
    status, whole, _ = await system.call("GET", f"/workload-configs/{config_id}")
    assert status == 200
    assert {name: whole[name] for name in WHOLE} == WHOLE
    assert set(whole) == {*WHOLE, "config_id", "created_at", "updated_at"}

    status, changed, _ = await system.call(
        "PUT",
        f"/workload-configs/{config_id}",
        {"description": "", "resource_limits": {"memory_mb": 1}, "timeout_seconds": None, "max_retries": 7},
    )
    assert status == 200
    assert changed == whole | {
        "description": "",
        "resource_limits": {"cpu_cores": 2.5, "memory_mb": 1, "disk_mb": 10240},
        "max_retries": 7,
        "updated_at": changed["updated_at"],
    }
    assert changed["updated_at"] > whole["updated_at"]

    _, listed, _ = await system.call("GET", "/workload-configs")
    assert listed == {"configs": [changed], "pagination": {"has_more": False, "next_cursor": None}}
    status, body, _ = await system.call("DELETE", f"/workload-configs/{config_id}")
    assert (status, body) == (204, None)
    for method in ("GET", "DELETE"):
        assert (await system.call(method, f"/workload-configs/{config_id}"))[0] == 404
    assert (await system.call("GET", "/workload-configs"))[1]["configs"] == []


async def test_what_is_left_out_has_its_default(system: System) -> None:
    config_id = await created(system)
    _, body, _ = await system.call("GET", f"/workload-configs/{config_id}")
    assert body | {"created_at": "", "updated_at": ""} == {
        "config_id": config_id,
        "workload_type": "t",
        "description": "",
        "config_json": {},
        "resource_limits": {"cpu_cores": 1.0, "memory_mb": 512, "disk_mb": 1024},
        "checkpoint_interval_sec": 300,
        "max_retries": 3,
        "timeout_seconds": None,
        "input_schema": None,
        "created_at": "",
        "updated_at": "",
    }


async def test_a_type_has_one_config_a_customer(system: System) -> None:
    await created(system)
    await created(system, "cust_b")
    status, body, _ = await system.call("POST", "/workload-configs", {"workload_type": "t"})
    assert (status, body["error"]["code"]) == (409, "CONFLICT")
    assert body["error"]["details"]["field"] == "workload_type"


async def test_a_foreign_config_is_a_missing_one(system: System) -> None:
    config_id = await created(system)
    for method, body in (("GET", None), ("PUT", {"description": "x"}), ("PUT", {"oops": 1}), ("DELETE", None)):
        foreign = await system.call(method, f"/workload-configs/{config_id}", body, key="cust_b")
        never = await system.call(method, "/workload-configs/wlcfg_never", body, key="cust_b")
        for status, answer, _ in (foreign, never):
            assert (status, answer["error"]["code"]) == (404, "NOT_FOUND")
        assert foreign[1]["error"] | {"request_id": ""} == never[1]["error"] | {"request_id": ""}


async def test_lists_page(system: System) -> None:
    ids = [await created(system, workload_type=f"t{number}") for number in range(5)]
    found: list[str] = []
    cursor = ""
    while True:
        _, body, _ = await system.call("GET", f"/workload-configs?limit=2{cursor}")
        found += [config["config_id"] for config in body["configs"]]
        if not body["pagination"]["has_more"]:
            break
        cursor = f"&cursor={body['pagination']['next_cursor']}"
    assert found == ids
    status, answer, _ = await system.call("GET", f"/workload-configs?limit=2{cursor}", key="cust_b")
    assert (status, answer["error"]["details"]["field"]) == (400, "cursor")


deep: dict[str, Any] = {}
for _ in range(80):
    deep = {"a": deep}
doubling: dict[str, Any] = {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(40)}

REFUSED: list[tuple[dict[str, Any], str]] = [
    ({}, "workload_type"),
    ({"workload_type": ""}, "workload_type"),
    ({"workload_type": "a b"}, "workload_type"),
    ({"workload_type": "a\n"}, "workload_type"),
    ({"workload_type": "-a"}, "workload_type"),
    ({"workload_type": "é"}, "workload_type"),
    ({"workload_type": "１"}, "workload_type"),
    ({"workload_type": "a" * 101}, "workload_type"),
    ({"workload_type": "a.*.>"}, "workload_type"),
    ({"workload_type": None}, "workload_type"),
    ({"workload_type": 5}, "workload_type"),
    ({"description": "x" * 2001}, "description"),
    ({"description": "\0"}, "description"),
    ({"config_json": []}, "config_json"),
    ({"config_json": "{}"}, "config_json"),
    ({"config_json": {"a": "x" * 300_000}}, "config_json"),
    ({"config_json": {"a": 2**63}}, "config_json.a"),
    ({"resource_limits": {"cpu_cores": 0}}, "resource_limits.cpu_cores"),
    ({"resource_limits": {"cpu_cores": -1}}, "resource_limits.cpu_cores"),
    ({"resource_limits": {"cpu_cores": 1025}}, "resource_limits.cpu_cores"),
    ({"resource_limits": {"cpu_cores": True}}, "resource_limits.cpu_cores"),
    ({"resource_limits": {"cpu_cores": "2"}}, "resource_limits.cpu_cores"),
    ({"resource_limits": {"memory_mb": 0}}, "resource_limits.memory_mb"),
    ({"resource_limits": {"memory_mb": 1.5}}, "resource_limits.memory_mb"),
    ({"resource_limits": {"memory_mb": 1 << 40}}, "resource_limits.memory_mb"),
    ({"resource_limits": {"disk_mb": 0}}, "resource_limits.disk_mb"),
    ({"resource_limits": {"disk_mb": 1 << 31}}, "resource_limits.disk_mb"),
    ({"resource_limits": {"gpus": 1}}, "resource_limits.gpus"),
    ({"resource_limits": []}, "resource_limits"),
    ({"checkpoint_interval_sec": 0}, "checkpoint_interval_sec"),
    ({"checkpoint_interval_sec": 86_401}, "checkpoint_interval_sec"),
    ({"max_retries": -1}, "max_retries"),
    ({"max_retries": 101}, "max_retries"),
    ({"timeout_seconds": 0}, "timeout_seconds"),
    ({"timeout_seconds": 30 * 86_400 + 1}, "timeout_seconds"),
    ({"timeout_seconds": 10**12}, "timeout_seconds"),
    ({"input_schema": True}, "input_schema"),
    ({"input_schema": {"type": "text"}}, "input_schema"),
    ({"input_schema": {"pattern": "("}}, "input_schema"),
    ({"input_schema": {"properties": {"a": {"pattern": r"(a)\1"}}}}, "input_schema"),
    ({"input_schema": {"$ref": "http://127.0.0.1/schema"}}, "input_schema"),
    ({"input_schema": {"$ref": "file:///etc/passwd"}}, "input_schema"),
    ({"input_schema": {"$ref": "#"}}, "input_schema"),
    ({"input_schema": {"$ref": "#/$defs/missing"}}, "input_schema"),
    ({"input_schema": {"$defs": {**doubling, "d40": {}}, "$ref": "#/$defs/d0"}}, "input_schema"),
    ({"input_schema": {"enum": ["x" * 70_000]}}, "input_schema"),
    ({"input_schema": deep}, "input_schema"),
    ({"config_id": "wlcfg_mine"}, "config_id"),
    ({"customer_id": "cust_b"}, "customer_id"),
    ({"created_at": "2025-01-01T00:00:00Z"}, "created_at"),
]


async def test_what_is_wrong_is_named(system: System) -> None:
    config_id = await created(system)
    for fields, field in REFUSED:
        body = fields if "workload_type" in fields or not fields else {"workload_type": "other", **fields}
        requests = [("POST", "/workload-configs", body)]
        if fields and field != "workload_type":
            requests.append(("PUT", f"/workload-configs/{config_id}", fields))
        for method, path, sent in requests:
            status, answer, _ = await system.call(method, path, sent)
            assert (status, answer["error"]["code"]) == (400, "INVALID_INPUT"), (fields, answer)
            assert answer["error"]["details"]["field"].startswith(field), (fields, answer)
    assert len((await system.call("GET", "/workload-configs"))[1]["configs"]) == 1


async def test_the_type_stays(system: System) -> None:
    config_id = await created(system)
    path = f"/workload-configs/{config_id}"
    status, answer, _ = await system.call("PUT", path, {"workload_type": "other"})
    assert (status, answer["error"]["details"]) == (400, {"field": "workload_type", "allowed": ["t"]})
    assert (await system.call("PUT", path, {"workload_type": "t", "max_retries": 1}))[1]["max_retries"] == 1


async def test_a_change_holds_at_once(system: System) -> None:
    """Each change is followed by a submission that depends on it, with nothing in between."""
    submission = {"workload_type": "t", "input_params": {"n": "x"}}
    assert (await system.call("POST", "/workloads", submission))[0] == 400
    config_id = await created(system)
    assert (await system.call("POST", "/workloads", submission))[0] == 202
    schema = {"input_schema": {"properties": {"n": {"type": "integer"}}}}
    await system.call("PUT", f"/workload-configs/{config_id}", schema)
    status, answer, _ = await system.call("POST", "/workloads", submission)
    assert status == 400
    assert answer["error"]["details"]["errors"] == [
        {"pointer": "/input_params/n", "message": "must be of type integer"}
    ]
    other = await created(system, workload_type="u")
    await system.call("DELETE", f"/workload-configs/{other}")
    status, answer, _ = await system.call("POST", "/workloads", submission | {"workload_type": "u"})
    assert (status, answer["error"]["details"]["supported_types"]) == (400, ["t"])
    assert (await system.call("POST", "/workloads", submission, key="cust_b"))[0] == 400


async def test_a_config_with_workloads_stays_whatever_became_of_them(system: System) -> None:
    config_id = await created(system, workload_type="count")
    path = f"/workload-configs/{config_id}"
    worker = await system.worker()
    async with beating(worker):
        workload_id = await system.submit()
        assert (await system.call("DELETE", path))[0] == 409
        ref = (await worker.next_assignment()).ref
        assert (await system.call("DELETE", path))[0] == 409
        await worker.report(ref, messages.Started(), messages.Completed(b"{}"))
        assert (await system.get(workload_id))["status"] == "COMPLETED"
        status, answer, _ = await system.call("DELETE", path)
        assert (status, answer["error"]["code"]) == (409, "CONFLICT")
        assert answer["error"]["details"]["workload_type"] == "count"


@pytest.mark.parametrize("pattern", ["^(a+)+$", "^(a|a)*$", "^(.*,){20}x$"])
async def test_no_pattern_holds_the_service_up(system: System, pattern: str) -> None:
    await created(system, input_schema={"properties": {"n": {"pattern": pattern}}})
    submission = {"workload_type": "t", "input_params": {"n": "a" * 100_000 + "!"}}
    status, answer, _ = await system.call("POST", "/workloads", submission)
    assert (status, answer["error"]["code"]) == (400, "INVALID_INPUT")


async def test_types_are_those_that_are_served_or_configured(system: System) -> None:
    await system.worker(types=["count", "free"], schemas={"count": {"type": "object"}})
    body = {"workload_type": "later", "input_schema": {"type": "object", "required": ["to"]}}
    assert (await system.call("POST", "/workload-configs", body))[0] == 201
    _, mine, _ = await system.call("GET", "/workload-types")
    assert mine["workload_types"] == [
        {"workload_type": "count", "is_served": True, "input_schemas": [{"type": "object"}], "config_schema": None},
        {"workload_type": "free", "is_served": True, "input_schemas": [], "config_schema": None},
        {"workload_type": "later", "is_served": False, "input_schemas": [], "config_schema": body["input_schema"]},
    ]
    _, theirs, _ = await system.call("GET", "/workload-types", key="cust_b")
    assert [one["workload_type"] for one in theirs["workload_types"]] == ["count", "free"]
