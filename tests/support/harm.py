"""Ways in which files are harmed on their way, each the same every time."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping

__all__ = ["HARM"]


def _flipped(data: bytes, count: int, within: int) -> bytes:
    found, chosen = bytearray(data), random.Random(len(data))
    for _ in range(count):
        found[chosen.randrange(min(within, len(found)))] ^= 1 << chosen.randrange(8)
    return bytes(found)


def _middle(data: bytes, instead: bytes) -> bytes:
    third = len(data) // 3
    return data[:third] + instead * third + data[2 * third :]


HARM: Mapping[str, Callable[[bytes], bytes]] = {
    "half": lambda data: data[: len(data) // 2],
    "less-1": lambda data: data[:-1],
    "less-10": lambda data: data[:-10],
    "zeros": lambda data: _middle(data, b"\0"),
    "ones": lambda data: _middle(data, b"\xff"),
    "hole": lambda data: _middle(data, b""),
    "twice": lambda data: data + data,
    "backwards": lambda data: data[:20] + data[:19:-1],
    "bits": lambda data: _flipped(data, max(1, len(data) // 50), len(data)),
    "head": lambda data: _flipped(data, 4, 64),
    "dos": lambda data: data.replace(b"\n", b"\r\n"),
    "latin": lambda data: data.decode("latin-1").encode(),
    "behind": lambda data: b"HTTP/1.1 200 OK\r\n\r\n" + data,
}
