"""``python -m bench.websockets --count 10000``: many WebSockets on one coordinator; prints JSON.

Starts a ``niyanta dev`` of its own, opens the sockets from this process with as little as a client needs, and reports
how long that took, what it costs the coordinator in memory, and how long updates take from the moment when the worker
sends them until each socket has them. Client, coordinator and engines share the machine's cores.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import os
import secrets
import socket
import time
from typing import Any
from urllib.parse import urlsplit

import msgspec
import uvloop

from bench.load import percentile
from bench.system import running_system
from niyanta.domain.join_tokens import new_incarnation
from niyanta.wire import messages
from niyanta.wire.broker import Broker
from niyanta.wire.login import WorkerPass
from niyanta.wire.messages import Assign, AttemptRef, Command, Event, EventBatch, HandlerInfo, Heartbeat, Register
from niyanta.wire.subjects import Subjects

TYPE = "bench_watched"
_encode = msgspec.msgpack.Encoder().encode


class Worker:
    """A worker that runs nothing and reports what it is told to."""

    def __init__(self, nats_url: str, join_token: str, capacity: int) -> None:
        self._id = "bench-" + secrets.token_hex(4)
        ticket = WorkerPass.make(join_token, self._id)
        self._broker = Broker(nats_url, name="bench", login=ticket.login)
        self._subjects = Subjects(sender=ticket.sender)
        self._capacity = capacity
        self._incarnation = new_incarnation(ticket.credential, secrets.token_hex(8))
        self._sequence = 0
        self.refs: list[AttemptRef] = []

    async def start(self) -> None:
        await self._broker.connect()
        await self._broker.serve(self._subjects.commands(self._id), self._received)
        message = Register(self._id, self._incarnation, self._capacity, {}, [HandlerInfo(TYPE)], "bench")
        await self._broker.request(self._subjects.register, _encode(message), timeout_seconds=5)

    async def _received(self, payload: bytes) -> None:
        command = msgspec.msgpack.decode(payload, type=Command)
        if isinstance(command, Assign):
            self.refs += [a.ref for a in command.assignments if a.ref not in self.refs]

    async def beat_for_ever(self) -> None:
        while True:
            message = Heartbeat(self._id, self._incarnation, False, self.refs)
            await self._broker.request(self._subjects.heartbeat, _encode(message), timeout_seconds=5)
            await asyncio.sleep(2)

    async def report(self, body: Any) -> None:
        """The same event for all attempts, in batches as an agent would send them."""
        self._sequence += 1
        for first in range(0, len(self.refs), 500):
            now = int(time.time() * 1000)
            events = [Event(ref, self._sequence, now, body) for ref in self.refs[first : first + 500]]
            batch = EventBatch(self._id, self._incarnation, events)
            await self._broker.request(self._subjects.events, _encode(batch), timeout_seconds=30)

    async def stop(self) -> None:
        await self._broker.close()


class Client(asyncio.Protocol):
    """One socket: shakes hands, counts messages, answers pings."""

    def __init__(self, request: bytes, board: Board) -> None:
        self._request = request
        self._board = board
        self._buffer = b""
        self._open = False
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        data = self._buffer + data
        if not self._open:
            head, end, data = data.partition(b"\r\n\r\n")
            if not end:
                self._buffer = head
                return
            if not head.startswith(b"HTTP/1.1 101"):
                self._board.fail(f"refused: {(head + end + data).decode()}")
                return
            self._open = True
        while len(data) >= 2:
            length, start = data[1] & 0x7F, 2
            if length == 126:
                length, start = int.from_bytes(data[2:4], "big"), 4
            if len(data) < start + length:
                break
            if data[0] & 0x0F == 1:
                self._board.arrived()
            elif data[0] & 0x0F == 9:
                self._transport.write(bytes([0x8A, 0x80 | length]) + b"\0\0\0\0" + data[start : start + length])
            data = data[start + length :]
        self._buffer = data

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._board.all.is_set():
            self._board.fail(f"lost a connection: {exc}")


class Board:
    """Counts what all clients have seen."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._failure = ""
        self.times: list[float] = []
        self.all = asyncio.Event()

    def arrived(self) -> None:
        self.times.append(time.perf_counter())
        if len(self.times) == self._count:
            self.all.set()

    def fail(self, why: str) -> None:
        self._failure = why
        self.all.set()

    def expect(self) -> None:
        """Begin to count anew."""
        self.times, self.all = [], asyncio.Event()

    async def wait(self) -> None:
        """Until every client has had its message.

        Raises:
            RuntimeError: One of them never will.
        """
        async with asyncio.timeout(120):
            await self.all.wait()
        if self._failure:
            raise RuntimeError(self._failure)


