"""What is sent: good messages that were damaged, JSON that hardly is any, and the words on which decoders stumble."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from random import Random
from typing import TypeVar

__all__ = ["Material", "both", "damaged", "damaged_text", "json_documents", "one_of", "several", "texts"]

T = TypeVar("T")
U = TypeVar("U")
Material = Callable[[Random], T]
"""Makes an example from chance."""

_WORDS = [
    b"",
    b"\0",
    b"\xff",
    b"\xed\xa0\x80",  # half of a surrogate pair
    b"\xef\xbb\xbf",
    b"\\u0000",
    b"\\ud800",
    b"\r\n",
    b"\x1e",
    b"..",
    b"%00",
    b"%ff",
    b'"',
    b"{",
    b"}",
    b"[",
    b"]",
    b":",
    b",",
    b"null",
    b"true",
    b"NaN",
    b"-0",
    b"1e400",
    b"1e-400",
    b"0.1e1",
    b"9223372036854775808",
    b"-9223372036854775809",
    b"1" * 5000,
    b"A" * 10_000,
    b"\xc1",  # what MessagePack leaves unused
    b"\xdd\xff\xff\xff\xff",  # an array of four thousand millions
    b"\xdf\xff\xff\xff\xff",  # a map of as many
    b"\xc6\xff\xff\xff\xff",  # bytes of as many
    b"\xdb\xff\xff\xff\xff",  # text of as many
    b"\xcb\x7f\xf8\0\0\0\0\0\0",  # no number
    b"\xcf" + b"\xff" * 8,
    b"\xd3\x80" + b"\0" * 7,
    b"\xd6\xff\xff\xff\xff\xff",  # a time
    b"\xc7\x0c\xff" + b"\xff" * 12,  # one that is far away
    b"\xd4\x05\0",  # an extension that nobody knows
]
_DEPTHS = [30, 40, 100, 500, 1_000, 3_000, 20_000]
_NESTED = [(b"[", b"]"), (b'{"a":', b"}"), (b'[{"a":', b"}]"), (b"\x91", b""), (b"\x81\xa1a", b"")]
_MOST_EDITS = 6


def _deep(chance: Random) -> bytes:
    """Containers in each other, of JSON or MessagePack, closed or not."""
    depth, (opened, closed) = chance.choice(_DEPTHS), chance.choice(_NESTED)
    inner = chance.choice([b"", b"1", b"\x01", b"null"])
    return opened * depth + inner + (closed * depth if chance.random() < 0.5 else b"")


def damaged(*seeds: bytes) -> Material[bytes]:
    """One of some good messages after a few edits; now and then nothing but noise."""

    def make(chance: Random) -> bytes:
        data = chance.choice(seeds) if chance.random() < 0.95 else chance.randbytes(chance.randint(0, 64))
        for _ in range(chance.randint(0, _MOST_EDITS)):
            data = _edited(data, seeds, chance)
        return data

    return make


def _edited(data: bytes, seeds: Sequence[bytes], chance: Random) -> bytes:
    begin = chance.randint(0, len(data))
    end = min(len(data), begin + chance.randint(0, 12))
    head, part, tail = data[:begin], data[begin:end], data[end:]
    match chance.randint(0, 8):
        case 0:
            return head + chance.randbytes(len(part)) + tail
        case 1:
            return head + chance.choice(_WORDS) + data[begin:]
        case 2:
            return head + chance.choice(_WORDS) + tail
        case 3:
            return head + part * chance.randint(2, 300) + tail
        case 4:
            return head if chance.random() < 0.3 else head + tail
        case 5:
            return head + _deep(chance) + (tail if chance.random() < 0.7 else data[begin:])
        case 6:  # a piece of another
            other = chance.choice(seeds)
            at = chance.randint(0, len(other))
            return head + other[at : at + chance.randint(0, 40)] + tail
        case 7 if part:  # one bit
            return head + bytes([part[0] ^ (1 << chance.randint(0, 7))]) + data[begin + 1 :]
        case _:
            return head + chance.randbytes(chance.randint(0, 8)) + data[begin:]


def damaged_text(*seeds: str) -> Material[str]:
    """The same of text, with halves of surrogate pairs where the bytes aren't UTF-8."""
    make = damaged(*(text.encode() for text in seeds))
    return lambda chance: make(chance).decode("utf-8", "surrogateescape")


def texts(letters: str = "", most: int = 60) -> Material[str]:
    """Text of some letters, or of any characters."""

    def make(chance: Random) -> str:
        size = chance.randint(0, most)
        if letters:
            return "".join(chance.choices(letters, k=size))
        return "".join(chr(chance.choice([chance.randint(0, 255), chance.randint(0, 0x10FFFF)])) for _ in range(size))

    return make


def json_documents(*words: str) -> Material[bytes]:
    """JSON of any shape, with some words as keys and as values."""

    def value(chance: Random, depth: int) -> object:
        kind = chance.randint(0, 9 if depth < 5 else 6)
        match kind:
            case 0:
                return chance.choice([None, True, False])
            case 1:
                return chance.choice([0, 1, -1, 2**31, 2**63 - 1, -(2**63), 2**63, 10**30, chance.randint(-9, 99)])
            case 2:
                return chance.choice([0.0, -0.0, 0.1, 1e308, 5e-324, 1.5])
            case 3:
                return "".join(chr(chance.randint(0, 0xD7FF)) for _ in range(chance.randint(0, 6)))
            case 4 | 5 | 6:
                return chance.choice(words or ("a",))
            case 7:
                return [value(chance, depth + 1) for _ in range(chance.randint(0, 4))]
            case _:
                return {chance.choice(words or ("a",)): value(chance, depth + 1) for _ in range(chance.randint(0, 5))}

    return lambda chance: json.dumps({chance.choice(words or ("a",)): value(chance, 0) for _ in range(3)}).encode()


def one_of(*materials: Material[T]) -> Material[T]:
    """Of one or another."""
    return lambda chance: chance.choice(materials)(chance)


def both(first: Material[T], second: Material[U]) -> Material[tuple[T, U]]:
    """One of each."""
    return lambda chance: (first(chance), second(chance))


def several(material: Material[T], most: int = 4) -> Material[list[T]]:
    """Some, or none."""
    return lambda chance: [material(chance) for _ in range(chance.randint(0, most))]
