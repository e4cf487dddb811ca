"""``python -m bench [--quick]``: measures a whole system on this machine and prints JSON, then a table on stderr.

Everything is on as in production: fsync, audit, limits, authentication. Client, coordinator, worker and both engines
share the machine's cores.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import asyncpg
import psutil

from bench.load import Api, percentile
from niyanta.server.coordinator.submission import placement_key

TYPE = "bench_noop"


class System:
    """A `niyanta dev` of its own in a temporary directory."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._process: asyncio.subprocess.Process | None = None
        self.credentials: dict[str, Any] = {}

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "niyanta.cli.main", "dev", "--port", "0", "--grpc-port", "0"),
            *("--data-dir", str(self._data_dir), "--app", "bench.app:worker"),
            stdout=asyncio.subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": os.getcwd()},
        )
        path = self._data_dir / "credentials.json"
        async with asyncio.timeout(60):
            while not path.exists():
                await asyncio.sleep(0.05)
            self.credentials = json.loads(path.read_text())
            api = self.api()
            while True:
                try:
                    if (await api.get("/ready")).get("status") == "ready":
                        break
                except (OSError, asyncio.IncompleteReadError):
                    pass
                await asyncio.sleep(0.05)

    def api(self) -> Api:
        return Api(self.credentials["base_url"], self.credentials["api_key"])

    async def stop(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)
            await self._process.wait()

    def memory_mb(self) -> dict[str, float]:
        """Resident memory by process, MB."""
        if self._process is None:
            return {}
        found: dict[str, float] = {}
        for process in psutil.Process(self._process.pid).children(recursive=True):
            try:
                words = process.cmdline()
                name = next((w for w in ("coordinator", "worker") if w in words), process.name())
                found[name] = round(found.get(name, 0.0) + process.memory_info().rss / 1e6, 1)
            except psutil.Error:
                continue
        return found


async def completed(connection: asyncpg.Connection, customer_id: str) -> int:
    return int(
        await connection.fetchval(
            "SELECT count(*) FROM workloads WHERE customer_id = $1 AND status = 'COMPLETED'", customer_id
        )
    )


async def until_idle(connection: asyncpg.Connection, customer_id: str, seconds: float = 120) -> None:
    async with asyncio.timeout(seconds):
        while await connection.fetchval(
            "SELECT queued + running FROM customer_usage WHERE customer_id = $1", customer_id
        ):
            await asyncio.sleep(0.02)


async def idle_latency(api: Api, samples: int) -> dict[str, float]:
    """From the submit call to the handler's first line, one at a time, and the acknowledgement alone."""
    streams = await api.connect()
    to_start: list[float] = []
    to_ack: list[float] = []
    body = json.dumps({"workload_type": TYPE, "input_params": {}}).encode()
    for _ in range(samples):
        sent_wall, sent = time.time(), time.perf_counter()
        _, answer = await api.call(streams, "POST", "/workloads", body)
        to_ack.append(time.perf_counter() - sent)
        workload_id = json.loads(answer)["workload_id"]
        while True:
            _, found = await api.call(streams, "GET", f"/workloads/{workload_id}?wait_seconds=10")
            workload = json.loads(found)
            if workload["status"] == "COMPLETED":
                break
        to_start.append(workload["result_data"]["began"] - sent_wall)
    streams[1].close()
    milliseconds = {
        f"{name}_{label}_ms": round(percentile(values, share) * 1000, 2)
        for name, values in (("submit_to_start", to_start), ("acknowledgement", to_ack))
        for label, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))
    }
    return milliseconds


