"""Niyanta beside pgqueuer, on the same machine in the same run: rates, latencies and CPU, and their ratios.

pgqueuer keeps its jobs in PostgreSQL, too, and is driven as its users drive it: without a service between, its own
worker with batches of 50 and at most 100 jobs at once, 32 client tasks over a pool of 16. It is installed into an
environment of its own (``build/peers``), and has an embedded PostgreSQL with the settings that Niyanta's has. The
rounds alternate, and medians are given.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench.core import BODY, CONNECTIONS, end_to_end, idle_latency
from bench.load import percentile
from bench.system import running_system
from niyanta.embedded.postgres import Postgres

__all__ = ["measure"]

PLACE = Path("build/peers")
PACKAGES = ("pgqueuer==1.6.0", "asyncpg", "uvloop")
SCRIPT = Path(__file__).with_name("peer_pgqueuer.py")


def _interpreter() -> str:
    """Python with pgqueuer; installed the first time."""
    python = PLACE / "bin" / "python"
    found = python.exists() and subprocess.run([python, "-c", "import pgqueuer"], check=False, capture_output=True)
    if not found or found.returncode:
        subprocess.run([sys.executable, "-m", "venv", PLACE], check=True)
        subprocess.run([python, "-m", "pip", "install", "-q", *PACKAGES], check=True)
    return str(python)


async def measure(quick: bool) -> dict[str, Any]:
    """Both, by turns."""
    python = await asyncio.to_thread(_interpreter)
    rounds: dict[str, list[dict[str, float]]] = {"niyanta": [], "pgqueuer": []}
    for _ in range(1 if quick else 3):
        rounds["niyanta"].append(await _niyanta(quick))
        rounds["pgqueuer"].append(await _pgqueuer(python, quick))
    found: dict[str, Any] = {
        name: {key: round(statistics.median(one[key] for one in ones), 2) for key in ones[0]}
        for name, ones in rounds.items()
    }
    found["niyanta_against_pgqueuer"] = {
        key: round(found["niyanta"][key] / peer, 2) for key, peer in found["pgqueuer"].items() if peer
    }
    return found


async def _niyanta(quick: bool) -> dict[str, float]:
    async with running_system() as system:
        api = system.api()
        await api.submit(BODY, CONNECTIONS, count=1_000)
        await system.until_idle()
        idle = await idle_latency(api, 100 if quick else 300)
        rate, cpu = await end_to_end(system, quick)
        return _figures(
            rate, idle["acknowledgement_p50_ms"], idle["submit_to_start_p50_ms"], idle["submit_to_start_p99_ms"]
        ) | {"cpu_us_per_workload": cpu["all"]}


async def _pgqueuer(python: str, quick: bool) -> dict[str, float]:
    with TemporaryDirectory(prefix="niyanta-peers-") as folder:
        server = Postgres(Path(folder) / "postgres")
        await server.start()
        try:
            async with _worker(python, server.url) as began:
                await _ask(python, "client", server.url, 1_000)
                idle = await _ask(python, "idle", server.url, 100 if quick else 300)
                busy = await _ask(python, "client", server.url, 3_000 if quick else 10_000)
            starts = [1000 * seconds for seconds in began]
            return _figures(
                busy["rate"], 1000 * idle["ack_seconds"], percentile(starts, 0.5), percentile(starts, 0.99)
            )
        finally:
            await server.stop()


def _figures(rate: float, ack: float, start: float, late: float) -> dict[str, float]:
    return {
        "end_to_end_per_second": rate,
        "acknowledgement_p50_ms": ack,
        "submit_to_start_p50_ms": start,
        "submit_to_start_p99_ms": late,
    }


@asynccontextmanager
async def _worker(python: str, url: str) -> AsyncIterator[list[float]]:
    """A worker of pgqueuer's; what it prints are the seconds that jobs took to begin."""
    began: list[float] = []
    process = await asyncio.create_subprocess_exec(python, str(SCRIPT), "worker", url, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None

    async def read(lines: asyncio.StreamReader) -> None:
        began.extend([float(line) async for line in lines])

    async with asyncio.timeout(60):
        await process.stdout.readline()
    reading = asyncio.create_task(read(process.stdout))
    try:
        yield began
    finally:
        process.kill()
        await process.wait()
        await reading


async def _ask(python: str, role: str, url: str, count: int) -> dict[str, float]:
    process = await asyncio.create_subprocess_exec(
        python, str(SCRIPT), role, url, str(count), stdout=asyncio.subprocess.PIPE
    )
    answer, _ = await process.communicate()
    return dict(json.loads(answer))
