"""Niyanta: long jobs for many customers on one pool of machines, none of them lost.

The names below are the public API. They load on first use, so that importing the client doesn't load
the worker, nor the other way round.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from niyanta import errors
from niyanta.errors import *  # noqa: F403 -- the exception tree is public as a whole
from niyanta.version import __version__

if TYPE_CHECKING:
    from niyanta.client import AsyncClient as AsyncClient
    from niyanta.client import Client as Client
    from niyanta.client.status import Status as Status
    from niyanta.worker import Context as Context
    from niyanta.worker import SyncContext as SyncContext
    from niyanta.worker import Worker as Worker

_LAZY = {
    "AsyncClient": "niyanta.client",
    "Client": "niyanta.client",
    "Context": "niyanta.worker",
    "Status": "niyanta.client.status",
    "SyncContext": "niyanta.worker",
    "Worker": "niyanta.worker",
}

__all__ = ["AsyncClient", "Client", "Context", "Status", "SyncContext", "Worker", "__version__", *errors.__all__]


def __getattr__(name: str) -> object:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
