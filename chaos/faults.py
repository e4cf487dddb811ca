"""The faults that one Linux machine can inject, each a function that begins one, waits, and ends it.

What isn't here, as it can't be had without more rights or machines: a disk that is full, packets that are lost below
TCP, a host that is frozen whole, a database that is restored to an older point.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import aiohttp
import asyncpg
import psutil

from chaos.customers import Customers
from chaos.fleet import CUSTOMERS, Fleet, Part
from chaos.proxy import Proxy
from niyanta.embedded.engine import Engine

__all__ = ["KINDS", "SMOKE", "Kind", "Scene"]


@dataclass
class Scene:
    """What faults act on."""

    fleet: Fleet
    customers: Customers
    http: aiohttp.ClientSession

    async def leader(self) -> Part | None:
        """The coordinator that leads now, by the database; None while that can't be asked."""
        with contextlib.suppress(OSError, asyncpg.PostgresError, TimeoutError, asyncpg.InterfaceError):
            async with asyncio.timeout(3):
                connection = await asyncpg.connect(self.fleet.database_url)
                try:
                    holder = await connection.fetchval("SELECT holder FROM leader_lease")
                finally:
                    connection.terminate()
            return next((part for part in self.fleet.coordinators if part.name == holder), None)
        return None

    async def operate(self, method: str, path: str) -> bool:
        """A call of the operator, tried at every coordinator; whether one did it."""
        headers = {"Authorization": f"Bearer {self.fleet.keys['admin']}"}
        quickly = aiohttp.ClientTimeout(total=10)
        for _ in range(6):
            for url in self.fleet.base_urls:
                with contextlib.suppress(aiohttp.ClientError, TimeoutError, OSError):
                    async with self.http.request(
                        method, f"{url}/v1/admin{path}", headers=headers, timeout=quickly
                    ) as answer:
                        if answer.status < 500:
                            return answer.status < 300
            await asyncio.sleep(0.5)
        return False


@dataclass(frozen=True)
class Kind:
    """A class of faults.

    Attributes:
        on: What it strikes: ``worker``, ``coordinator``, ``leader``, ``broker``, ``database``, ``customer``, or
            links: ``worker link``, ``broker link`` and ``database link`` of coordinators, ``client link``.
        strike: Does it to one target for some seconds; gives whether it happened.
        seconds: The shortest and the longest time that it lasts.
    """

    on: str
    strike: Callable[[Scene, str, float, random.Random], Awaitable[bool]]
    seconds: tuple[float, float] = (1.0, 5.0)


def _part(scene: Scene, name: str) -> Part:
    return next(part for part in (*scene.fleet.coordinators, *scene.fleet.workers) if part.name == name)


async def _kill(scene: Scene, target: str, seconds: float, chance: random.Random) -> bool:
    part = _part(scene, target)
    part.restart_seconds = seconds
    return part.signal(signal.SIGKILL)


async def _stop(scene: Scene, target: str, seconds: float, chance: random.Random) -> bool:
    part = _part(scene, target)
    part.restart_seconds = seconds
    fired = part.signal(signal.SIGTERM)
    # A coordinator or worker that is told to stop has its own time-outs; while they run, it is being stopped.
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(45):
            while part.process is not None:
                await asyncio.sleep(0.1)
    return fired


async def _freeze(scene: Scene, target: str, seconds: float, chance: random.Random) -> bool:
    part = _part(scene, target)
    frozen = part.process
    if frozen is None:
        return False
    frozen.send_signal(signal.SIGSTOP)
    try:
        await asyncio.sleep(seconds)
    finally:
        with contextlib.suppress(psutil.NoSuchProcess):
            frozen.send_signal(signal.SIGCONT)
    return True


async def _step_clock(scene: Scene, target: str, seconds: float, chance: random.Random) -> bool:
    scene.fleet.step_clock(target, chance.choice([-1, 1]) * chance.choice([2.0, 60.0, 3600.0]))
    try:
        await asyncio.sleep(seconds)
    finally:
        scene.fleet.step_clock(target, 0.0)
    return True


async def _kill_runner(scene: Scene, target: str, seconds: float, chance: random.Random) -> bool:
    runners = _part(scene, target).runners()
    if not runners:
        return False
    with contextlib.suppress(psutil.NoSuchProcess):
        chance.choice(runners).kill()
        return True
    return False


async def _kill_launcher(scene: Scene, target: str, seconds: float, chance: random.Random) -> bool:
    agent = _part(scene, target).process
    with contextlib.suppress(psutil.NoSuchProcess):
        for child in agent.children() if agent is not None else []:
            if "niyanta.worker.launcher" in child.cmdline():
                child.kill()
                return True
    return False


async def _drain(scene: Scene, target: str, seconds: float, chance: random.Random) -> bool:
    fired = await scene.operate("POST", f"/workers/{target}/drain")
    try:
        await asyncio.sleep(seconds)
    finally:
        await scene.operate("POST", f"/workers/{target}/undrain")
    return fired


async def _remove(scene: Scene, target: str, seconds: float, chance: random.Random) -> bool:
    part = _part(scene, target)
    part.restart_seconds = seconds
    fired = await scene.operate("DELETE", f"/workers/{target}")
    try:
        await asyncio.sleep(seconds)
    finally:
        await scene.operate("POST", f"/workers/{target}/undrain")
    return fired


def _engine(scene: Scene, target: str) -> Engine:
    return scene.fleet.engines.nats if target == "broker" else scene.fleet.engines.postgres


async def _kill_engine(scene: Scene, target: str, seconds: float, chance: random.Random) -> bool:
    engine = _engine(scene, target)
    if engine.pid is None:
        return False
    psutil.Process(engine.pid).kill()
    await engine.wait_exit()
    await asyncio.sleep(seconds)
    await scene.fleet.restart_engine(engine)
    return True


