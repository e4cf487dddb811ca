"""Whatever a worker registers with, it is answered, and told what is wrong."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from niyanta.wire.messages import PROTOCOL_VERSION, RegisterReply
from support.system import System

_GOOD: dict[str, Any] = {
    "worker_id": "w1",
    "incarnation": "a1",
    "capacity": 1,
    "tags": {"zone": "north"},
    "handlers": [{"workload_type": "count"}],
    "version": "1.0",
    "protocol": PROTOCOL_VERSION,
}
_DEEP: dict[str, Any] = {}
for _ in range(100):
    _DEEP = {"items": _DEEP}

_HANDLER_CASES: list[tuple[dict[str, Any], str]] = [
    ({"workload_type": ""}, "it must match"),
    ({"workload_type": "a b"}, "it must match"),
    ({"workload_type": "x" * 101}, "it must match"),
    ({"workload_type": "count\0"}, "it must match"),
    ({"isolation": "sandbox"}, "Invalid enum value 'sandbox'"),
    ({"isolation": "inline", "exclusive": True}, "exclusive needs"),
    ({"form": "two words"}, "the form must match"),
    ({"form": "f" * 65}, "the form must match"),
    ({"input_schema": {"default": msgspec.msgpack.Ext(7, b"x")}}, "MessagePack's type 'Ext' at '/default'"),
    ({"input_schema": {"default": b"bytes"}}, "MessagePack's type 'bytes'"),
    ({"input_schema": {"default": "a\0b"}}, "NUL characters at '/default'"),
    ({"input_schema": {"a\0b": 1}}, "a key that is no text"),
    ({"input_schema": {"default": float("nan")}}, "nan at '/default'"),
    ({"input_schema": {"enum": [2**63]}}, "beyond 64 bits at '/enum/0'"),
    ({"input_schema": {"default": {1: 2}}}, "a key that is no text"),
    ({"input_schema": _DEEP}, "levels"),
    ({"input_schema": {"description": "x" * 70_000}}, "65536 bytes"),
    ({"input_schema": ["not", "an", "object"]}, "can't be read"),
]
_CASES: list[tuple[dict[str, Any], str]] = [
    *(({"handlers": [_GOOD["handlers"][0] | handler]}, said) for handler, said in _HANDLER_CASES),
    ({"worker_id": "a.b"}, "worker id must match"),
    ({"worker_id": 5}, "can't be read"),
    ({"incarnation": ""}, "incarnation must match"),
    ({"incarnation": "a\0"}, "incarnation must match"),
    ({"incarnation": "a" * 65}, "incarnation must match"),
    ({"capacity": 0}, "capacity must be 1 to 10000"),
    ({"capacity": 2**40}, "capacity must be 1 to 10000"),
    ({"version": "1\0"}, "the version must have"),
    ({"version": "v" * 101}, "the version must have"),
    ({"tags": {str(number): "" for number in range(65)}}, "65 tags; at most 64"),
    ({"tags": {"": "x"}}, "1 to 256 characters"),
    ({"tags": {"zone": "x" * 257}}, "1 to 256 characters"),
    ({"tags": {"zone": "\0"}}, "NUL"),
    ({"tags": {"zone": 1}}, "can't be read"),
    ({"handlers": []}, "serves no workload type"),
    ({"handlers": [{"workload_type": "count"}, {"workload_type": "count"}]}, "is named twice"),
    ({"handlers": [{"workload_type": f"t{number}"} for number in range(1001)]}, "at most 1000"),
    (
        {"handlers": [{"workload_type": f"t{n}", "input_schema": {"d": "x" * 60_000}} for n in range(20)]},
        "over 1048576 bytes",
    ),
    ({"protocol": 99}, "speaks protocol"),
]


async def test_a_last_beat_is_the_last_though_another_comes_with_it(system: System) -> None:
    worker = await system.worker()
    await asyncio.gather(worker.beat(leaving=True), worker.beat())
    worker.incarnation = "second"
    assert (await worker.register_again()).accepted


async def test_a_registration_that_can_not_be_taken_says_why(system: System) -> None:
    async def register(payload: bytes) -> RegisterReply:
        raw = await system.broker.request(system.subjects.register, payload, timeout_seconds=10)
        return msgspec.msgpack.decode(raw, type=RegisterReply)

    for fields, said in _CASES:
        reply = await register(msgspec.msgpack.encode(_GOOD | fields))
        assert (reply.accepted, reply.reason) == (False, "invalid"), fields
        assert said in reply.message
        assert len(reply.message) < 1000
    for payload in (b"", b"\xc1", b"\x80", b"\x93" * 5000, msgspec.msgpack.encode([1, 2])):
        reply = await register(payload)
        assert (reply.accepted, reply.reason) == (False, "invalid")
        assert "can't be read" in reply.message
    assert (await register(msgspec.msgpack.encode(_GOOD))).accepted


async def test_what_a_worker_serves_can_be_submitted_as_soon_as_it_is_registered(system: System) -> None:
    for number in range(8):
        kind = f"new_{number}"
        # A type that nobody serves has everything read anew, so that it is as fresh as can be.
        status, _, _ = await system.call("POST", "/workloads", {"workload_type": kind, "input_params": {}})
        assert status == 400
        await system.worker(f"w{number}", types=[kind])
        _, listed, _ = await system.call("GET", "/workload-types")
        assert kind in [one["workload_type"] for one in listed["workload_types"]]
        status, answer, _ = await system.call("POST", "/workloads", {"workload_type": kind, "input_params": {}})
        assert status == 202, (number, answer)
