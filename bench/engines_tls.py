"""What TLS to the broker and to the database costs who speaks it, beside the same without."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from bench.system import System
from niyanta.embedded import Nats
from niyanta.wire.addresses import BrokerTls
from niyanta.wire.broker import Broker

__all__ = ["broker", "told", "used", "with_tls"]

_SUBJECT = "bench.echo"
_PAYLOAD = b"x" * 1_000


def told(count: int, seconds: float, cpu_seconds: float) -> dict[str, float]:
    """Figures of so many."""
    return {"per_second": round(count / seconds), "cpu_ms_each": round(1000 * cpu_seconds / max(1, count), 3)}


def used(process: psutil.Process) -> float:
    """Processor seconds so far."""
    times = process.cpu_times()
    return float(times.user + times.system)


async def broker(folder: Path, certificate: tuple[str, str], seconds: float) -> dict[str, Any]:
    """Requests of 1 KB and their answers, both by this process: it pays for two clients."""
    found = {}
    for name, tls in (("plain", BrokerTls()), ("tls", BrokerTls("", *certificate))):
        server = Nats(folder / f"nats-{name}")
        server.tls = tls
        await server.start()
        trusting = BrokerTls(certificate[0]) if tls.cert else BrokerTls()
        try:
            async with _linked(server.url, trusting) as asks, _linked(server.url, trusting) as answers:
                await answers.serve(_SUBJECT, _echo)
                ask = partial(asks.request, _SUBJECT, _PAYLOAD, timeout_seconds=10)
                await _count(ask, 0.5)  # warm
                found[name] = {
                    "requests": await _count(ask, seconds),
                    "new_connections": await _count(partial(_connect, server.url, trusting), seconds, at_once=1),
                }
        finally:
            await server.stop()
    return found


async def _echo(payload: bytes) -> bytes:
    return payload


async def _connect(url: str, tls: BrokerTls) -> None:
    async with _linked(url, tls):
        pass


@asynccontextmanager
async def _linked(url: str, tls: BrokerTls) -> AsyncIterator[Broker]:
    link = Broker(url, name="bench", tls=tls)
    try:
        await link.connect()
        yield link
    finally:
        await link.close()


async def _count(call: Callable[[], Awaitable[Any]], seconds: float, at_once: int = 16) -> dict[str, float]:
    own, count = psutil.Process(), 0
    began, before = time.monotonic(), used(own)

    async def run() -> None:
        nonlocal count
        while time.monotonic() < began + seconds:
            await call()
            count += 1

    await asyncio.gather(*(run() for _ in range(at_once)))
    return told(count, time.monotonic() - began, used(own) - before)


async def with_tls(system: System, certificate: tuple[str, str]) -> dict[str, str] | None:
    """Have the system's PostgreSQL take TLS, too; the URLs without and with it.

    None where it was built without: `NIYANTA_POSTGRES_BIN` names another.
    """
    for name, value in (("ssl_cert_file", certificate[0]), ("ssl_key_file", certificate[1]), ("ssl", "on")):
        try:
            await system.connection.execute(f"ALTER SYSTEM SET {name} = '{value}'")
        except Exception:  # built without
            return None
    await system.connection.execute("SELECT pg_reload_conf()")
    async with asyncio.timeout(10):
        while await system.connection.fetchval("SHOW ssl") != "on":
            await asyncio.sleep(0.05)
    url = system.credentials["database_url"]
    return {
        "plain": f"{url}?sslmode=disable",
        "tls": f"{url}?sslmode=verify-full&sslrootcert={certificate[0]}",
    }
