"""How many workloads a customer may have PAUSED."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator

from niyanta.wire import messages
from niyanta.wire.messages import AttemptRef, PauseAttempt
from support.scripted_worker import ScriptedWorker
from support.system import System, beating


@contextlib.asynccontextmanager
async def _pausing(worker: ScriptedWorker) -> AsyncIterator[None]:
    """Fulfil what is asked of the worker."""

    async def fulfil() -> None:
        ended: set[AttemptRef] = set()
        while True:
            command = await worker.commands.get()
            if not isinstance(command, PauseAttempt) or command.ref in ended:
                continue
            if (await worker.checkpoint(command.ref, b"{}")).pause_granted:
                ended.add(command.ref)
                await worker.report(command.ref, messages.Paused())

    task = asyncio.create_task(fulfil())
    try:
        async with beating(worker):
            yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _running(system: System, worker: ScriptedWorker) -> str:
    workload_id = await system.submit()
    while (ref := (await worker.next_assignment()).ref).workload_id != workload_id:
        pass
    await worker.report(ref, messages.Started())
    return workload_id


async def test_no_more_workloads_are_paused_than_the_queue_may_hold(system: System) -> None:
    status, _, _ = await system.call(
        "PATCH", "/admin/customers/cust_a", {"limits": {"max_queue_depth": 2}}, key="admin"
    )
    assert status == 200
    worker = await system.worker()
    async with _pausing(worker):
        ids = [await _running(system, worker) for _ in range(5)]

        async def pause(workload_id: str) -> int:
            status, body, headers = await system.call("POST", f"/workloads/{workload_id}/pause")
            if status != 200:
                assert (status, body["error"]["code"]) == (503, "SERVICE_UNAVAILABLE")
                assert body["error"]["details"] == {"max_paused": 2}
                assert "Retry-After" not in headers
            return int(status)

        answers = dict(zip(ids, await asyncio.gather(*map(pause, ids)), strict=True))
        assert Counter(answers.values()) == {200: 2, 503: 3}
        for workload_id, answer in answers.items():
            assert (await system.get(workload_id))["status"] == ("PAUSED" if answer == 200 else "RUNNING")
        paused = next(workload_id for workload_id, answer in answers.items() if answer == 200)
        refused = next(workload_id for workload_id, answer in answers.items() if answer == 503)
        assert (await system.call("POST", f"/workloads/{paused}/cancel"))[0] == 200
        assert await pause(refused) == 200
