"""What TLS costs: the same requests to two coordinators that don't lead, one of which speaks it.

Once with the clients, once with the database; and the same messages through two brokers.
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
import ssl
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from bench.engines_tls import broker, told, used, with_tls
from bench.load import Api
from bench.system import TYPE, System, running_system
from niyanta.embedded.engine import free_port

__all__ = ["measure"]

_CONNECTIONS = 16
_NOWHERE = {"hard_affinity": {"worker_id": "no-such-worker"}}


async def measure(quick: bool) -> dict[str, Any]:
    """Reads and submissions over open connections, new connections, and what engines hear, each with and without."""
    found: dict[str, Any] = {"rest": {}, "database": {}}
    seconds = 3.0 if quick else 10.0
    with TemporaryDirectory(prefix="niyanta-bench-") as folder:
        certificate = _certificate(Path(folder))
        async with running_system(workers=1) as system:
            for name, files in (("plain", None), ("tls", certificate)):
                async with _coordinator(system, files) as (api, process):
                    await _reads(api, process, 1.0)  # warm
                    found["rest"][name] = {
                        "reads": await _reads(api, process, seconds),
                        "submissions": await _submissions(api, process, seconds),
                        "connections": await _connections(api, process, seconds),
                    }
                await system.clear_queue()
            urls = await with_tls(system, certificate)
            for name, url in (urls or {}).items():
                async with _coordinator(system, None, url) as (api, process):
                    await _reads(api, process, 1.0)  # warm
                    found["database"][name] = {
                        "reads": await _reads(api, process, seconds),
                        "submissions": await _submissions(api, process, seconds),
                    }
                await system.clear_queue()
        found["broker"] = await broker(Path(folder), certificate, seconds)
    return found


@asynccontextmanager
async def _coordinator(
    system: System, files: tuple[str, str] | None, database_url: str = ""
) -> AsyncIterator[tuple[Api, psutil.Process]]:
    port = free_port()
    settings = {"NIYANTA_DATABASE_URL": database_url or system.credentials["database_url"], "NIYANTA_GRPC_PORT": "0"}
    settings |= {"NIYANTA_NATS_URL": system.credentials["nats_url"], "NIYANTA_PORT": str(port)}
    context = None
    if files is not None:
        settings |= {"NIYANTA_TLS_CERT": files[0], "NIYANTA_TLS_KEY": files[1]}
        context = ssl.create_default_context(cafile=files[0])
    words = (sys.executable, "-m", "niyanta.cli.main", "coordinator")
    process = await asyncio.create_subprocess_exec(*words, env={**os.environ, **settings})
    try:
        api = Api(f"http://127.0.0.1:{port}", system.credentials["api_key"], context)
        async with asyncio.timeout(60):
            while not await _is_ready(api):
                await asyncio.sleep(0.1)
        yield api, psutil.Process(process.pid)
    finally:
        process.terminate()
        await process.wait()


async def _is_ready(api: Api) -> bool:
    try:
        return bool((await api.get("/ready")).get("status") == "ready")
    except (OSError, asyncio.IncompleteReadError, ValueError):
        return False


async def _reads(api: Api, process: psutil.Process, seconds: float) -> dict[str, float]:
    count, began, before = 0, time.monotonic(), used(process)

    async def run() -> None:
        nonlocal count
        streams = await api.connect()
        while time.monotonic() < began + seconds:
            status, _ = await api.call(streams, "GET", "/customer")
            if status != 200:
                raise RuntimeError(f"a read answered {status}")
            count += 1
        streams[1].close()

    await asyncio.gather(*(run() for _ in range(_CONNECTIONS)))
    return told(count, time.monotonic() - began, used(process) - before)


async def _submissions(api: Api, process: psutil.Process, seconds: float) -> dict[str, float]:
    before = used(process)
    body = {"workload_type": TYPE, "input_params": {}, "affinity_rules": _NOWHERE}
    load = await api.submit(body, _CONNECTIONS, until=time.monotonic() + seconds)
    return told(load.count, load.seconds, used(process) - before)


async def _connections(api: Api, process: psutil.Process, seconds: float) -> dict[str, float]:
    """Each with one request."""
    count, began, before = 0, time.monotonic(), used(process)

    async def run() -> None:
        nonlocal count
        while time.monotonic() < began + seconds:
            await api.get("/health")
            count += 1

    await asyncio.gather(*(run() for _ in range(4)))
    return told(count, time.monotonic() - began, used(process) - before)


def _certificate(folder: Path) -> tuple[str, str]:
    """One on the curve P-256 that signs itself; its file and that of its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "bench")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    files = folder / "bench.crt", folder / "bench.key"
    files[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    files[1].touch(mode=0o600)
    files[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return str(files[0]), str(files[1])
