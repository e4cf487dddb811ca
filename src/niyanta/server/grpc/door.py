"""The listening socket, shut for a while to sources that flood: the kernel drops their attempts to connect.

Cutting their connections doesn't end a flood: whoever is cut comes back, and leaves as many dead calls in the queue
each time (ADR 0035). No call of grpc keeps a connection out, so a small program of the kernel's packet filter is put
on its listening socket (``SO_ATTACH_FILTER``, which takes no rights). It drops only SYN, the packet that asks for a
new connection: those that are there go on, and a caller whose SYN was dropped sends it again after a second.
"""

from __future__ import annotations

import asyncio
import ctypes
import ipaddress
import logging
import socket
import struct
from collections.abc import Iterable

from niyanta.server.grpc.peers import each_socket

__all__ = ["Door", "dropping"]

log = logging.getLogger(__name__)

_SHUT_SECONDS = 2.0
_OPEN_SECONDS = 1.0
"""At least so long it is open in between: who sends SYN every second is let in within three, whoever else floods."""
_MOST_SOURCES = 64

# asm/socket.h, linux/filter.h
_SO_ATTACH_FILTER, _SO_DETACH_FILTER = 26, 27
_LOAD_WORD, _LOAD_BYTE, _AND, _SHIFT_RIGHT = 0x20, 0x30, 0x54, 0x74
_JUMP, _JUMP_IF_EQUAL, _RETURN = 0x05, 0x15, 0x06
_IP_HEADER = 0xFFF00000
"""SKF_NET_OFF: places from here on are in the header of IP, others in that of TCP."""
_TCP_FLAGS, _SYN, _SYN_ACK = 13, 0x02, 0x12
_FROM_4, _FROM_6 = 12, 8
_KEEP, _DROP = 0xFFFFFFFF, 0


class Door:
    """The door of one port.

    Args:
        port: Its listening sockets are found among the process's open files.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._shut: dict[str, asyncio.TimerHandle] = {}
        """Sources that it is shut to, each with the timer that opens it."""
        self._ajar: dict[str, asyncio.TimerHandle] = {}
        """Sources that it has just been opened to."""

    def shut(self, source: str) -> bool:
        """Let no new connection of a source in for a while.

        Args:
            source: An address; of IPv6 that of a /64 network.

        Returns:
            Whether it is shut from now on; not so when it is already, or has only just been opened again.
        """
        if source in self._shut or source in self._ajar or len(self._shut) >= _MOST_SOURCES:
            return False
        self._shut[source] = asyncio.get_running_loop().call_later(_SHUT_SECONDS, self._open, source)
        return self._apply()

    def close(self) -> None:
        """Forget all. Idempotent."""
        for timer in (*self._shut.values(), *self._ajar.values()):
            timer.cancel()
        self._shut.clear()
        self._ajar.clear()

    def _open(self, source: str) -> None:
        del self._shut[source]
        self._ajar[source] = asyncio.get_running_loop().call_later(_OPEN_SECONDS, self._ajar.pop, source)
        self._apply()

    def _apply(self) -> bool:
        """Whether the kernel took it for any of the sockets."""
        program = dropping(self._shut)
        buffer = ctypes.create_string_buffer(program, len(program))
        whole = struct.pack("HP", len(program) // 8, ctypes.addressof(buffer))
        done = False
        for found in each_socket(self._port, listening=True):
            try:
                if self._shut:
                    found.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, whole)
                else:
                    found.setsockopt(socket.SOL_SOCKET, _SO_DETACH_FILTER, 0)
                done = True
            except OSError as error:
                log.warning("grpc.door_unmoved", extra={"error": str(error)})
        return done


def dropping(sources: Iterable[str]) -> bytes:
    """The program that drops SYN of some sources, as the kernel reads it: eight bytes for each instruction."""
    four, six = [_load(_LOAD_WORD, _IP_HEADER + _FROM_4)], []
    for source in sources:
        raw = ipaddress.ip_address(source).packed
        if len(raw) == 4:
            four += [_if_equal(int.from_bytes(raw), 0, 1), _return(_DROP)]
            continue
        begin_of, rest_of = int.from_bytes(raw[:4]), int.from_bytes(raw[4:8])
        six += [_load(_LOAD_WORD, _IP_HEADER + _FROM_6), _if_equal(begin_of, 0, 3)]
        six += [_load(_LOAD_WORD, _IP_HEADER + _FROM_6 + 4), _if_equal(rest_of, 0, 1), _return(_DROP)]
    four.append(_return(_KEEP))
    six.append(_return(_KEEP))
    begin = [
        _load(_LOAD_BYTE, _TCP_FLAGS),
        _load(_AND, _SYN_ACK),
        _if_equal(_SYN, 1, 0),
        _return(_KEEP),
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
