"""Join tokens for a few customers: their workers get only those' workloads, and nobody else knows of them."""

from __future__ import annotations

from niyanta.wire.messages import Completed, Started
from support.closed import ClosedSystem, closed
from support.system import beating

__all__ = ["closed"]


async def test_a_private_worker_gets_its_customers_workloads_only(closed: ClosedSystem) -> None:
    common = await closed.worker("common", token=await closed.token(), capacity=5)
    own = await closed.worker("own", token=await closed.token(customers=frozenset({"cust_b"})), capacity=5)
    async with beating(common), beating(own):
        theirs = [await closed.submit(key="cust_b") for _ in range(3)]
        others = [await closed.submit(key="cust_a") for _ in range(3)]
        named = await closed.submit(key="cust_a", affinity_rules={"hard_affinity": {"worker_id": "own"}})
        for worker, expected in ((own, theirs), (common, others)):
            for _ in expected:
                ref = (await worker.next_assignment()).ref
                assert ref.workload_id in expected
                await worker.report(ref, Started())
                await worker.report(ref, Completed(b"{}"))
        assert [(await closed.get(one, "cust_b"))["status"] for one in theirs] == ["COMPLETED"] * 3
        assert [(await closed.get(one))["status"] for one in others] == ["COMPLETED"] * 3
        assert (await closed.get(named))["status"] == "PENDING"
        _, why, _ = await closed.call("GET", f"/workloads/{named}/explain")
        assert why["reasons"][0]["details"]["workers_serving"] == 1  # others' private workers aren't there for it


async def test_what_only_others_private_workers_serve_is_not_served(closed: ClosedSystem) -> None:
    own = await closed.worker("own", token=await closed.token(customers=frozenset({"cust_b"})), types=["secret_kind"])
    async with beating(own):
        for key, expected in (("cust_b", 202), ("cust_a", 400)):
            body = {"workload_type": "secret_kind", "input_params": {}}
            status, answer, _ = await closed.call("POST", "/workloads", body, key=key)
            assert status == expected, answer
            assert expected == 202 or "secret_kind" not in str(answer["error"]["details"].get("supported_types"))
        _, types, _ = await closed.call("GET", "/workload-types", key="cust_a")
        assert "secret_kind" not in str(types)
        _, types, _ = await closed.call("GET", "/workload-types", key="cust_b")
        assert "secret_kind" in str(types)


async def test_whom_a_worker_works_for_is_shown(closed: ClosedSystem) -> None:
    await closed.worker("common", token=await closed.token())
    await closed.worker("own", token=await closed.token(customers=frozenset({"cust_b", "cust_a"})))
    _, listed, _ = await closed.call("GET", "/admin/workers", key="admin")
    shown = {worker["worker_id"]: worker["customers"] for worker in listed["workers"]}
    assert shown == {"common": [], "own": ["cust_a", "cust_b"]}
    _, tokens, _ = await closed.call("GET", "/admin/join-tokens", key="admin")
    assert [token["customers"] for token in tokens["join_tokens"]] == [[], ["cust_a", "cust_b"]]


async def test_a_worker_keeps_its_customers_when_its_token_has_ended(closed: ClosedSystem) -> None:
    """Between the end of its token and its own it must not become everybody's."""
    await closed.worker("own", token=await closed.token(customers=frozenset({"cust_b"})))
    _, listed, _ = await closed.call("GET", "/admin/join-tokens", key="admin")
    await closed.call("DELETE", f"/admin/join-tokens/{listed['join_tokens'][0]['token_id']}", key="admin")
    _, listed, _ = await closed.call("GET", "/admin/workers", key="admin")
    assert listed["workers"][0]["customers"] == ["cust_b"]
    body = {"workload_type": "count", "input_params": {}}
    assert (await closed.call("POST", "/workloads", body, key="cust_a"))[0] == 400
