"""What workers send is no better than their handlers: one bad event is its attempt's business, and nobody else's."""

from __future__ import annotations

import asyncio
import secrets
from typing import Any

import asyncpg
import msgspec

from niyanta.wire import messages
from niyanta.wire.messages import AttemptRef, BatchReply
from support.pace import pace
from support.scripted_worker import ScriptedWorker
from support.system import System, beating


async def _two_attempts(system: System, worker: ScriptedWorker) -> tuple[AttemptRef, AttemptRef]:
    """A bad and a good one, both RUNNING, of two customers."""
    await system.submit("cust_a")
    await system.submit("cust_b")
    assignments = [await worker.next_assignment() for _ in range(2)]
    found = {assignment.ref.customer_id: assignment.ref for assignment in assignments}
    for ref in found.values():
        await worker.report(ref, messages.Started())
    return found["cust_a"], found["cust_b"]


async def _send_raw(worker: ScriptedWorker, *events: dict[str, Any]) -> dict[str, str]:
    """One batch of events as they are given; what became of each attempt, by its customer."""
    batch = {"worker_id": worker.worker_id, "incarnation": worker.incarnation, "events": list(events)}
    raw = await worker.broker.request(worker.subjects.events, msgspec.msgpack.encode(batch), timeout_seconds=5)
    reply = msgspec.msgpack.decode(raw, type=BatchReply)
    assert reply.ok, reply
    return {answer.ref.customer_id: answer.outcome for answer in reply.replies}


def _event(ref: AttemptRef, sequence: Any, **body: Any) -> dict[str, Any]:
    named = {"customer_id": ref.customer_id, "workload_id": ref.workload_id, "generation": ref.generation}
    return {"ref": named, "sequence": sequence, "occurred_at_ms": 0, "body": body}


BAD_RESULTS = [
    b'{"a": "\xff"}',
    b'{"a": 1e999999}',
    b'{"a": NaN}',
    b'{"a": 123456789012345678901234567890}',
    b'{"a": "\\u0000"}',
    b'{"a": "\\ud800"}',
    b'{"a": ' + b"[" * 100 + b"]" * 100 + b"}",
    b'{"a": 1',
    b"[1]",
    b"",
]


async def test_a_result_that_is_no_good_json_fails_its_workload_for_good(system: System) -> None:
    worker = await system.worker()
    async with beating(worker):
        for result in BAD_RESULTS:
            bad, good = await _two_attempts(system, worker)
            ends = [(bad, messages.Completed(result)), (good, messages.Completed(b'{"a": 1}'))]
            assert {r.outcome for r in await worker.send(*(worker.event(*end) for end in ends))} == {"applied"}
            failed = await system.get(bad.workload_id)
            assert failed["status"] == "FAILED", result
            assert failed["error_message"].startswith("the result"), failed
            assert (await system.get(good.workload_id, "cust_b"))["status"] == "COMPLETED"


BAD_EVENTS: dict[str, dict[str, Any]] = {
    "unknown kind": {"type": "surprise"},
    "wrong type": {"type": "progress", "percent": "half"},
    "no text": {"type": "log", "level": "INFO", "message": msgspec.msgpack.Ext(1, b"")},
    "missing": {"type": "completed"},
    "a key that is no text": {"type": "log", "level": "INFO", "message": "", "details": {7: 1}},
    "huge": {"type": "progress", "percent": 2**64 - 1},
}


async def test_an_event_that_can_not_be_read_fails_its_workload_and_no_other(system: System) -> None:
    worker = await system.worker()
    async with beating(worker):
        for kind in BAD_EVENTS:
            bad, good = await _two_attempts(system, worker)
            outcomes = await _send_raw(
                worker,
                _event(good, 2, type="progress", percent=10),
                _event(bad, 2, **BAD_EVENTS[kind]),
                _event(bad, 3, type="progress", percent=50),
                _event(good, 3, type="completed", result_json=b"{}"),
            )
            assert outcomes["cust_b"] == "applied"
            assert (await system.get(good.workload_id, "cust_b"))["status"] == "COMPLETED"
            found = await system.get(bad.workload_id)
            if kind == "huge":
                assert (found["status"], found["progress_percent"]) == ("RUNNING", 100)
            else:
                assert (found["status"], "can't be read" in found["error_message"]) == ("FAILED", True), found
                assert outcomes["cust_a"] == "fenced"  # its worker stops it


