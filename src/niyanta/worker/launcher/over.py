"""Why the launcher ended an attempt's processes by itself."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["Over"]


class Over(StrEnum):
    """What was over."""

    MEMORY = "memory"
    """Its limit of memory."""
    PROCESSES = "processes"
    """Its limit of processes and threads."""
    LEASE = "lease"
    """The agent's; it is frozen, or cut off from the service."""
    TEMPLATE = "template"
    """The process that it was to be forked from: it never began."""
