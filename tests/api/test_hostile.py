"""Bad input of any shape gets a 4xx that names the field; never a failure, a hang or a half-done write."""

from __future__ import annotations

import io
import json
import time
from typing import Any

import asyncpg

from support.pace import pace
from support.system import System, supported

WL = '"workload_type": "count", "input_params": {}'


def workload(fields: str) -> str:
    return "{" + WL + ", " + fields + "}"


def params(value: str) -> str:
    return '{"workload_type": "count", "input_params": {"a": ' + value + "}}"


def tags(entries: dict[str, Any], side: str = "hard_affinity") -> str:
    return workload(f'"affinity_rules": {json.dumps({side: {"worker_tags": entries}})}')


SUBMISSIONS: list[tuple[str | bytes, str]] = [
    ("", "body"),
    ("null", "body"),
    ("[]", "body"),
    ("{", "body"),
    (b"\xef\xbb\xbf{}", "body"),
    (workload('"priority": 1').encode("utf-16"), "body"),
    (b'{"workload_type": "\xff"}', "body"),
    (b'{"workload_type": "\xed\xa0\x80", "input_params": {}}', "body"),
    (params(r'"\ud800"'), "body"),
    (params(r'{"\udc00": 1}'), "body"),
    (params("NaN"), "body"),
    (params("-Infinity"), "body"),
    (params("1e400"), "input_params"),
    (params("9223372036854775808"), "input_params.a"),
    (params("1" * 5000), "input_params"),
    (params(r'"\u0000"'), "input_params.a"),
    (params(r'[{"b\u0000": 1}]'), "input_params.a[0].b"),
    (params("[" * 70 + "]" * 70), "input_params.a"),
    (params("[" * 100_000 + "]" * 100_000), "body"),
    ("[" * 500_000, "body"),
    (params("[" + "1," * 300_000 + "1]"), "body"),
    ("{}", "workload_type"),
    ('{"workload_type": "count"}', "input_params"),
    ('{"workload_type": "count", "input_params": null}', "input_params"),
    ('{"workload_type": "count", "input_params": []}', "input_params"),
    ('{"workload_type": "count", "input_params": "x"}', "input_params"),
    ('{"workload_type": null, "input_params": {}}', "workload_type"),
    ('{"workload_type": 1, "input_params": {}}', "workload_type"),
    ('{"workload_type": "", "input_params": {}}', "workload_type"),
    ('{"workload_type": "' + "x" * 10_000 + '", "input_params": {}}', "workload_type"),
    (r'{"workload_type": "count\u0000", "input_params": {}}', "workload_type"),
    (r'{"workload_type": "count\n", "input_params": {}}', "workload_type"),
    (r'{"workload_type": "niyanta.v1.*.>", "input_params": {}}', "workload_type"),
    (r'{"workload_type": "' + "\u202e" + r'tnuoc", "input_params": {}}', "workload_type"),
    (workload('"priority": true'), "priority"),
    (workload('"priority": 10.0'), "priority"),
    (workload('"priority": 1e2'), "priority"),
    (workload('"priority": "10"'), "priority"),
    (workload('"priority": -1'), "priority"),
    (workload('"priority": 1001'), "priority"),
    (workload('"priority": 2147483648'), "priority"),
    (workload('"priority": 99999999999999999999'), "priority"),
    (workload('"timeout_seconds": 0'), "timeout_seconds"),
    (workload('"timeout_seconds": -1'), "timeout_seconds"),
    (workload('"timeout_seconds": 1.5'), "timeout_seconds"),
    (workload('"timeout_seconds": 2592001'), "timeout_seconds"),
    (workload('"timeout_seconds": 1000000000000'), "timeout_seconds"),
    (workload('"affinity_rules": []'), "affinity_rules"),
    (workload('"affinity_rules": {"hard": {}}'), "affinity_rules.hard"),
    (workload('"affinity_rules": {"hard_affinity": {"tags": {}}}'), "affinity_rules.hard_affinity.tags"),
    (workload('"affinity_rules": {"hard_affinity": {"worker_id": ""}}'), "affinity_rules.hard_affinity.worker_id"),
    (workload('"affinity_rules": {"anti_affinity": {"worker_id": 5}}'), "affinity_rules.anti_affinity.worker_id"),
    (tags({"": "x"}), "affinity_rules.hard_affinity.worker_tags"),
    (tags({"x": ""}), "affinity_rules.hard_affinity.worker_tags"),
    (tags({"x": None}), "affinity_rules.hard_affinity.worker_tags"),
    (tags({"x": 1}, "soft_affinity"), "affinity_rules.soft_affinity.worker_tags"),
    (tags({"x": "a" * 257}), "affinity_rules.hard_affinity.worker_tags"),
    (tags({"x" * 257: "a"}), "affinity_rules.hard_affinity.worker_tags"),
    (tags({"x": "\0"}), "affinity_rules.hard_affinity.worker_tags.x"),
    (tags({"\0": "x"}), "affinity_rules.hard_affinity.worker_tags"),
    (tags({"x": "a\nb"}), "affinity_rules.hard_affinity.worker_tags"),
    (tags({"x\x7f": "a"}), "affinity_rules.hard_affinity.worker_tags"),
    (tags({"x": "\x85"}), "affinity_rules.hard_affinity.worker_tags"),
    (tags({str(n): "x" for n in range(65)}, "anti_affinity"), "affinity_rules.anti_affinity.worker_tags"),
    (tags({str(n): "x" for n in range(40_000)}), "affinity_rules.hard_affinity.worker_tags"),
    (
        workload('"affinity_rules": {"anti_affinity": {"workload_types": [""]}}'),
        "affinity_rules.anti_affinity.workload_types",
    ),
    (
        workload('"affinity_rules": {"anti_affinity": {"workload_types": ' + json.dumps(["x"] * 65) + "}}"),
        "affinity_rules.anti_affinity.workload_types",
    ),
    *[
        (workload(f'"{name}": "x"'), name)
        for name in ("customer_id", "status", "worker_id", "retry_count", "generation", "workload_id", "created_at")
    ],
]

