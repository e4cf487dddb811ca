"""A load generator light enough to leave the cores to what is measured: raw HTTP/1.1 over asyncio streams."""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

__all__ = ["Api", "Load", "percentile"]


def percentile(values: list[float], share: float) -> float:
    """The value below which a share of the values lies; 0 for none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0


@dataclass
class Load:
    """What a run of submissions measured."""

    count: int = 0
    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    """Seconds from sending each request to its whole answer."""
    ids: list[str] = field(default_factory=list)


class Api:
    """One customer's raw connections to the service."""

    def __init__(self, base_url: str, api_key: str, context: ssl.SSLContext | None = None) -> None:
        self._context = context
        parts = urlsplit(base_url)
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port or 80
        self._head = (
            f"Host: bench\r\nAuthorization: Bearer {api_key}\r\nContent-Type: application/json\r\n"
        ).encode()

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(self._host, self._port, ssl=self._context)

    async def call(
        self,
        streams: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        method: str,
        path: str,
        body: bytes = b"",
    ) -> tuple[int, bytes]:
        """One request on a kept-alive connection."""
        reader, writer = streams
        line = f"{method} /v1{path} HTTP/1.1\r\nContent-Length: {len(body)}\r\n".encode()
        writer.write(line + self._head + b"\r\n" + body)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.split(b"content-length: ", 1)[1].split(b"\r\n", 1)[0])
        return int(head[9:12]), await reader.readexactly(length)

    async def listen(self, path: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A stream of events, from behind its head.

        Raises:
            RuntimeError: The service answered anything but 200.
        """
        reader, writer = await self.connect()
        writer.write(f"GET /v1{path} HTTP/1.1\r\n".encode() + self._head + b"\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        if int(head[9:12]) != 200:
            raise RuntimeError(f"{path} answered {head[:300]!r}")
        return reader, writer

    async def get(self, path: str) -> Any:
        """One GET on a connection of its own."""
        streams = await self.connect()
        try:
            return json.loads((await self.call(streams, "GET", path))[1])
        finally:
            streams[1].close()

    async def submit(
        self, body: dict[str, Any], connections: int, *, count: int | None = None, until: float | None = None
    ) -> Load:
        """Submit the same body over several connections, ``count`` times or until a monotonic time.

        Raises:
            RuntimeError: The service answered anything but 202.
        """
        encoded = json.dumps(body).encode()
        load = Load()
        left = count if count is not None else 1 << 60

        async def run() -> None:
            nonlocal left
            streams = await self.connect()
            while left > 0 and (until is None or time.monotonic() < until):
                left -= 1
                sent = time.perf_counter()
                status, answer = await self.call(streams, "POST", "/workloads", encoded)
                if status != 202:
                    raise RuntimeError(f"submission answered {status}: {answer[:300]!r}")
                load.latencies.append(time.perf_counter() - sent)
                load.ids.append(answer[16:45].split(b'"')[0].decode())
            streams[1].close()

        began = time.perf_counter()
        await asyncio.gather(*(run() for _ in range(connections)))
        load.seconds = time.perf_counter() - began
        load.count = len(load.latencies)
        return load
