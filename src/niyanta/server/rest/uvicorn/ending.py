"""How a connection ends on which the client still sends.

When a socket is closed with bytes in it that nobody has read, the kernel answers with a reset, and a reset makes the
client's kernel throw away what has arrived there and hasn't been read: the answer that says what was wrong (RFC 9112,
section 9.6). So only the writing half is closed first. What comes then is thrown away, for a moment and up to a
bound, until the client closes its half. TLS has no halves: there the answer itself says that it is the last.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from niyanta.domain.limits import MAX_LINGER_BYTES, MAX_LINGER_SECONDS

__all__ = ["EndingTransport"]


class EndingTransport(asyncio.Transport):
    """A connection's transport, as far as uvicorn uses it, whose `close` lets the client read its answer.

    Args:
        inner: The connection.
        sends_on: Whether bytes of a request are still to come.
        on_lingering: Called when only the writing half has been closed: what comes from then on is for `discard`.
    """

    __slots__ = ("_clock", "_discarded_bytes", "_inner", "_on_lingering", "_sends_on", "write")

    def __init__(
        self, inner: asyncio.Transport, sends_on: Callable[[], bool], on_lingering: Callable[[], None]
    ) -> None:
        super().__init__()
        self.write = inner.write  # type: ignore[method-assign]  # each answer goes through here
        self._inner = inner
        self._sends_on = sends_on
        self._on_lingering = on_lingering
        self._clock: asyncio.TimerHandle | None = None
        self._discarded_bytes = 0

    @property
    def inner(self) -> asyncio.Transport:
        """The connection itself."""
        return self._inner

    @property
    def is_lingering(self) -> bool:
        """Whether only the client's half is open."""
        return self._clock is not None

    def close(self) -> None:
        """End the connection once what was written has gone; idempotent."""
        if self.is_lingering:
            return
        if self._inner.is_closing() or not self._sends_on():
            self._inner.close()
            return
        self._clock = asyncio.get_running_loop().call_later(MAX_LINGER_SECONDS, self._inner.close)
        if self._inner.can_write_eof():
            self._inner.write_eof()
        self.write = _ignore  # type: ignore[method-assign]
        self._on_lingering()

    def discard(self, data: bytes) -> None:
        """Take bytes that nobody will read."""
        self._discarded_bytes += len(data)
        if self._discarded_bytes > MAX_LINGER_BYTES:
            self._inner.close()

    def lost(self) -> None:
        """The connection has ended."""
        if self._clock is not None:
            self._clock.cancel()

    def abort(self) -> None:
        self._inner.abort()

    def is_closing(self) -> bool:
        return self.is_lingering or self._inner.is_closing()

    def get_extra_info(self, name: str, default: object = None) -> object:
        return self._inner.get_extra_info(name, default)


def _ignore(data: bytes | bytearray | memoryview) -> None:
    """Nothing more is answered."""
