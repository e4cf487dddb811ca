"""Large messages in frames, as they are taken. How they travel is told in `niyanta.wire.broker`."""

from __future__ import annotations

import asyncio

from nats.aio.client import Client as NatsClient
from nats.aio.msg import Msg

from niyanta.wire.cancels import heeded

__all__ = [
    "FRAMES_HEADER",
    "FRAME_BYTES",
    "FRAME_TIMEOUT_SECONDS",
    "MAX_MESSAGE_BYTES",
    "NO_REPLY",
    "REPLY_HEADER",
    "BadFramesError",
    "frames_of",
    "take_frames",
]

MAX_MESSAGE_BYTES = 24 * 1024 * 1024
FRAME_TIMEOUT_SECONDS = 30.0
FRAME_BYTES = 512 * 1024
"""A message that isn't larger than this needs no frames."""
FRAMES_HEADER = "Niyanta-Frames"
REPLY_HEADER = "Niyanta-Reply"
NO_REPLY = "none"
_MOST_FRAMES = range(2, MAX_MESSAGE_BYTES // FRAME_BYTES + 1)
_MOST_DIGITS = 4


class BadFramesError(Exception):
    """No sender of ours frames so."""


def frames_of(msg: Msg) -> int:
    """How many frames the message has, of which this is the first; 0 for one without frames.

    Raises:
        BadFramesError: The number is none, or too large.
    """
    if not msg.headers or FRAMES_HEADER not in msg.headers:
        return 0
    said = msg.headers[FRAMES_HEADER]
    number = int(said) if said.isascii() and said.isdigit() and len(said) <= _MOST_DIGITS else 0
    if number not in _MOST_FRAMES or len(msg.data) > FRAME_BYTES or not msg.reply:
        raise BadFramesError(f"{said[:_MOST_DIGITS]} frames")
    return number


async def take_frames(nc: NatsClient, first: Msg, total: int, inbox: str) -> tuple[bytes, str]:
    """Take what follows the first frame; gives the whole message, and where its reply is awaited (empty: nowhere).

    Args:
        nc: The link.
        first: The first frame.
        total: How many there are.
        inbox: What reply subjects must begin with.

    Raises:
        BadFramesError: One of them is too large, or names nobody to ask for the next.
        TimeoutError: They didn't come in time.
        NatsError: The link is down.
    """
    private = nc.new_inbox()
    subscription = await nc.subscribe(private)
    try:
        frames = [first.data]
        msg = first
        async with asyncio.timeout(FRAME_TIMEOUT_SECONDS):
            while len(frames) < total:
                await nc.publish(msg.reply, b"", reply=private)
                with heeded():
                    msg = await subscription.next_msg(timeout=FRAME_TIMEOUT_SECONDS)
                if len(msg.data) > FRAME_BYTES or not msg.reply or not msg.reply.startswith(inbox):
                    raise BadFramesError("a frame is too large, or has no reply subject of its sender's")
                frames.append(msg.data)
        if (first.headers or {}).get(REPLY_HEADER) == NO_REPLY:
            # Nobody waits for what the handler makes of it, only for its arrival.
            await nc.publish(msg.reply, b"")
            return b"".join(frames), ""
        return b"".join(frames), msg.reply
    finally:
        if not nc.is_closed:
            await subscription.unsubscribe()
