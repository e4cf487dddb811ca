"""Which of a port's two servers takes a new connection: sources that flood have a queue of their own.

Cutting a flood's connections doesn't end it: whoever is cut comes back, and leaves as many dead calls in grpc's one
queue each time. So a second server listens on the same port (``SO_REUSEPORT``), and a small program of the kernel's
packet filter, which takes no rights, chooses by the source's address (``SO_ATTACH_REUSEPORT_CBPF``): the second
server for sources that were told of lately, the first for all others. Both serve alike, so nobody is kept out, and
where there is no such program all share one queue, as they did before (ADR 0035).
"""

from __future__ import annotations

import asyncio
import ctypes
import ipaddress
import logging
import socket
import struct
import time
from collections.abc import Iterable

from niyanta.server.grpc.peers import each_listener

__all__ = ["Steering", "choosing"]

log = logging.getLogger(__name__)

_ASIDE_SECONDS = 60.0
_MOST_SOURCES = 256
"""At eight bytes an instruction, five for each at most, of the 4,096 that the kernel takes."""

# asm/socket.h, linux/filter.h
_SO_ATTACH_REUSEPORT_CBPF = 51
_LOAD_WORD, _LOAD_BYTE, _SHIFT_RIGHT = 0x20, 0x30, 0x74
_JUMP, _JUMP_IF_EQUAL, _RETURN = 0x05, 0x15, 0x06
_IP_HEADER = 0xFFF00000
"""SKF_NET_OFF: places from here on are in the header of IP."""
_FROM_4, _FROM_6 = 12, 8
_FIRST, _SECOND = 0, 1
"""The servers, in the order in which they began to listen."""


class Steering:
    """Chooses for one port.

    Args:
        port: Its listening sockets are found among the process's open files.
        aside_seconds: How long the second server takes a source's new connections, since it was last told of.
    """

    def __init__(self, port: int, aside_seconds: float = _ASIDE_SECONDS) -> None:
        self._port = port
        self._aside_seconds = aside_seconds
        self._aside: dict[str, float] = {}
        """Sources whose new connections the second server takes, each until a moment of the monotonic clock."""
        self._timer: asyncio.TimerHandle | None = None
        self._is_on = False

    def share(self, is_shared: bool = True) -> bool:
        """Let a second server listen on the port, too; or let it no longer.

        The first has bound it alone, so that a port in use is found out.

        Returns:
            Whether it may.
        """
        shared = False
        for found in each_listener(self._port):
            try:
                found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, is_shared)
                shared = True
            except OSError as error:
                log.warning("grpc.no_second_queue", extra={"error": str(error)})
        return shared

    def begin(self) -> None:
        """Have the first server take all connections, now that the second one listens."""
        self._is_on = self._apply()

    def send_aside(self, source: str) -> bool:
        """Have the second server take a source's new connections for a while.

        Args:
            source: An address; of IPv6 that of a /64 network.

        Returns:
            Whether it is so only from now on.
        """
        is_new = source not in self._aside
        if not self._is_on or (is_new and len(self._aside) >= _MOST_SOURCES):
            return False
        self._aside[source] = time.monotonic() + self._aside_seconds
        if not is_new:
            return False
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._aside_seconds, self._forget)
        return self._apply()

    def close(self) -> None:
        """Forget all. Idempotent."""
        if self._timer is not None:
            self._timer.cancel()
        self._aside.clear()

    def _forget(self) -> None:
        now = time.monotonic()
        self._aside = {source: until for source, until in self._aside.items() if until > now}
        self._apply()
        self._timer = None
        if self._aside:
            wait = min(self._aside.values()) - now
            self._timer = asyncio.get_running_loop().call_later(wait, self._forget)

    def _apply(self) -> bool:
        """Whether the kernel took it for all of the sockets."""
        program = choosing(self._aside)
        buffer = ctypes.create_string_buffer(program, len(program))
        whole = struct.pack("HP", len(program) // 8, ctypes.addressof(buffer))
        try:
            for found in each_listener(self._port):
                found.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_REUSEPORT_CBPF, whole)
        except OSError as error:
            log.warning("grpc.no_second_queue", extra={"error": str(error)})
            return False
        return True


def choosing(aside: Iterable[str]) -> bytes:
    """The program that chooses, as the kernel reads it: eight bytes for each instruction."""
    four, six = [_load(_LOAD_WORD, _IP_HEADER + _FROM_4)], []
    for source in aside:
        raw = ipaddress.ip_address(source).packed
        if len(raw) == 4:
            four += [_if_equal(int.from_bytes(raw), 0, 1), _return(_SECOND)]
            continue
        begin_of, rest_of = int.from_bytes(raw[:4]), int.from_bytes(raw[4:8])
        six += [_load(_LOAD_WORD, _IP_HEADER + _FROM_6), _if_equal(begin_of, 0, 3)]
        six += [_load(_LOAD_WORD, _IP_HEADER + _FROM_6 + 4), _if_equal(rest_of, 0, 1), _return(_SECOND)]
    four.append(_return(_FIRST))
    six.append(_return(_FIRST))
    begin = [
        _load(_LOAD_BYTE, _IP_HEADER),
        _load(_SHIFT_RIGHT, 4),
        _if_equal(4, 1, 0),
        _load(_JUMP, len(four)),
    ]
    return b"".join([*begin, *four, *six])


def _load(code: int, value: int) -> bytes:
    return struct.pack("HBBI", code, 0, 0, value)


def _if_equal(value: int, then: int, otherwise: int) -> bytes:
    """Skip as many instructions."""
    return struct.pack("HBBI", _JUMP_IF_EQUAL, then, otherwise, value)


def _return(value: int) -> bytes:
    return struct.pack("HBBI", _RETURN, 0, 0, value)