QUERIES: list[tuple[str, str]] = [
    *[
        (f"/workloads?{name}={value}", name)
        for name, values in {
            "limit": ["0", "-1", "101", "1e1", "1.0", "", "%20", "+1", "1000000000", "9" * 30, "０", "１０", "0x10"],
            "offset": ["-1", "", "1e9", "9999999999", "9" * 40, "١"],
            "order_by": ["", "id", "created_at;", "created_at desc", "customer_id", "%00"],
            "order": ["", "ASC", "up"],
            "status": ["", "running", "RUNNING,PENDING", "%00", "UNKNOWN"],
            "workload_type": ["a%00", "x" * 201],
            "cursor": ["", "x", "%00", "%ff", "eyJpZCI6Ind", "'; DROP TABLE workloads; --"],
            "nonsense": ["1"],
        }.items()
        for value in values
    ],
    ("/workloads?limit=1&limit=1", "limit"),
    ("/workloads?limit=1&Limit=1", "Limit"),
    ("/workloads?offset=0&cursor=abc", "cursor"),
    ("/workloads?%00=1", "\x00"),
    ("/workloads?=1", ""),
]

MOMENTS = [
    "",
    "yesterday",
    "2025-13-01",
    "2025-02-30T00:00:00Z",
    "0000-01-01T00:00:00Z",
    "10000-01-01T00:00:00Z",
    "0001-01-01T00:00:00+23:59",
    "9999-12-31T23:59:59.999999-23:59",
    "2025-01-01T00:00:00+99:00",
    "2025-01-01T25:00:00Z",
    "２０２５-01-01",
    "1730000000",
    "2025-01-01T00:00:00Z%00",
]


def check(status: int, answer: Any, field: str, given: object) -> None:
    assert 400 <= status < 500, (given, status, answer)
    error = answer["error"]
    assert error["code"] == "INVALID_INPUT", given
    assert error["request_id"]
    assert error["details"]["field"].startswith(field), (given, error)
    assert len(error["message"]) < 1000


