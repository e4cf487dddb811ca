"""The worker SDK: handlers in Python or in any language, run by an agent for the service."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from niyanta.worker.handlers.context import Context as Context
    from niyanta.worker.handlers.context import SyncContext as SyncContext
    from niyanta.worker.worker import Worker as Worker

# Loaded on first use, so that the launcher, which lives in this package, loads the standard library only.
_LAZY = {
    "Context": "niyanta.worker.handlers.context",
    "SyncContext": "niyanta.worker.handlers.context",
    "Worker": "niyanta.worker.worker",
}

__all__ = ["Context", "SyncContext", "Worker"]


def __getattr__(name: str) -> Any:  # Any: whatever the module has
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
