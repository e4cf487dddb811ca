"""What a worker may be, and how it runs a handler."""

from __future__ import annotations

from enum import StrEnum

__all__ = [
    "DrainMode",
    "Isolation",
    "OrderKind",
    "RegisterRefusal",
    "Wall",
    "WorkerEnd",
    "WorkerStatus",
    "beat_answer_seconds",
]

_LEAST_ANSWER_SECONDS = 0.5
_ANSWER_SHARE = 0.1


def beat_answer_seconds(lease_seconds: float) -> float:
    """For how long a worker waits for the answer to a beat.

    Many beats fit into a lease then: who took one may be frozen, and the next is likely to reach another.
    """
    return max(_LEAST_ANSWER_SECONDS, lease_seconds * _ANSWER_SHARE)


class Isolation(StrEnum):
    """Where a handler runs."""

    PROCESS = "process"
    """In a process of its own for each attempt, which can be limited and ended."""
    INLINE = "inline"
    """In the agent itself, on its event loop."""


class Wall(StrEnum):
    """What keeps an attempt's process in. Which of them hold depends on the worker's machine."""

    PRIVILEGES = "privileges"
    """It has no capabilities, and no program that it starts gets more rights."""
    CALLS = "system calls"
    """Those are refused by which it could get out."""
    FILES = "files"
    """It opens only what it needs, and writes only to its own folder."""
    PROCESSES = "processes"
    """It sees nothing of other processes' memory, environment and descriptors."""
    SIGHT = "sight"
    """It doesn't even see that there are other processes, nor their names and command lines."""
    SOCKETS = "sockets"
    """It speaks to no other program by a socket with a name: a session's bus, a terminal's server, a database."""
    SIGNALS = "signals"
    """It signals only its own."""
    PORTS = "ports"
    """It can't connect to the broker and the database."""
    VIEW = "view"
    """A type that asks for it has its own temporary and shared memory's files, and objects of System V."""
    NETWORK = "network"
    """A type that asks for it has none."""
    MEMORY_LIMIT = "memory limit"
    """Kept by the kernel."""
    PROCESS_LIMIT = "process limit"
    """Kept by the kernel."""
    CPU_LIMIT = "cpu limit"
    """Kept by the kernel."""
    USER = "user"
    """It has a user id that no other process has; where the operator gives ids."""


class WorkerStatus(StrEnum):
    """What the service holds of a worker."""

    HEALTHY = "HEALTHY"
    DRAINING = "DRAINING"
    """It gets nothing new."""
    DEAD = "DEAD"
    """Lost, removed or stopped; its incarnation won't come back."""


class WorkerEnd(StrEnum):
    """Why a worker is dead."""

    LOST = "lost"
    """Its lease ran out."""
    REMOVED = "removed"
    """By an operator."""
    STOPPED = "stopped"
    """It said so itself, and has handed everything back."""


class OrderKind(StrEnum):
    """A standing order for a worker's id."""

    DRAIN = "drain"
    REMOVE = "remove"


class DrainMode(StrEnum):
    """What becomes of what a worker runs that is drained."""

    FINISH = "finish"
    """It runs to its end there."""
    MOVE = "move"
    """It goes on elsewhere, from its next checkpoint; what can't, finishes."""


class RegisterRefusal(StrEnum):
    """Why a worker isn't registered."""

    IN_USE = "in_use"
    """Another incarnation has the id: try again when its lease may be over."""
    INVALID = "invalid"
    """The registration itself is wrong. Final."""
    REMOVED = "removed"
    """An operator doesn't want this id. Final."""
    AWAY = "away"
    """No answer came; the worker says so to itself."""

    @property
    def is_final(self) -> bool:
        """Whether trying again can't help."""
        return self in (RegisterRefusal.INVALID, RegisterRefusal.REMOVED)
