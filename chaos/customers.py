"""What customers do meanwhile: they submit, read, watch, pause, resume and cancel, and write down every answer.

No call is ever repeated behind the recorder's back. A submission whose answer was lost is sent again as a call of its
own, with its idempotency key, to another coordinator.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import time
from typing import Any

import aiohttp

from chaos.fleet import CUSTOMERS, Fleet
from chaos.history import Call, History, Seen

__all__ = ["Customers"]

_CALL_SECONDS = 40.0
_AVOIDED_SECONDS = 1.0
"""A coordinator whose link broke isn't called again for so long, while there are others."""
_ACTORS = 6
"""Of each customer."""
_LOOK_SECONDS = 0.05
"""Between two looks of a customer at workloads of its own."""
_TERMINAL = ("COMPLETED", "FAILED", "CANCELLED")
_PASSING = ("chaos_steps", "chaos_steps", "chaos_exclusive", "chaos_exclusive", *["chaos_inline"] * 5)
"""Most are inline, which cost the machine the least, so that there can be many."""
_NEVER_ISSUED = "wl_0000000000000000000000000"


class Customers:
    """All customers of a run.

    Args:
        fleet: What they call.
        history: Where their calls and streams are recorded.
        seed: Of what they do.
        open_each: Workloads of a customer's own making that it lets be under way at once.
    """

    def __init__(self, fleet: Fleet, history: History, seed: int, open_each: int = 40) -> None:
        self._fleet = fleet
        self._history = history
        self._seed = seed
        self._open_each = open_each
        self._http: aiohttp.ClientSession
        self._alive: dict[str, dict[str, str]] = {customer_id: {} for customer_id in CUSTOMERS}
        self._numbers = itertools.count(1)
        self._streams = itertools.count(1)
        self._broke_at: dict[int, float] = {}
        self._stopping = False
        self._running: set[asyncio.Task[Any]] = set()

    async def start(self) -> None:
        """Begin."""
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, force_close=False), cookie_jar=aiohttp.DummyCookieJar()
        )
        for customer_id in CUSTOMERS:
            for number in range(_ACTORS):
                chance = random.Random(f"{self._seed} {customer_id} {number}")
                self._spawn(self._act(customer_id, chance))
            self._spawn(self._follow(customer_id))

    def _spawn(self, work: Any) -> None:
        running = asyncio.create_task(work)
        self._running.add(running)
        running.add_done_callback(self._running.discard)

    async def finish_calls(self) -> None:
        """Begin nothing new; calls under way end by themselves, in bounded time."""
        self._stopping = True
        still = [each for each in self._running if not each.done()]
        if still:
            await asyncio.wait(still, timeout=_CALL_SECONDS + 20)

    async def stop(self) -> None:
        """Close everything."""
        self._stopping = True
        for running in list(self._running):
            running.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        await self._http.close()

    async def _act(self, customer_id: str, chance: random.Random) -> None:
        while not self._stopping:
            alive = self._alive[customer_id]
            what = chance.random()
            some = chance.choice(sorted(alive)) if alive else None
            replica = self._replicas(chance)[0]
            if len(alive) < self._open_each and (what < 0.5 or some is None):
                await self.submit(customer_id, chance)
            elif some is None or what < 0.6:
                await self._foreign(customer_id, chance, replica)
            elif what < 0.68:
                await self._move(customer_id, "cancel", some, replica)
            elif what < 0.78:
                await self._move(customer_id, "pause", some, replica)
                await asyncio.sleep(chance.random() * 2)
                await self._move(customer_id, "resume", some, self._replicas(chance)[0])
            elif what < 0.84:
                self._spawn(self._watch(customer_id, some, replica, chance.random() < 0.3))
            else:
                await self._read(customer_id, some, replica)
            await asyncio.sleep(
                chance.random() * (0.6 if CUSTOMERS[customer_id]["rate_limit_per_sec"] < 50 else 0.25)
            )

    def _replicas(self, chance: random.Random) -> list[int]:
        """All coordinators by chance, those that have just failed last."""
        replicas = list(range(len(self._fleet.base_urls)))
        chance.shuffle(replicas)
        since = time.monotonic() - _AVOIDED_SECONDS
        return sorted(replicas, key=lambda replica: self._broke_at.get(replica, 0.0) > since)

    async def _follow(self, customer_id: str) -> None:
        """Notice which ended, so that there is room for others; resume what was left paused."""
        chance = random.Random(f"{self._seed} {customer_id} follow")
        for turn in itertools.count():
            if self._stopping:
                return
            for workload_id in sorted(self._alive[customer_id]):
                replica = self._replicas(chance)[0]
                found = await self._read(customer_id, workload_id, replica)
                if found is not None and found.status == "PAUSED" and turn % 3 == 0:
                    await self._move(customer_id, "resume", workload_id, replica)
                await asyncio.sleep(_LOOK_SECONDS)
            await asyncio.sleep(4 * _LOOK_SECONDS)

    async def burst(self, customer_id: str, how_many: int, chance: random.Random) -> None:
        """Many submissions at one moment, over all coordinators."""
        await asyncio.gather(*(self.submit(customer_id, chance, mishaps=False) for _ in range(how_many)))

    async def submit(
        self, customer_id: str, chance: random.Random, *, mishap: str = "", mishaps: bool = True
    ) -> Call | None:
        """One submission; sent again with its key where the answer was lost, or now and then twice at once."""
        key = f"{self._seed}-{next(self._numbers)}"
        body = _submission(key, chance, mishap, mishaps)
        replicas = self._replicas(chance)
        if chance.random() < 0.1:
            calls = await asyncio.gather(*(self._submit(customer_id, replica, body, key) for replica in replicas[:2]))
        else:
            calls = [await self._submit(customer_id, replicas[0], body, key)]
            if calls[0].outcome == "unknown" or chance.random() < 0.05:
                calls.append(await self._submit(customer_id, replicas[1 % len(replicas)], body, key))
        return next((call for call in calls if call.outcome == "ok"), None)

    async def _submit(self, customer_id: str, replica: int, body: dict[str, Any], key: str) -> Call:
        headers = {"Idempotency-Key": key}
        call, _ = await self._call(
            customer_id, "submit", replica, "POST", "/workloads", body, headers=headers, key=key
        )
        if call.workload_id is not None and call.outcome == "ok":
            self._alive[customer_id][call.workload_id] = "PENDING"
        return call

    async def _read(self, customer_id: str, workload_id: str, replica: int) -> Call | None:
        call, _ = await self._call(
            customer_id, "get", replica, "GET", f"/workloads/{workload_id}", workload_id=workload_id
        )
        if call.status in _TERMINAL:
            self._alive[customer_id].pop(workload_id, None)
        return call if call.outcome == "ok" else None

    async def _move(self, customer_id: str, operation: str, workload_id: str, replica: int) -> None:
        path = f"/workloads/{workload_id}/{operation}"
        await self._call(customer_id, operation, replica, "POST", path, workload_id=workload_id)

    async def _foreign(self, customer_id: str, chance: random.Random, replica: int) -> None:
        others = [workload_id for other in CUSTOMERS if other != customer_id for workload_id in self._alive[other]]
        if not others:
            return
        foreign = chance.choice(sorted(others))
        method, tail = chance.choice([("GET", ""), ("GET", "/audit"), ("GET", "/logs"), ("POST", "/cancel")])
        for workload_id in (foreign, _NEVER_ISSUED):
            path = f"/workloads/{workload_id}{tail}"
            await self._call(customer_id, "foreign", replica, method, path, workload_id=workload_id)

    async def probe(self, replica: int, chance: random.Random, seconds: float) -> bool:
        """One small workload through one coordinator, from submission to result; whether it succeeded in time."""
        body = {"workload_type": "chaos_inline", "input_params": _params(f"probe-{next(self._numbers)}", 2, 1, 10)}
        deadline = time.monotonic() + seconds
        workload_id = None
        while time.monotonic() < deadline:
            if workload_id is None:
                key = body["input_params"]["token"]  # type: ignore[index]
                call = await self._submit("cust_even", replica, body, key)
                workload_id = call.workload_id if call.outcome == "ok" else None
            else:
                found = await self._read("cust_even", workload_id, replica)
                if found is not None and found.status in _TERMINAL:
                    return found.status == "COMPLETED"
            await asyncio.sleep(0.2)
        return False

    async def _call(
        self,
        customer_id: str,
        operation: str,
        replica: int,
        method: str,
        path: str,
        body: Any = None,
        *,
        headers: dict[str, str] | None = None,
        **known: Any,
    ) -> tuple[Call, dict[str, Any]]:
        sent = {"Authorization": f"Bearer {self._fleet.keys[customer_id]}", **(headers or {})}
        invoked = time.monotonic()
        try:
            async with self._http.request(
                method,
                f"{self._fleet.base_urls[replica]}/v1{path}",
                json=body,
                headers=sent,
                timeout=aiohttp.ClientTimeout(total=_CALL_SECONDS),
            ) as answer:
                raw = await answer.read()
                status = answer.status
                found = json.loads(raw) if raw else {}
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as exc:
            call = Call(
                customer_id,
                operation,
                replica,
                invoked,
                time.monotonic(),
                "unknown",
                code=type(exc).__name__,
                **known,
            )
            self._history.calls.append(call)
            self._broke_at[replica] = time.monotonic()
            return call, {}
        call = _recorded(customer_id, operation, replica, invoked, status, found, known)
        self._history.calls.append(call)
        return call, found

    async def _watch(self, customer_id: str, workload_id: str, replica: int, leave_early: bool) -> None:
        stream, opened = next(self._streams), time.monotonic()
        url = f"{self._fleet.base_urls[replica]}/v1/ws/workloads/{workload_id}"
        headers = {"Authorization": f"Bearer {self._fleet.keys[customer_id]}"}
        try:
            async with asyncio.timeout(_CALL_SECONDS), self._http.ws_connect(url, headers=headers) as socket:
                async for message in socket:
                    if message.type is not aiohttp.WSMsgType.TEXT:
                        break
                    said = json.loads(message.data)
                    seen = Seen(
                        stream,
                        workload_id,
                        time.monotonic(),
                        opened,
                        said["type"],
                        said.get("version"),
                        said.get("status"),
                    )
                    self._history.seen.append(seen)
                    if leave_early and seen.version:
                        break
        except (aiohttp.ClientError, TimeoutError, OSError):
            pass  # what had come before is recorded, and the link's end proves nothing


