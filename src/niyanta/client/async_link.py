"""HTTP and WebSockets in an event loop, by aiohttp."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import time
import weakref
from collections.abc import AsyncGenerator, Mapping
from urllib.parse import SplitResult

import aiohttp
from yarl import URL

from niyanta.client.links import Answer, StreamRefusedError, closed_error, cut_off
from niyanta.client.proxies import proxy_for
from niyanta.client.tls import context_for
from niyanta.errors import ConnectionFailedError

__all__ = ["AsyncHttpLink"]

_MOST_MESSAGE_BYTES = 8 << 20
_HEARTBEAT_SECONDS = 20.0
_LONGEST_OPENING_SECONDS = 30.0


class AsyncHttpLink:
    """A pool of connections that belongs to one event loop.

    Args:
        base: Where the service is.
        forgettable: Whether it may be dropped without being closed. Its sockets are closed then.
    """

    def __init__(self, base: SplitResult, *, forgettable: bool = True) -> None:
        self._base_url = base.geturl()
        proxy = proxy_for(base)
        self._proxy = None if proxy is None else proxy.url
        self._proxy_headers = None if proxy is None else proxy.headers
        self._context = context_for(base)
        self._forgettable = forgettable
        self._session: aiohttp.ClientSession | None = None
        self._closed = False

    async def exchange(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes | None, deadline: float
    ) -> Answer:
        """See `HttpLink.exchange`."""
        timeout = aiohttp.ClientTimeout(total=max(0.001, deadline - time.monotonic()))
        url = URL(self._base_url + path, encoded=True)
        try:
            async with self._opened().request(
                method,
                url,
                data=body,
                headers=headers,
                timeout=timeout,
                allow_redirects=False,
                proxy=self._proxy,
                proxy_headers=self._proxy_headers,
            ) as response:
                answer = await response.read()
                return Answer(response.status, response.headers, answer)
        except aiohttp.ClientConnectorError as exc:
            raise ConnectionFailedError(cut_off(self._base_url, exc.os_error)) from exc
        except (aiohttp.ClientError, TimeoutError, OSError) as exc:
            raise ConnectionFailedError(cut_off(self._base_url, exc)) from exc

    async def messages(
        self, path: str, headers: Mapping[str, str], deadline: float | None
    ) -> AsyncGenerator[bytes, None]:
        """See `HttpLink.messages`."""
        url = URL(self._base_url + path, encoded=True)
        try:
            async with asyncio.timeout(_remaining(deadline, _LONGEST_OPENING_SECONDS)):
                opening = self._opened().ws_connect(
                    url,
                    headers=headers,
                    heartbeat=_HEARTBEAT_SECONDS,
                    max_msg_size=_MOST_MESSAGE_BYTES,
                    proxy=self._proxy,
                    proxy_headers=self._proxy_headers,
                )
                socket = await opening
            async with socket:
                while True:
                    message = await socket.receive(_remaining(deadline, None))
                    if message.type is aiohttp.WSMsgType.TEXT:
                        yield message.data.encode()
                    elif message.type is not aiohttp.WSMsgType.BINARY:
                        return
        except (aiohttp.ClientError, TimeoutError, OSError) as exc:
            raise ConnectionFailedError(f"the WebSocket could not be used: {str(exc) or type(exc).__name__}") from exc

    async def chunks(
        self, path: str, headers: Mapping[str, str], quiet_seconds: float
    ) -> AsyncGenerator[bytes, None]:
        """See `HttpLink.chunks`."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_LONGEST_OPENING_SECONDS, sock_read=quiet_seconds)
        url = URL(self._base_url + path, encoded=True)
        try:
            async with self._opened().get(
                url,
                headers=headers,
                timeout=timeout,
                allow_redirects=False,
                proxy=self._proxy,
                proxy_headers=self._proxy_headers,
            ) as response:
                if response.status != 200:
                    raise StreamRefusedError(Answer(response.status, response.headers, await response.read()))
                async for chunk in response.content.iter_any():
                    yield chunk
        except (aiohttp.ClientError, TimeoutError, OSError) as exc:
            raise ConnectionFailedError(cut_off(self._base_url, exc)) from exc

    async def sleep(self, seconds: float) -> None:
        """See `HttpLink.sleep`."""
        await asyncio.sleep(seconds)

    async def close(self) -> None:
        """See `HttpLink.close`."""
        self._closed = True
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            if self._closed:
                raise closed_error()
            # Nothing here sets cookies; their jar would cost time in each request.
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=self._context or True), cookie_jar=aiohttp.DummyCookieJar()
            )
            if self._forgettable:
                weakref.finalize(self, _forget, self._session)
        return self._session


def _remaining(deadline: float | None, most: float | None) -> float | None:
    if deadline is None:
        return most
    remaining = max(0.001, deadline - time.monotonic())
    return remaining if most is None else min(most, remaining)


def _forget(session: aiohttp.ClientSession) -> None:
    """Close the connections of a client that was dropped without being closed, with no loop to wait in."""
    connector = session.connector
    if session.closed or connector is None:
        return
    session.detach()
    closing = connector.close()
    # Its first step closes the sockets; only the wait until that has been seen to needs the loop, which may be gone.
    with contextlib.suppress(StopIteration):
        closing.__await__().send(None)
    if inspect.iscoroutine(closing):
        closing.close()
