"""A coordinator's program with TLS: a new certificate on SIGHUP, at once, and no end by it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path

import pytest

from niyanta.embedded.engine import free_port
from support.certificates import Authority


async def serial(port: int, authority: Authority) -> str:
    """Of the certificate that a new connection is shown."""
    _, writer = await asyncio.open_connection("localhost", port, ssl=authority.trusting())
    shown = writer.get_extra_info("peercert")
    writer.close()
    return str(shown["serialNumber"])


@pytest.mark.parametrize(
    ("processes", "serves"), [(1, b"coordinator.started"), (2, b"coordinator.processes_started")]
)
async def test_a_signal_has_the_certificate_read_again(
    database_url: str, nats_url: str, subject_prefix: str, tmp_path: Path, processes: int, serves: bytes
) -> None:
    authority = Authority(tmp_path)
    shown = authority.issue("server")
    port = free_port()
    settings = {
        "NIYANTA_DATABASE_URL": database_url,
        "NIYANTA_NATS_URL": nats_url,
        "NIYANTA_SUBJECT_PREFIX": subject_prefix,
        "NIYANTA_BROKER_AUTH": "none",
        "NIYANTA_PORT": str(port),
        "NIYANTA_PROCESSES": str(processes),
        "NIYANTA_GRPC_PORT": "0",
        "NIYANTA_TLS_CERT": shown.cert,
        "NIYANTA_TLS_KEY": shown.key,
    }
    own = {name: value for name, value in os.environ.items() if not name.startswith("NIYANTA_")}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "niyanta.cli.main", "coordinator"),
        env=own | settings,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(120):
            while serves not in (line := await process.stdout.readline()):
                assert line, "it ended"
            first = await serial(port, authority)
            shown.replaced_by(authority.issue("next"))
            process.send_signal(signal.SIGHUP)
            for _ in range(processes):
                while b"tls.reloaded" not in (line := await process.stdout.readline()):
                    assert line, "it ended"
            assert first not in {await serial(port, authority) for _ in range(20 if processes > 1 else 1)}
            process.terminate()
            await process.stdout.read()
            assert await process.wait() == 0
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