async def fan_out(board: Board, worker: Worker, body: Any) -> dict[str, float]:
    """Milliseconds from the sending of an event until the sockets have what it brought."""
    board.expect()
    began = time.perf_counter()
    await worker.report(body)
    await board.wait()
    taken = [(at - began) * 1000 for at in board.times]
    return {
        "p50_ms": round(percentile(taken, 0.5), 1),
        "p99_ms": round(percentile(taken, 0.99), 1),
        "max_ms": round(max(taken), 1),
    }


async def open_all(base_url: str, api_key: str, board: Board, workload_ids: list[str], count: int) -> float:
    """Open the sockets and wait for the snapshot on each; gives the seconds that took."""
    parts = urlsplit(base_url)
    loop = asyncio.get_running_loop()
    address = await loop.getaddrinfo(parts.hostname, parts.port, type=socket.SOCK_STREAM)
    gate = asyncio.Semaphore(200)

    async def open_one(number: int) -> None:
        request = (
            f"GET /v1/ws/workloads/{workload_ids[number % len(workload_ids)]} HTTP/1.1\r\nHost: {parts.netloc}\r\n"
            f"Authorization: Bearer {api_key}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}\r\n\r\n"
        )
        async with gate:
            await loop.create_connection(lambda: Client(request.encode(), board), *address[0][4][:2])

    began = time.perf_counter()
    await asyncio.gather(*(open_one(number) for number in range(count)))
    await board.wait()
    return time.perf_counter() - began


async def measure(count: int, workloads: int) -> dict[str, Any]:
    async with running_system() as system:
        found = system.credentials
        worker = Worker(found["nats_url"], found["join_token"], workloads)
        await worker.start()
        beating = asyncio.create_task(worker.beat_for_ever())
        try:
            load = await system.api().submit({"workload_type": TYPE, "input_params": {}}, 16, count=workloads)
            async with asyncio.timeout(60):
                while len(worker.refs) < workloads:
                    await asyncio.sleep(0.05)
            await worker.report(messages.Started())
            board = Board(count)
            before = system.memory_mb()["coordinator"]
            opened = await open_all(found["base_url"], found["api_key"], board, load.ids, count)
            after = system.memory_mb()["coordinator"]
            results: dict[str, Any] = {
                "sockets": count,
                "workloads": workloads,
                "open_seconds": round(opened, 2),
                "coordinator_before_mb": before,
                "coordinator_after_mb": after,
                "kilobytes_per_socket": round((after - before) * 1000 / count, 1),
            }
            results["progress"] = [await fan_out(board, worker, messages.Progressed(n * 10)) for n in range(1, 6)]
            results["completed"] = await fan_out(board, worker, messages.Completed(b'{"sum": 6}'))
            results["coordinator_at_last_mb"] = system.memory_mb()["coordinator"]
            return results
        finally:
            beating.cancel()
            await asyncio.gather(beating, return_exceptions=True)
            await worker.stop()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.websockets")
    parser.add_argument("--count", type=int, default=10_000, help="sockets")
    parser.add_argument("--workloads", type=int, default=1, help="workloads that they watch, in turn")
    arguments = parser.parse_args()
    print(json.dumps(uvloop.run(measure(arguments.count, arguments.workloads)), indent=2))


if __name__ == "__main__":
    main()
