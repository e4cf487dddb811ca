"""What the gRPC port bears that speaks HTTP/2 as nobody should (rapid reset, CVE-2023-44487)."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
import time
from collections.abc import Iterator

import pytest

from niyanta.server.grpc.methods import SERVICES
from support.grpc_calls import Calls
from support.system import System, supported

FLOODERS = 4
STREAMS = 2_000
_HEADERS, _RESET, _SETTINGS = 1, 3, 4
_END_HEADERS = 4
_CANCEL = 8


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """RFC 9113, section 4.1."""
    return struct.pack(">I", len(payload))[1:] + bytes((kind, flags)) + struct.pack(">I", stream) + payload


def fields(**named: str) -> bytes:
    """Header fields as literals that nobody is to remember (RFC 7541, section 6.2.2)."""
    found = b""
    for name, value in named.items():
        spelled = name.replace("__", ":").replace("_", "-").encode()
        found += b"\0" + bytes((len(spelled),)) + spelled + bytes((len(value),)) + value.encode()
    return found


def burst(key: str) -> bytes:
    """One connection's: each stream is opened by a good call, and reset at once."""
    head = fields(
        __method="POST",
        __scheme="http",
        __path=f"/{SERVICES[0]}/GetWorkload",
        __authority="x",
        te="trailers",
        content_type="application/grpc",
        authorization=f"Bearer {key}",
    )
    reset = struct.pack(">I", _CANCEL)
    streams = [
        frame(_HEADERS, _END_HEADERS, stream, head) + frame(_RESET, 0, stream, reset)
        for stream in range(1, 2 * STREAMS, 2)
    ]
    return b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(_SETTINGS, 0, 0, b"") + b"".join(streams)


class Flood:
    """Threads that open connections, send a burst over each, and begin anew.

    Attributes:
        connections: That took all of a burst, so far.
    """

    def __init__(self, port: int, key: str) -> None:
        self._place = ("127.0.0.1", port)
        self._burst = burst(key)
        self._ends = threading.Event()
        self.connections = 0
        self._threads = [threading.Thread(target=self._run) for _ in range(FLOODERS)]

    def _run(self) -> None:
        while not self._ends.is_set():
            with contextlib.suppress(OSError), socket.create_connection(self._place, timeout=2) as link:
                link.sendall(self._burst)
                self.connections += 1

    @contextlib.contextmanager
    def meanwhile(self) -> Iterator[Flood]:
        for thread in self._threads:
            thread.start()
        try:
            yield self
        finally:
            self._ends.set()
            for thread in self._threads:
                thread.join()


async def asked(calls: Calls, system: System, workload_id: str, seconds: float) -> list[float]:
    """How long calls of another customer take, one after another, over gRPC and REST."""
    took = []
    ends_at = time.monotonic() + seconds
    while time.monotonic() < ends_at:
        began = time.monotonic()
        await calls.get(workload_id, key="cust_b")
        await system.get(workload_id, "cust_b")
        took.append(time.monotonic() - began)
    return sorted(took)


async def test_streams_that_are_opened_and_reset_at_once_slow_nobody_down(system: System, calls: Calls) -> None:
    await supported(system)
    workload_id = await system.submit("cust_b")
    quiet = await asked(calls, system, workload_id, 1.0)
    with Flood(system.coordinator.grpc_port, system.keys["cust_a"]).meanwhile() as flood:
        async with asyncio.timeout(20):
            while not flood.connections:
                await asyncio.sleep(0.01)
        under_it = await asked(calls, system, workload_id, 4.0)
    assert flood.connections * STREAMS > 5_000
    assert under_it[-1] < 2.0, (quiet[len(quiet) // 2], under_it[len(under_it) // 2], under_it[-1])
    assert under_it[len(under_it) // 2] < 0.25 + 10 * quiet[len(quiet) // 2]


@pytest.mark.parametrize("nothing", [b"", b"GET / HTTP/1.1\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"])
async def test_who_says_nothing_more_is_in_nobody_s_way(system: System, calls: Calls, nothing: bytes) -> None:
    await supported(system)
    workload_id = await system.submit("cust_b")
    with contextlib.ExitStack() as links:
        for _ in range(200):
            link = links.enter_context(socket.create_connection(("127.0.0.1", system.coordinator.grpc_port)))
            link.sendall(nothing)
        assert (await asked(calls, system, workload_id, 0.5))[-1] < 2.0
