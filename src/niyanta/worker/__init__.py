"""The worker SDK: handlers in Python or in any language, run by an agent for the service."""

from niyanta.worker.app import Worker
from niyanta.worker.context import Context

__all__ = ["Context", "Worker"]
