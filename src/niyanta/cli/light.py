"""Starts that leave out what they don't need: a worker that was killed is to be back soon, and to be small."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Mapping, Sequence

__all__ = ["left_out", "lightly", "speaks_websocket"]


@contextlib.contextmanager
def left_out(*packages: str) -> Iterator[None]:
    """Import what can do without packages as if they weren't installed; afterwards they can be imported as ever."""
    missing = [package for package in packages if package not in sys.modules]
    sys.modules |= dict.fromkeys(missing)  # type: ignore[arg-type]  # which is how the language has it
    try:
        yield
    finally:
        for package in missing:
            del sys.modules[package]


def lightly() -> contextlib.AbstractContextManager[None]:
    """Import without what only colours need, nor what the broker's client has for WebSockets unless it needs that.

    That client takes two fifths less time to import without.
    """
    return left_out("rich") if speaks_websocket() else left_out("rich", "aiohttp")


def speaks_websocket(argv: Sequence[str] = sys.argv, environment: Mapping[str, str] = os.environ) -> bool:
    """Whether the broker may be spoken to over a WebSocket, for which its client needs aiohttp."""
    said = (*argv, environment.get("NIYANTA_NATS_URL", ""))
    return any(scheme in each for each in said for scheme in ("ws://", "wss://"))
