"""How answers leave a connection, and how it ends while the client still sends.

Uvicorn hands an answer's head and its body over one after the other, and each would be a system call, a packet and a
waking of the client. An answer that is whole is gathered, and written once.

When a socket is closed with bytes in it that nobody has read, the kernel answers with a reset, and a reset makes the
client's kernel throw away what has arrived there and hasn't been read: the answer that says what was wrong (RFC 9112,
section 9.6). So only the writing half is closed first. What comes then is thrown away, for a moment and up to a
bound, until the client closes its half. TLS has no halves: there the answer itself says that it is the last.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from niyanta.domain.limits import MAX_LINGER_BYTES, MAX_LINGER_SECONDS

__all__ = ["TOGETHER", "EndingTransport"]

TOGETHER = "niyanta.together"
"""Key of a scope under which stands the `EndingTransport`, as what to send a whole answer within."""


class EndingTransport(asyncio.Transport):
    """A connection's transport, as far as uvicorn uses it, whose `close` lets the client read its answer.

    Args:
        inner: The connection.
        sends_on: Whether bytes of a request are still to come.
        on_lingering: Called when only the writing half has been closed: what comes from then on is for `discard`.
    """

    __slots__ = ("_clock", "_discarded_bytes", "_gathered", "_inner", "_on_lingering", "_sends_on", "write")

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
        self._gathered: list[bytes] = []
        """Of an answer that isn't whole yet."""

    def __enter__(self) -> None:
        """What is written from here on goes out at the end of the block, or with the end of the connection."""
        self.write = self._gathered.append  # type: ignore[assignment,method-assign]  # each answer goes through here

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if not self.is_lingering:
            self.write = self._inner.write  # type: ignore[method-assign]
        self._flush()

    def _flush(self) -> None:
        if self._gathered:
            self._inner.writelines(self._gathered)
            self._gathered.clear()

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
        self._flush()
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
