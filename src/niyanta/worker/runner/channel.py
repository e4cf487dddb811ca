"""What an agent and the process of one workload say to each other: MessagePack in length-prefixed frames."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import TypeAlias

import msgspec

from niyanta.wire.messages import Assignment, LogLine, Progressed
from niyanta.worker.box.box import TEMPORARY, WORK
from niyanta.worker.handlers.link import Ask

__all__ = [
    "CHECKPOINT",
    "SAVING_PREFIX",
    "TEMPORARY",
    "WORK",
    "Cancelled",
    "Clean",
    "Done",
    "Dropped",
    "Due",
    "Ended",
    "FrameSplitter",
    "FromRunner",
    "HandlerStarted",
    "Misfit",
    "Problem",
    "Ready",
    "Report",
    "Run",
    "Save",
    "Saved",
    "ToRunner",
    "decode_from_runner",
    "decode_to_runner",
    "encode",
    "read_frame",
    "receive_frame",
    "saving_name",
]

_MOST_FRAME_BYTES = 64 << 20
CHECKPOINT = f"{TEMPORARY}/niyanta-checkpoint"
SAVING_PREFIX = "niyanta-saving-"


def saving_name(number: int) -> str:
    """The file in the attempt's directory that holds a checkpoint too large to send, on its way out."""
    return f"{TEMPORARY}/{SAVING_PREFIX}{number}"


class Run(msgspec.Struct, tag="run"):
    """Run this workload."""

    assignment: Assignment
    encoding: str | None
    """Of the checkpoint to start from, which is in the file ``CHECKPOINT``; None when there is none."""
    directory: str
    """The attempt's own: the scratch directory is in it, and files for what is too large to send."""
    waiting: Ask | None
    most_checkpoint_bytes: int
    word: str
    """In the marks that it writes into its standard output (`niyanta.worker.runner.marks`)."""
    work: str = WORK
    """The scratch directory, in the attempt's own."""
    keep: bool = False
    """Whether the process may serve another attempt of the same customer and type after this one."""


class Saved(msgspec.Struct, tag="saved"):
    """What became of the `Save` with a number. ``ended``: the attempt is over, a pause or a drain waited for it."""

    number: int
    sequence: int
    error: str | None
    ended: bool


class Due(msgspec.Struct, tag="due"):
    """A ``pause`` or a ``drain`` waits for a checkpoint; None: not any more."""

    reason: Ask | None


class Cancelled(msgspec.Struct, tag="cancelled"):
    """The workload is cancelled; SIGTERM follows."""


ToRunner: TypeAlias = Run | Saved | Due | Cancelled


class Ready(msgspec.Struct, tag="ready"):
    """The app is imported."""


class HandlerStarted(msgspec.Struct, tag="started"):
    """The handler is about to run."""


class Report(msgspec.Struct, tag="report"):
    """Something for the workload's log or progress."""

    body: LogLine | Progressed
    number: int
    """Of the mark in standard output at which it belongs; 0 when it has no place there."""


class Dropped(msgspec.Struct, tag="dropped"):
    """So many log lines were not sent: too many at once."""

    lines: int


class Save(msgspec.Struct, tag="save"):
    """Keep a checkpoint. Numbered within the process, for the answer."""

    data: bytes | None
    """None when the state lies in the file `saving_name` of ``number``."""
    encoding: str
    number: int


class Done(msgspec.Struct, tag="done"):
    """The handler has returned; the result is a JSON value as UTF-8."""

    result_json: bytes


class Clean(msgspec.Struct, tag="clean"):
    """After `Done`: the attempt has left nothing behind, as far as the process can see, and the next may come."""


class Problem(msgspec.Struct, tag="problem"):
    """The handler raised, or its result can't be kept."""

    message: str
    permanent: bool
    traceback: str = ""


class Misfit(msgspec.Struct, tag="misfit"):
    """The input doesn't fit the handler's parameters. ``hopeless``: only its own checks tell, not the JSON Schema."""

    message: str
    hopeless: bool


class Ended(msgspec.Struct, tag="ended"):
    """The attempt ended after a checkpoint, for a pause or a drain."""


FromRunner: TypeAlias = Ready | HandlerStarted | Report | Dropped | Save | Done | Clean | Problem | Misfit | Ended

decode_to_runner = msgspec.msgpack.Decoder(ToRunner).decode
decode_from_runner = msgspec.msgpack.Decoder(FromRunner).decode
_encoder = msgspec.msgpack.Encoder()
_length = struct.Struct("!I")


def encode(message: ToRunner | FromRunner) -> bytes:
    """One frame."""
    payload = _encoder.encode(message)
    return _length.pack(len(payload)) + payload


async def read_frame(reader: asyncio.StreamReader) -> bytes | None:
    """The next frame's payload; None at the end.

    Raises:
        ValueError: It claims to be larger than any frame is.
    """
    try:
        size = _length.unpack(await reader.readexactly(4))[0]
        if size > _MOST_FRAME_BYTES:
            raise ValueError(f"a message of {size} bytes")
        return await reader.readexactly(size)
    except (asyncio.IncompleteReadError, ConnectionError):
        return None


class FrameSplitter:
    """Makes frames of what comes in, however it is divided."""

    def __init__(self) -> None:
        self._taken = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Take bytes; gives the payloads of the frames that are whole now."""
        self._taken += data
        frames, at = [], 0
        while len(self._taken) >= at + _length.size:
            begin = at + _length.size
            end = begin + _length.unpack_from(self._taken, at)[0]
            if len(self._taken) < end:
                break
            frames.append(bytes(self._taken[begin:end]))
            at = end
        del self._taken[:at]
        return frames


def receive_frame(control: socket.socket) -> bytes | None:
    """The same, blocking."""

    def exactly(count: int) -> bytes | None:
        parts = bytearray()
        while len(parts) < count:
            try:
                part = control.recv(min(1 << 20, count - len(parts)))
            except OSError:
                return None
            if not part:
                return None
            parts += part
        return bytes(parts)

    head = exactly(4)
    return exactly(_length.unpack(head)[0]) if head is not None else None
