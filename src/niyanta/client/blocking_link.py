"""HTTP in the caller's own thread, by the standard library."""

from __future__ import annotations

import contextlib
import http.client
import io
import os
import select
import socket
import ssl
import threading
import time
import weakref
from collections import deque
from collections.abc import AsyncGenerator, Mapping
from contextlib import closing
from typing import TYPE_CHECKING
from urllib.parse import SplitResult

from niyanta.client.links import Answer, closed_error, cut_off
from niyanta.client.proxies import Proxy, proxy_for
from niyanta.client.tls import context_for
from niyanta.errors import ConnectionFailedError

if TYPE_CHECKING:
    from niyanta.client.async_link import AsyncHttpLink
    from niyanta.client.loop import LoopThread

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

__all__ = ["BlockingHttpLink"]

_MOST_IDLE = 64


class BlockingHttpLink:
    """A pool of connections that threads share; each request has one for itself.

    A process that was forked from one with a pool begins with an empty one.
    """

    def __init__(self, base: SplitResult) -> None:
        self._base_url = base.geturl()
        proxy = proxy_for(base)
        self._head = f"HTTP/1.1\r\nHost: {base.netloc}\r\nUser-Agent: niyanta-python\r\n"
        self._place = base.path
        if proxy is not None and base.scheme == "http":
            # A proxy reads such a request itself, and is told the whole address.
            self._place = self._base_url
            self._head += "".join(f"{name}: {value}\r\n" for name, value in proxy.headers.items())
        self._pool = _Pool(base, proxy)
        self._finalizer = weakref.finalize(self, _Pool.close, self._pool)

    async def exchange(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes | None, deadline: float
    ) -> Answer:
        """See `HttpLink.exchange`; never suspends."""
        request = self._request(method, path, headers, body)
        connection = None
        try:
            connection = self._pool.take(deadline)
            answer, reusable = connection.exchange(method, request, deadline)
        except (http.client.HTTPException, OSError) as exc:
            if connection is not None:
                connection.close()
            raise ConnectionFailedError(cut_off(self._base_url, exc)) from exc
        except BaseException:
            if connection is not None:
                connection.close()  # half an answer may be on its way
            raise
        if reusable:
            self._pool.give_back(connection)
        else:
            connection.close()
        return answer

    async def messages(
        self, path: str, headers: Mapping[str, str], deadline: float | None
    ) -> AsyncGenerator[bytes, None]:
        """See `HttpLink.messages`; blocks, by means of a loop in another thread."""
        loop, link = self._pool.streaming()
        with closing(loop.iterate(link.messages(path, headers, deadline))) as received:
            for message in received:
                yield message

    async def chunks(
        self, path: str, headers: Mapping[str, str], quiet_seconds: float
    ) -> AsyncGenerator[bytes, None]:
        """See `HttpLink.chunks`; blocks, by means of a loop in another thread."""
        loop, link = self._pool.streaming()
        with closing(loop.iterate(link.chunks(path, headers, quiet_seconds))) as received:
            for chunk in received:
                yield chunk

    async def sleep(self, seconds: float) -> None:
        """See `HttpLink.sleep`; blocks."""
        time.sleep(seconds)  # noqa: ASYNC251 -- no loop runs this

    async def close(self) -> None:
        """See `HttpLink.close`."""
        self._finalizer()

    def _request(self, method: str, path: str, headers: Mapping[str, str], body: bytes | None) -> bytes:
        """All of it in one piece, so that it is one packet and one wake-up of the service where it is short."""
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        length = "" if body is None and method == "GET" else f"Content-Length: {len(body or b'')}\r\n"
        return f"{method} {self._place}{path} {self._head}{lines}{length}\r\n".encode("latin-1") + (body or b"")