async def measure(quick: bool) -> dict[str, Any]:
    results: dict[str, Any] = {"cores": os.cpu_count()}
    backlogs = [1_000, 20_000] if quick else [1_000, 100_000, 1_000_000]
    window = 4.0 if quick else 10.0
    with tempfile.TemporaryDirectory(prefix="niyanta-bench-") as folder:
        system = System(Path(folder) / "data")
        await system.start()
        try:
            api = system.api()
            customer_id = system.credentials["customer_id"]
            connection = await asyncpg.connect(system.credentials["database_url"], command_timeout=600)
            await connection.execute(
                "UPDATE customers SET max_queue_depth = 10000000, max_concurrent_workloads = 100000, "
                "rate_limit_per_sec = 1000000, burst = 1000000 WHERE customer_id = $1",
                customer_id,
            )
            await asyncio.sleep(1.5)  # the coordinators learn of new limits within a second
            body = {"workload_type": TYPE, "input_params": {}}
            await api.submit(body, 32, count=2_000)
            await until_idle(connection, customer_id)

            results["memory_idle_mb"] = system.memory_mb()
            results["idle"] = await idle_latency(api, 100 if quick else 500)

            nowhere = {**body, "affinity_rules": {"hard_affinity": {"worker_id": "no-such-worker"}}}
            rates = []
            for _ in range(1 if quick else 3):
                load = await api.submit(nowhere, 32, count=5_000 if quick else 10_000)
                rates.append(load.count / load.seconds)
                await connection.execute(
                    "UPDATE workloads SET status = 'CANCELLED', ready = false, completed_at = now() "
                    "WHERE customer_id = $1 AND ready",
                    customer_id,
                )
                await connection.execute("UPDATE customer_usage SET queued = 0 WHERE customer_id = $1", customer_id)
            results["rest_submissions_per_second"] = round(statistics.median(rates))

            rates = []
            for _ in range(1 if quick else 3):
                began = time.perf_counter()
                count = 5_000 if quick else 15_000
                await api.submit(body, 32, count=count)
                await until_idle(connection, customer_id)
                rates.append(count / (time.perf_counter() - began))
            results["end_to_end_per_second"] = round(statistics.median(rates))

            results["by_backlog"] = {}
            for standing, backlog in enumerate(backlogs):
                await fill_to(connection, customer_id, backlog, standing)
                before, began = await completed(connection, customer_id), time.perf_counter()
                load = await api.submit(body, 16, until=time.monotonic() + window)
                after, ended = await completed(connection, customer_id), time.perf_counter()
                results["by_backlog"][str(backlog)] = {
                    "completed_per_second": round((after - before) / (ended - began)),
                    "submissions_per_second": round(load.count / load.seconds),
                    "memory_mb": system.memory_mb(),
                }
            rates_by = [found["completed_per_second"] for found in results["by_backlog"].values()]
            results["throughput_at_largest_backlog_against_smallest"] = round(rates_by[-1] / rates_by[0], 3)
            await connection.close()
        finally:
            await system.stop()
    return results


async def fill_to(connection: asyncpg.Connection, customer_id: str, backlog: int, series: int) -> None:
    """Replace what stands in the queue by a backlog of a given size."""
    await connection.execute("DELETE FROM workloads WHERE customer_id = $1 AND ready", customer_id)
    await connection.execute("UPDATE customer_usage SET queued = 0 WHERE customer_id = $1", customer_id)
    async with connection.transaction():
        await connection.execute(
            """
            INSERT INTO workloads (customer_id, workload_id, workload_type, status, priority, input_params,
                                   placement_key, queue_rank, created_at)
            SELECT $1, 'wl_7zz' || $5::text || lpad(n::text, 22, '0'), $2, 'PENDING', 0, '{}', $3,
                   extract(epoch FROM now()) + 1e6 + n * 1e-3, now()
              FROM generate_series(1, $4::int) n
            """,
            customer_id,
            TYPE,
            placement_key(TYPE, None),
            backlog,
            str(series),
            timeout=600,
        )
        await connection.execute(
            "UPDATE customer_usage SET queued = queued + $2 WHERE customer_id = $1", customer_id, backlog
        )
    await connection.execute("VACUUM ANALYZE workloads", timeout=600)


def table(results: dict[str, Any]) -> str:
    """The figures for people."""
    lines: list[tuple[str, str]] = []

    def walk(prefix: str, value: Any) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                walk(f"{prefix}{key} ", inner)
        else:
            lines.append((prefix.strip().replace("_", " "), str(value)))

    walk("", results)
    width = max(len(name) for name, _ in lines)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench")
    parser.add_argument("--quick", action="store_true", help="smaller numbers, for a smoke run")
    arguments = parser.parse_args()
    results = asyncio.run(measure(arguments.quick))
    print(json.dumps(results, indent=2))
    print(table(results), file=sys.stderr)


if __name__ == "__main__":
    main()
