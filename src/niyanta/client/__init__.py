"""The client SDK: `Client` for threads, `AsyncClient` for asyncio, and the types of what they take and give.

The names load on first use: what a program without ``await`` never needs costs it nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from niyanta.client.asynchronous import AsyncClient as AsyncClient
    from niyanta.client.synchronous import Client as Client

_LAZY = {"AsyncClient": "niyanta.client.asynchronous", "Client": "niyanta.client.synchronous"}

__all__ = ["AsyncClient", "Client"]


def __getattr__(name: str) -> Any:  # Any: whatever the module has
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