async def raw(system: System, method: str, path: str, body: bytes, **headers: str) -> tuple[int, Any, Any]:
    sent = {
        "Authorization": f"Bearer {system.keys['cust_a']}",
        "Content-Type": "application/json",
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    async with system.http.request(method, system.url(path), data=io.BytesIO(body), headers=sent) as response:
        text = await response.read()
        return response.status, json.loads(text) if text else None, response.headers


async def kept(system: System) -> dict[str, Any]:
    """A type that is supported without a worker that beats, and a workload of it."""
    await supported(system)
    return await system.get(await system.submit())


async def test_submissions(system: System) -> None:
    await supported(system)
    for body, field in SUBMISSIONS:
        encoded = body if isinstance(body, bytes) else body.encode()
        began = time.perf_counter()
        status, answer, _ = await raw(system, "POST", "/v1/workloads", encoded)
        check(status, answer, field, encoded[:200])
        assert time.perf_counter() - began < 3 * pace(), encoded[:200]
        if encoded.startswith(b"{") and encoded.endswith(b"}") and len(encoded) < 100_000:
            batch = b'{"workloads": [' + encoded + b"]}"
            status, answer, _ = await raw(system, "POST", "/v1/workloads/batch", batch)
            assert status in (400, 202), (encoded[:200], answer)
            assert status == 400 or (answer["accepted"], answer["rejected"]) == (0, 1), encoded[:200]
    connection = await asyncpg.connect(system.database_url)
    assert await connection.fetchval("SELECT count(*) FROM workloads") == 0
    await connection.close()
    assert await system.submit()


TAKEN = [
    "9223372036854775807",
    "-9223372036854775808",
    "9007199254740993",
    "-0.0",
    "1e308",
    "5e-324",
    "0.1",
    r'"\\u0000"',
    r'"\ud83d\ude00 \u202e \ufeff \ufffe \uffff"',
    r'"\u0001\u001f\u007f"',
    "[" * 60 + "]" * 60,
    '{"": {"": []}}',
    '{"__proto__": 1, "constructor": null, "$ref": "x"}',
]


async def test_what_is_taken_comes_back_the_same(system: System) -> None:
    await supported(system)
    for value in TAKEN:
        status, body, _ = await raw(system, "POST", "/v1/workloads", params(value).encode())
        assert status == 202
        found = (await system.get(body["workload_id"]))["input_params"]["a"]
        assert json.dumps(found) == json.dumps(json.loads(value))


async def test_query_parameters(system: System) -> None:
    for query, field in QUERIES:
        status, answer, _ = await system.call("GET", query)
        check(status, answer, field, query)
    workload_id = (await kept(system))["workload_id"]
    for moment in MOMENTS:
        for name in ("since", "until"):
            status, answer, _ = await system.call("GET", f"/workloads/{workload_id}/logs?{name}={moment}")
            check(status, answer, name, moment)


async def test_times_at_the_edges(system: System) -> None:
    workload_id = (await kept(system))["workload_id"]
    for query in (
        "since=0001-01-01T00:00:00Z&until=9999-12-31T23:59:59.999999Z",
        "since=2025-01-01T00:00:00%2B14:00",
        "since=2025-01-01",
        "until=2025-01-01T00:00:00-12:00",
    ):
        assert (await system.call("GET", f"/workloads/{workload_id}/logs?{query}"))[0] == 200, query
    status, answer, _ = await system.call(
        "GET", f"/workloads/{workload_id}/logs?since=2025-01-02T00:00:00Z&until=2025-01-01T00:00:00Z"
    )
    check(status, answer, "since", "since after until")


ODD_IDS = [
    "%00",
    "wl_%00",
    "wl_a%0a",
    "%2e%2e",
    "..%2f..%2fetc",
    "%ff",
    "%ED%A0%80",
    "１",
    "%E2%80%AEwl",
    "*",
    "%3E",
    "'--",
    "x" * 5000,
    "wl_01m8a3z9kjaykv9hc4df5bbsxj%20",
]


async def test_odd_ids_are_missing_ones(system: System) -> None:
    for identifier in ODD_IDS:
        for method, suffix in (
            ("GET", ""),
            ("GET", "/logs"),
            ("GET", "/audit"),
            ("POST", "/cancel"),
            ("POST", "/pause"),
        ):
            status, answer, _ = await raw(system, method, f"/v1/workloads/{identifier}{suffix}", b"")
            assert (status, answer["error"]["code"]) == (404, "NOT_FOUND")
        for method in ("GET", "PUT", "DELETE"):
            status, answer, _ = await raw(system, method, f"/v1/workload-configs/{identifier}", b"{}")
            assert (status, answer["error"]["code"]) == (404, "NOT_FOUND")


async def test_reasons(system: System) -> None:
    workload_id = (await kept(system))["workload_id"]
    for body in (
        r'{"reason": "\u0000"}',
        '{"reason": 5}',
        json.dumps({"reason": "x" * 1001}),
        '{"why": 1}',
        "[]",
        "{",
    ):
        status, answer, _ = await raw(system, "POST", f"/v1/workloads/{workload_id}/cancel", body.encode())
        check(status, answer, "", body)
    for body in ('{"x": 1}', "[]", "5"):
        for verb in ("pause", "resume"):
            status, answer, _ = await raw(system, "POST", f"/v1/workloads/{workload_id}/{verb}", body.encode())
            check(status, answer, "", body)


async def test_methods(system: System) -> None:
    workload_paths = {
        "/v1/workloads": "GET, HEAD, OPTIONS, POST",
        "/v1/workloads/wl_x": "GET, HEAD, OPTIONS, PATCH",
        "/v1/workloads/wl_x/cancel": "OPTIONS, POST",
        "/v1/workload-configs/wlcfg_x": "DELETE, GET, HEAD, OPTIONS, PUT",
        "/v1/health": "GET, HEAD, OPTIONS",
    }
    for path, allowed in workload_paths.items():
        for method in ("MOVE", "TRACE"):
            status, answer, headers = await raw(system, method, path, b"")
            check(status, answer, "method", (method, path))
            assert (status, headers["Allow"]) == (405, allowed)
            assert answer["error"]["details"]["allowed"] == allowed.split(", ")
        status, answer, headers = await raw(system, "OPTIONS", path, b"")
        assert (status, answer, headers["Allow"]) == (204, None, allowed)
    for path in ("/v1/nothing", "/v1/workloads/", "/v1//workloads", "/V1/workloads", "/v2/workloads", "/v1"):
        status, answer, headers = await raw(system, "GET", path, b"")
        assert (status, answer["error"]["code"]) == (404, "NOT_FOUND")
        assert headers["X-Request-ID"] == answer["error"]["request_id"]


async def test_head_is_get_without_a_body(system: System) -> None:
    for path, wanted in (("/v1/health", 200), ("/v1/workloads", 200), ("/v1/workloads/wl_x", 404)):
        got, body, got_headers = await raw(system, "GET", path, b"")
        status, nothing, headers = await raw(system, "HEAD", path, b"")
        assert (status, nothing) == (got, None) == (wanted, None)
        assert body is not None
        if path != "/v1/health":
            assert abs(int(headers["Content-Length"]) - int(got_headers["Content-Length"])) < 5


MEDIA_TYPES = [
    ("application/json", True),
    ("application/json; charset=utf-8", True),
    ("Application/JSON", True),
    ("text/json", False),
    ("text/plain", False),
    ("application/x-www-form-urlencoded", False),
    ("multipart/form-data; boundary=x", False),
    ("application/jsonp", False),
]


async def test_media_types(system: System) -> None:
    await supported(system)
    for kind, taken in MEDIA_TYPES:
        body = ("{" + WL + "}").encode()
        status, answer, _ = await raw(system, "POST", "/v1/workloads", body, Content_Type=kind)
        if taken:
            assert status == 202
        else:
            check(status, answer, "Content-Type", kind)
            assert (status, answer["error"]["details"]["allowed"]) == (415, ["application/json"])


ACCEPTS = [
    ("*/*", True),
    ("", True),
    ("application/*", True),
    ("text/html, application/json;q=0.1", True),
    ("text/html, */*;q=0.01", True),
    ("APPLICATION/JSON", True),
    ("text/html", False),
    ("application/json;q=0", False),
    ("application/json;q=0, */*", False),
    ("text/*, application/xml", False),
]


async def test_accept(system: System) -> None:
    for accept, taken in ACCEPTS:
        status, answer, _ = await raw(system, "GET", "/v1/workloads", b"", Accept=accept)
        if taken:
            assert status == 200
        else:
            check(status, answer, "Accept", accept)
            assert (status, answer["error"]["details"]["allowed"]) == (406, ["application/json"])


async def test_a_body_that_is_too_large(system: System) -> None:
    status, answer, headers = await raw(system, "POST", "/v1/workloads", params('"' + "x" * (1 << 20) + '"').encode())
    check(status, answer, "body", "1 MiB")
    assert (status, answer["error"]["details"]["max_bytes"]) == (413, 1 << 20)
    assert headers["Connection"] == "close"
