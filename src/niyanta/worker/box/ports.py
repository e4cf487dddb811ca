"""Closing TCP ports to all that runs in a cgroup: a small program that the kernel asks at each connection.

Landlock knows only lists of ports that are open, and a list of all but two takes it longer than an attempt may last.
"""

from __future__ import annotations

import ctypes
import os
import socket
import struct
from collections.abc import Sequence

from niyanta.worker.box.kernel import syscall

__all__ = ["close_ports"]

# linux/bpf.h
_PROG_LOAD, _PROG_ATTACH = 5, 8
_CGROUP_SOCK_ADDR = 18
_CONNECT4, _CONNECT6 = 10, 11
_ALLOW_MULTI = 2
_USER_PORT = 24
"""Where struct bpf_sock_addr has it, in network byte order."""
_LOAD_WORD, _JUMP_EQUAL, _SET, _EXIT = 0x61, 0x15, 0xB7, 0x95
_RESULT, _CONTEXT, _PORT = 0, 1, 2
"""Registers."""


def close_ports(cgroup: str, ports: Sequence[int]) -> None:
    """Refuse connections to these ports, on any host, to whatever is or will be in a cgroup of version 2, or below.

    Raises:
        OSError: The kernel can't, or we may not.
    """
    fd = os.open(cgroup, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for kind in (_CONNECT4, _CONNECT6):
            program = _load(_program(ports), kind)
            try:
                syscall("bpf", _PROG_ATTACH, struct.pack("IIII", fd, program, kind, _ALLOW_MULTI), 16)
            finally:
                os.close(program)
    finally:
        os.close(fd)


def _program(ports: Sequence[int]) -> bytes:
    rows = [_row(_LOAD_WORD, _PORT, _CONTEXT, _USER_PORT, 0)]
    for number, port in enumerate(ports):
        rows.append(_row(_JUMP_EQUAL, _PORT, 0, len(ports) - number + 1, socket.htons(port)))
    rows += [_row(_SET, _RESULT, 0, 0, 1), _row(_EXIT, 0, 0, 0, 0)]
    rows += [_row(_SET, _RESULT, 0, 0, 0), _row(_EXIT, 0, 0, 0, 0)]
    return b"".join(rows)


def _row(code: int, target: int, source: int, offset: int, value: int) -> bytes:
    return struct.pack("BBhi", code, target | source << 4, offset, value)


def _load(program: bytes, kind: int) -> int:
    held = ctypes.create_string_buffer(program, len(program))
    licence = ctypes.create_string_buffer(b"Apache-2.0")
    words = struct.pack(
        "IIQQIIQII16sII",
        *(_CGROUP_SOCK_ADDR, len(program) // 8, ctypes.addressof(held), ctypes.addressof(licence)),
        *(0, 0, 0, 0, 0, b"niyanta_ports", 0, kind),
    )
    return syscall("bpf", _PROG_LOAD, words, len(words))
