"""Starts that leave out what they don't need: a worker that was killed is to be back soon."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Mapping, Sequence

__all__ = ["left_out", "speaks_websocket"]


@contextlib.contextmanager
def left_out(package: str) -> Iterator[None]:
    """Import what can do without a package as if that weren't installed; afterwards it can be imported as ever."""
    if package in sys.modules:
        yield
        return
    sys.modules[package] = None  # type: ignore[assignment]  # which is how the language has it
    try:
        yield
    finally:
        del sys.modules[package]


def speaks_websocket(argv: Sequence[str] = sys.argv, environment: Mapping[str, str] = os.environ) -> bool:
    """Whether the broker may be spoken to over a WebSocket, for which its client needs aiohttp."""
    said = (*argv, environment.get("NIYANTA_NATS_URL", ""))
    return any(scheme in each for each in said for scheme in ("ws://", "wss://"))
