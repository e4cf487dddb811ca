"""The system that is measured: a `niyanta dev` of its own in a temporary directory, everything switched on."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import asyncpg
import psutil

from bench.load import Api
from niyanta.server.services.checking import placement_key

__all__ = ["TYPE", "System", "running_system"]

TYPE = "bench_noop"


class System:
    """A running system, its database and its processes."""

    def __init__(self, data_dir: Path, app: str, workers: int, settings: Mapping[str, str]) -> None:
        self.data_dir = data_dir
        self._settings = settings
        self._arguments = ("--app", app, "--workers", str(workers))
        self._process: asyncio.subprocess.Process | None = None
        self.credentials: dict[str, Any] = {}
        self.connection: asyncpg.Connection

    async def start(self) -> None:
        """Start it, wait until it is ready, and lift the customer's limits."""
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "niyanta.cli.main", "dev", "--port", "0", "--grpc-port", "0"),
            *("--quiet", "--data-dir", str(self.data_dir), *self._arguments),
            stdout=asyncio.subprocess.DEVNULL,
            env={
                **os.environ,
                **self._settings,
                "PYTHONPATH": os.pathsep.join([os.getcwd(), os.environ.get("PYTHONPATH", "")]),
            },
        )
        path = self.data_dir / "credentials.json"
        async with asyncio.timeout(180):
            while not path.exists():
                await asyncio.sleep(0.05)
            self.credentials = json.loads(path.read_text())
            while not (await self._is_ready() and self._all_serve()):
                await asyncio.sleep(0.05)
        self.connection = await asyncpg.connect(self.credentials["database_url"], command_timeout=900)
        await self.connection.execute(
            "UPDATE customers SET max_queue_depth = 10000000, max_concurrent_workloads = 100000, "
            "rate_limit_per_sec = 1000000, burst = 1000000 WHERE customer_id = $1",
            self.customer_id,
        )
        await asyncio.sleep(1.5)  # the coordinators learn of new limits within a second

    async def _is_ready(self) -> bool:
        try:
            return bool((await self.api().get("/ready")).get("status") == "ready")
        except (OSError, asyncio.IncompleteReadError, ValueError):
            return False

    def _all_serve(self) -> bool:
        """Whether all processes of the coordinator do; the first is ready before the others."""
        if {**os.environ, **self._settings}.get("NIYANTA_PROCESSES", "1") == "1":
            return True
        return "coordinator.processes_started" in (self.data_dir / "logs" / "coordinator.log").read_text()

    @property
    def pid(self) -> int:
        """Of the process that has started all others."""
        assert self._process is not None
        return self._process.pid

    @property
    def customer_id(self) -> str:
        return str(self.credentials["customer_id"])

    def api(self) -> Api:
        """A load generator on the customer's key."""
        return Api(self.credentials["base_url"], self.credentials["api_key"])

    async def stop(self) -> None:
        """Stop it cleanly."""
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)
            await self._process.wait()

    def processes(self) -> dict[str, list[psutil.Process]]:
        """Everything that runs, by kind."""
        found: dict[str, list[psutil.Process]] = {}
        if self._process is not None:
            for process in psutil.Process(self._process.pid).children(recursive=True):
                try:
                    words = process.cmdline()
                    name = next((w for w in ("coordinator", "worker") if w in words), process.name())
                    found.setdefault(name, []).append(process)
                except psutil.Error:
                    continue
        return found

    def memory_mb(self) -> dict[str, float]:
        """Resident memory by kind of process, MB; PostgreSQL's counts its shared memory once for each process."""
        return {
            name: round(sum(process.memory_info().rss for process in group) / 1e6, 1)
            for name, group in self.processes().items()
        }

    def cpu_seconds(self) -> dict[str, float]:
        """CPU time that the processes of each kind have used so far."""
        used: dict[str, float] = {}
        for name, group in self.processes().items():
            for process in group:
                try:
                    times = process.cpu_times()
                except psutil.Error:  # has just ended
                    continue
                used[name] = used.get(name, 0.0) + times.user + times.system
        return used

    async def completed(self) -> int:
        """How many workloads have ended COMPLETED."""
        query = "SELECT coalesce(sum(completed), 0) FROM workload_hours WHERE customer_id = $1"
        return int(await self.connection.fetchval(query, self.customer_id))

    async def until_idle(self, seconds: float = 300) -> None:
        """Wait until nothing is queued or running."""
        query = "SELECT queued + running FROM customer_usage WHERE customer_id = $1"
        async with asyncio.timeout(seconds):
            while await self.connection.fetchval(query, self.customer_id):
                await asyncio.sleep(0.02)

    async def clear_queue(self) -> None:
        """Take away whatever waits; what the scheduler takes meanwhile may be in the way, so it is tried again."""
        query = "DELETE FROM workloads WHERE customer_id = $1 AND ready"
        while True:
            try:
                await self.connection.execute(query, self.customer_id)
                break
            except asyncpg.DeadlockDetectedError:
                continue
        await self.connection.execute("UPDATE customer_usage SET queued = 0 WHERE customer_id = $1", self.customer_id)

    async def fill_queue(self, backlog: int, series: int) -> None:
        """Put a backlog of a given size into the empty queue, behind whatever is submitted from now on."""
        async with self.connection.transaction():
            await self.connection.execute(
                """
                INSERT INTO workloads (customer_id, workload_id, workload_type, status, priority, input_params,
                                       placement_key, queue_rank, created_at)
                SELECT $1, 'wl_7zz' || $5::text || lpad(n::text, 22, '0'), $2, 'PENDING', 0, '{}', $3,
                       extract(epoch FROM now()) + 1e6 + n * 1e-3, now()
                  FROM generate_series(1, $4::int) n
                """,
                self.customer_id,
                TYPE,
                placement_key(TYPE, None),
                backlog,
                str(series),
            )
            await self.connection.execute(
                "UPDATE customer_usage SET queued = queued + $2 WHERE customer_id = $1", self.customer_id, backlog
            )
        await self.connection.execute("VACUUM ANALYZE workloads")


@asynccontextmanager
async def running_system(
    app: str = "bench.app:worker", workers: int = 1, settings: Mapping[str, str] | None = None
) -> AsyncIterator[System]:
    """A system for the time of one measurement; ``settings`` are variables of its environment."""
    with TemporaryDirectory(prefix="niyanta-bench-") as folder:
        system = System(Path(folder) / "data", app, workers, settings or {})
        try:
            await system.start()
            yield system
            await system.connection.close()
        finally:
            await system.stop()