class _Pool:
    """Idle connections, last used first, and the loop for WebSockets once there is one."""

    def __init__(self, base: SplitResult, proxy: Proxy | None) -> None:
        self._base = base
        self._proxy = proxy
        self._context = context_for(base)
        self._owner = os.getpid()
        self._idle: deque[_Connection] = deque()
        self._lock = threading.Lock()
        self._streaming: tuple[LoopThread, AsyncHttpLink] | None = None
        self._closed = False

    def take(self, deadline: float) -> _Connection:
        """One that is good as far as can be seen, or a new one."""
        self._begin()
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return _Connection(self._base, self._proxy, self._context, deadline)
            if connection.is_quiet():
                return connection
            connection.close()

    def give_back(self, connection: _Connection) -> None:
        """Keep it for the next request."""
        if self._closed or len(self._idle) >= _MOST_IDLE:
            connection.close()
        else:
            self._idle.append(connection)

    def streaming(self) -> tuple[LoopThread, AsyncHttpLink]:
        """The loop, and what it sends through; loaded when it is first needed, as that takes long."""
        self._begin()
        with self._lock:
            if self._streaming is None:
                from niyanta.client.async_link import AsyncHttpLink
                from niyanta.client.loop import LoopThread

                self._streaming = LoopThread(), AsyncHttpLink(self._base, forgettable=False)
            return self._streaming

    def close(self) -> None:
        """Close everything. Idempotent."""
        self._closed = True
        if self._owner != os.getpid():
            return  # the connections are the parent's
        while self._idle:
            self._idle.pop().close()
        with self._lock:
            streaming, self._streaming = self._streaming, None
        if streaming is not None:
            loop, link = streaming
            loop.stop(link.close())

    def _begin(self) -> None:
        if self._closed:
            raise closed_error()
        if self._owner != os.getpid():
            self._owner = os.getpid()
            for connection in self._idle:
                connection.close()  # closes this process's descriptor only
            self._idle.clear()
            self._lock = threading.Lock()
            self._streaming = None


class _Connection:
    """One connection, used by one thread at a time."""

    def __init__(
        self, base: SplitResult, proxy: Proxy | None, context: ssl.SSLContext | None, deadline: float
    ) -> None:
        timeout = max(0.001, deadline - time.monotonic())
        host, port = (base.hostname or "", base.port) if proxy is None else (proxy.host, proxy.port)
        opened = (
            http.client.HTTPConnection(host, port, timeout=timeout)
            if context is None
            else http.client.HTTPSConnection(host, port, timeout=timeout, context=context)
        )
        if proxy is not None and base.scheme == "https":
            opened.set_tunnel(base.hostname or "", base.port, proxy.headers)
        opened.connect()
        self._socket: socket.socket = opened.sock
        self._readable = select.poll()
        self._readable.register(self._socket, select.POLLIN)

    def is_quiet(self) -> bool:
        """Whether the other side has neither closed it nor said anything that nobody asked for."""
        return not self._readable.poll(0)

    def exchange(self, method: str, request: bytes, deadline: float) -> tuple[Answer, bool]:
        """The answer, and whether another request may follow."""
        self._socket.settimeout(max(0.001, deadline - time.monotonic()))
        self._socket.sendall(request)
        response = http.client.HTTPResponse(_Timed(self._socket, deadline), method=method)  # type: ignore[arg-type] # has what it uses
        with closing(response):
            response.begin()
            headers = {name.lower(): value for name, value in response.headers.items()}
            answer = Answer(response.status, headers, response.read())
            return answer, not response.will_close

    def close(self) -> None:
        """Idempotent."""
        with contextlib.suppress(OSError):
            self._socket.close()


class _Timed(io.RawIOBase):
    """The reading side of a socket, for one answer: all of it must come before the deadline."""

    def __init__(self, opened: socket.socket, deadline: float) -> None:
        self._socket = opened
        self._deadline = deadline

    def makefile(self, *_: object) -> io.BufferedReader:
        """As `http.client.HTTPResponse` asks for it."""
        return io.BufferedReader(self, 65536)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        remaining = self._deadline - time.monotonic()
        if remaining <= 0:
            raise TimeoutError("no whole answer in time")
        self._socket.settimeout(remaining)
        return self._socket.recv_into(buffer)