def _recorded(
    customer_id: str,
    operation: str,
    replica: int,
    invoked: float,
    http_status: int,
    found: dict[str, Any],
    known: dict[str, Any],
) -> Call:
    error = found.get("error") or {}
    outcome = "ok" if 200 <= http_status < 300 else "refused"
    details = error.get("details") or {}
    if http_status >= 500 and (details.get("outcome") == "unknown" or operation != "submit"):
        outcome = "unknown"
    known = {**known}
    if outcome == "ok" and "workload_id" in found:
        known["workload_id"] = found["workload_id"]
    fields = {"version": "version", "status": "status", "generation": "generation", "progress": "progress_percent"}
    values = {name: found.get(field) for name, field in fields.items()} if outcome == "ok" else {}
    if outcome == "ok":
        values["sequence"] = found.get("checkpoint_sequence")
    return Call(
        customer_id,
        operation,
        replica,
        invoked,
        time.monotonic(),
        outcome,
        http_status,
        str(error.get("code", "")),
        **known,
        **values,
    )


def _params(token: str, steps: int, every: int, pause_ms: int) -> dict[str, Any]:
    return {"token": token, "steps": steps, "every": every, "pause_ms": pause_ms}


_SHORT_SHARE = 0.7
"""Of the workloads: short ones make the many, and only long ones meet a fault more often than not."""
_MISHAPS = {"kill_itself": 0.02, "fail": 0.04, "stubborn": 0.03}


def _submission(key: str, chance: random.Random, mishap: str, mishaps: bool) -> dict[str, Any]:
    """A workload of less than a second or of a few; now and then one of which something goes wrong."""
    workload_type = chance.choice(_PASSING)
    steps = chance.randint(2, 6) if chance.random() < _SHORT_SHARE else chance.randint(9, 40)
    params = _params(key, steps, chance.randint(1, 6), chance.choice([20, 50, 100]))
    drawn = chance.random()
    if not mishap and mishaps and workload_type != "chaos_inline":
        for kind, share in _MISHAPS.items():
            if drawn < share:
                mishap = kind
                break
            drawn -= share
    if mishap:
        if mishap == "exit_agent":
            workload_type = "chaos_inline"
        elif workload_type == "chaos_inline":
            workload_type = "chaos_steps"
        attempts = 99 if mishap == "exit_agent" else 1
        params["mishap"] = {"kind": mishap, "attempts": attempts, "step": chance.choice([0, 0, 3])}
        if mishap == "exit_agent":
            # Without any checkpoint, so that it must be found out to be the cause.
            params["every"], params["mishap"]["step"] = 1000, 0
    return {"workload_type": workload_type, "input_params": params, "priority": chance.choice([0, 10, 10, 500])}