async def test_an_impossible_sequence_fails_its_workload_and_no_other(system: System) -> None:
    worker = await system.worker()
    async with beating(worker):
        for sequence in (2**63, 2**64 - 1, 0, -1, "one", None):
            bad, good = await _two_attempts(system, worker)
            impossible = _event(bad, sequence, type="progress", percent=1)
            await _send_raw(worker, impossible, _event(good, 2, type="completed", result_json=b"{}"))
            assert (await system.get(bad.workload_id))["status"] == "FAILED", sequence
            assert (await system.get(good.workload_id, "cust_b"))["status"] == "COMPLETED"


async def test_what_names_no_attempt_is_fenced(system: System) -> None:
    worker = await system.worker()
    async with beating(worker):
        for ref in (
            AttemptRef("cust_a\0", "wl_1", 1),
            AttemptRef("cust_a", "wl_\0", 1),
            AttemptRef("cust_a", "x" * 100_000, 1),
            AttemptRef("cust_a", "wl_1", 2**63),
        ):
            _, good = await _two_attempts(system, worker)
            end = _event(good, 2, type="completed", result_json=b"{}")
            outcomes = await _send_raw(worker, _event(ref, 1, type="started"), end)
            assert outcomes == {ref.customer_id: "fenced", "cust_b": "applied"}


async def test_details_of_a_log_line_never_cost_more_than_themselves(system: System) -> None:
    worker = await system.worker()
    async with beating(worker):
        for details, kept in (
            ({"a": msgspec.msgpack.Ext(5, b"x")}, {"a": "<Ext>"}),
            ({"a\0": "\0"}, {"a\ufffd": "\ufffd"}),
            ({"a": float("nan"), "b": [float("inf")]}, {"a": "nan", "b": ["inf"]}),
            ({"a": 2**64 - 1, "b": b"bytes"}, {"a": "18446744073709551615", "b": "Ynl0ZXM="}),
        ):
            await system.submit()
            ref = (await worker.next_assignment()).ref
            await worker.report(ref, messages.Started())
            line = _event(ref, 2, type="log", level="INFO", message="so\0", details=details)
            outcomes = await _send_raw(worker, line, _event(ref, 3, type="completed", result_json=b"{}"))
            assert (outcomes["cust_a"], (await system.get(ref.workload_id))["status"]) == ("applied", "COMPLETED")
            status, body, _ = await system.call("GET", f"/workloads/{ref.workload_id}/logs")
            assert (status, body["logs"][0]["message"], body["logs"][0]["details"]) == (200, "so\ufffd", kept)


async def test_a_batch_that_can_not_be_read_at_all_ends_its_sender(system: System) -> None:
    for payload in (b"\xc1", b"", secrets.token_bytes(100), msgspec.msgpack.encode({"worker_id": 7})):
        raw = await system.broker.request(system.subjects.events, payload, timeout_seconds=5)
        reply = msgspec.msgpack.decode(raw, type=BatchReply)
        assert (reply.ok, reply.unknown_worker) == (False, True)


async def test_a_hung_transaction_of_one_customer_holds_up_no_other(system: System) -> None:
    worker = await system.worker()
    worker.takes_later = True
    hung = await asyncpg.connect(system.database_url)
    async with beating(worker):
        bad, good = await _two_attempts(system, worker)
        async with hung.transaction():
            await hung.execute("SELECT FROM customer_usage WHERE customer_id = 'cust_a' FOR UPDATE")
            async with asyncio.timeout(2 * pace()):
                events = [worker.event(ref, messages.Completed(b"{}")) for ref in (bad, good)]
                outcomes = {r.ref.customer_id: r.outcome for r in await worker.send(*events)}
                assert outcomes == {"cust_a": "later", "cust_b": "applied"}
                workload_id = await system.submit("cust_b")
            async with asyncio.timeout(5):
                while (await system.get(workload_id, "cust_b"))["status"] != "SCHEDULED":
                    await asyncio.sleep(0.02)
            assert (await system.get(bad.workload_id))["status"] == "RUNNING"
        async with asyncio.timeout(5):
            while (await worker.send(events[0]))[0].outcome != "applied":
                await asyncio.sleep(0.05)
        assert (await system.get(bad.workload_id))["status"] == "COMPLETED"
    await hung.close()


async def test_a_beat_under_an_impossible_name_holds_up_no_other(system: System) -> None:
    worker = await system.worker()
    odd = [ScriptedWorker(system.broker, system.subjects, name) for name in ("w\0", "", "w" * 100, "w.1")]
    odd.append(ScriptedWorker(system.broker, system.subjects, "w2"))
    odd[-1].incarnation = "\0"
    async with asyncio.timeout(4 * pace()):
        replies = await asyncio.gather(worker.beat(), *(other.beat() for other in odd), worker.beat())
    assert [reply.ok for reply in replies] == [True, *([False] * len(odd)), True]
    assert not any(reply.hold for reply in replies)
