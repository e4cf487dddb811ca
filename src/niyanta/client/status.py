"""The states of a workload, as clients see them."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["Status"]


class Status(StrEnum):
    """Where a workload is in its life. Each is the text that the API uses: ``Status.RUNNING == "RUNNING"``.

    A state that a newer service has and this release doesn't know comes as a value of this type with its own text.
    """

    PENDING = "PENDING"
    """Waits for a worker."""
    SCHEDULED = "SCHEDULED"
    """A worker has it, and is about to start."""
    RUNNING = "RUNNING"
    """Its handler runs."""
    PAUSED = "PAUSED"
    """Stopped with a checkpoint, until it is resumed."""
    REDISTRIBUTING = "REDISTRIBUTING"
    """Taken from a worker, or to be tried again; waits for another."""
    COMPLETED = "COMPLETED"
    """Done; has its result."""
    FAILED = "FAILED"
    """Ended for good without one; says why."""
    CANCELLED = "CANCELLED"
    """Ended at the customer's wish."""

    @property
    def is_terminal(self) -> bool:
        """Whether nothing follows."""
        return self in (Status.COMPLETED, Status.FAILED, Status.CANCELLED)

    @classmethod
    def _missing_(cls, value: object) -> Status | None:
        if not isinstance(value, str):
            return None
        unknown = str.__new__(cls, value)
        unknown._name_ = unknown._value_ = value
        return unknown
