"""Names of the broker's subjects.

No customer's text ever becomes part of a subject; worker ids are checked against `WORKER_ID_PATTERN`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["WORKER_ID_PATTERN", "Subjects"]

WORKER_ID_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")
"""A worker id, to be used with ``fullmatch``: ASCII letters, digits, ``_`` and ``-``, at most 63."""


@dataclass(frozen=True)
class Subjects:
    """All subjects under one prefix, so that several systems (or tests) can share a broker."""

    prefix: str = "niyanta.v1"
    queue_group: str = "coordinators"

    @property
    def register(self) -> str:
        """Request: `Register` -> `RegisterReply`."""
        return f"{self.prefix}.w.register"

    @property
    def heartbeat(self) -> str:
        """Request: `Heartbeat` -> `HeartbeatReply`."""
        return f"{self.prefix}.w.heartbeat"

    @property
    def events(self) -> str:
        """Request: `EventBatch` -> `BatchReply`."""
        return f"{self.prefix}.w.events"

    @property
    def checkpoint(self) -> str:
        """Request: `CheckpointRequest` -> `CheckpointReply`."""
        return f"{self.prefix}.w.checkpoint"

    def worker(self, worker_id: str) -> str:
        """Publish: any `Command`, to one worker."""
        if not WORKER_ID_PATTERN.fullmatch(worker_id):
            raise ValueError(f"not a worker id: {worker_id!r}")
        return f"{self.prefix}.worker.{worker_id}"

    @property
    def changed(self) -> str:
        """Publish: `Changed`, from coordinators to coordinators."""
        return f"{self.prefix}.changed"
