"""The worker SDK: handlers in Python or in any language, run by an agent for the service."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from niyanta.worker.handlers.app import Worker as Worker
    from niyanta.worker.handlers.context import Context as Context

# Loaded on first use, so that the launcher, which lives in this package, loads the standard library only.
_LAZY = {"Context": "niyanta.worker.handlers.context", "Worker": "niyanta.worker.handlers.app"}

__all__ = ["Context", "Worker"]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