async def _freeze_engine(scene: Scene, target: str, seconds: float, chance: random.Random) -> bool:
    processes = scene.fleet.engine_processes(_engine(scene, target))
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGSTOP)
    try:
        await asyncio.sleep(seconds)
    finally:
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGCONT)
    return bool(processes)


async def _lock_table(scene: Scene, target: str, seconds: float, chance: random.Random) -> bool:
    with contextlib.suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        connection = await asyncpg.connect(scene.fleet.database_url, timeout=5)
        try:
            async with connection.transaction():
                await connection.execute("LOCK TABLE workloads IN ACCESS EXCLUSIVE MODE", timeout=5)
                await asyncio.sleep(seconds)
            return True
        except TimeoutError:
            return False
        finally:
            connection.terminate()
    return False


def _on_link(
    begin: Callable[[Proxy], object],
) -> Callable[[Scene, str, float, random.Random], Awaitable[bool]]:
    async def strike(scene: Scene, target: str, seconds: float, chance: random.Random) -> bool:
        proxy = scene.fleet.links[target]
        begin(proxy)
        try:
            await asyncio.sleep(seconds)
        finally:
            proxy.heal()
        return True

    return strike


def _delay(proxy: Proxy) -> None:
    proxy.to_server.delay_seconds = proxy.to_client.delay_seconds = 0.4


def _throttle(proxy: Proxy) -> None:
    proxy.to_client.bytes_per_second = 2000.0


async def _cut_at_commit(scene: Scene, target: str, seconds: float, chance: random.Random) -> bool:
    proxy = scene.fleet.links[target]
    before = proxy.commits_cut
    proxy.cut_at_commits(chance.randint(1, 4))
    try:
        await asyncio.sleep(seconds)
    finally:
        proxy.heal()
    return proxy.commits_cut > before


async def _burst(scene: Scene, target: str, seconds: float, chance: random.Random) -> bool:
    await scene.customers.burst(target, int(CUSTOMERS[target]["max_queue_depth"] * 1.2), chance)
    return True


def _misbehave(mishap: str) -> Callable[[Scene, str, float, random.Random], Awaitable[bool]]:
    async def strike(scene: Scene, target: str, seconds: float, chance: random.Random) -> bool:
        call = await scene.customers.submit(target, chance, mishap=mishap)
        await asyncio.sleep(seconds)
        return call is not None

    return strike


_LINK_FAULTS: dict[str, Callable[[Scene, str, float, random.Random], Awaitable[bool]]] = {
    "cut": _on_link(Proxy.cut),
    "reset": _on_link(Proxy.reset),
    "delay": _on_link(_delay),
    "throttle": _on_link(_throttle),
    "half-open to server": _on_link(lambda proxy: proxy.to_server.moving.clear()),
    "half-open to client": _on_link(lambda proxy: proxy.to_client.moving.clear()),
}
_LINKS = ("worker link", "broker link", "database link", "client link")

KINDS: dict[str, Kind] = {
    "kill worker": Kind("worker", _kill, (0.2, 14.0)),
    "freeze worker": Kind("worker", _freeze, (0.5, 14.0)),
    "stop worker": Kind("worker", _stop, (0.2, 3.0)),
    "kill runner": Kind("worker", _kill_runner, (0.1, 0.2)),
    "kill launcher": Kind("worker", _kill_launcher, (0.1, 0.2)),
    "step clock of worker": Kind("worker", _step_clock, (1.0, 14.0)),
    "drain worker": Kind("worker", _drain, (1.0, 8.0)),
    "remove worker": Kind("worker", _remove, (0.5, 4.0)),
    "kill coordinator": Kind("coordinator", _kill, (0.2, 6.0)),
    "freeze coordinator": Kind("coordinator", _freeze, (0.5, 12.0)),
    "stop coordinator": Kind("coordinator", _stop, (0.2, 3.0)),
    "step clock of coordinator": Kind("coordinator", _step_clock, (1.0, 14.0)),
    "kill leader": Kind("leader", _kill, (0.2, 6.0)),
    "freeze leader": Kind("leader", _freeze, (2.0, 12.0)),
    "kill broker": Kind("broker", _kill_engine, (0.1, 4.0)),
    "freeze broker": Kind("broker", _freeze_engine, (0.5, 5.0)),
    "kill database": Kind("database", _kill_engine, (0.1, 3.0)),
    "freeze database": Kind("database", _freeze_engine, (0.5, 5.0)),
    "lock table": Kind("database", _lock_table, (0.5, 4.0)),
    "cut at commit": Kind("database link", _cut_at_commit, (1.0, 3.0)),
    "burst": Kind("customer", _burst, (0.1, 0.2)),
    "handler kills its agent": Kind("customer", _misbehave("kill_agent"), (0.5, 1.0)),
    "handler always ends its agent": Kind("customer", _misbehave("exit_agent"), (0.5, 1.0)),
    "handler ignores SIGTERM": Kind("customer", _misbehave("stubborn"), (0.5, 1.0)),
    **{
        f"{fault} {link}": Kind(link, strike, (0.1, 0.3) if fault == "reset" else (1.0, 10.0))
        for link in _LINKS
        for fault, strike in _LINK_FAULTS.items()
    },
}
"""All classes by their names."""

SMOKE = (
    "kill worker",
    "freeze worker",
    "stop worker",
    "kill runner",
    "drain worker",
    "kill leader",
    "freeze coordinator",
    "kill broker",
    "kill database",
    "lock table",
    "cut at commit",
    "burst",
    "handler kills its agent",
    "half-open to server worker link",
    "half-open to client broker link",
    "cut database link",
    "delay database link",
    "reset client link",
)
"""Those that a short run has time for."""
