"""What holds on this machine of limits and walls, in words."""

from __future__ import annotations

from collections.abc import Collection

from niyanta.domain.workers import Wall

__all__ = ["limits_text", "walls_text"]


def limits_text(kernel: dict[str, int]) -> str:
    """Which limits are real on this machine, and what keeps them."""
    words = []
    for name, controller, otherwise in (
        ("memory", "memory", "measured four times a second"),
        ("processes", "pids", "counted four times a second"),
        ("cpu", "cpu", "not limited: no cgroup controller for it is writable"),
    ):
        version = kernel.get(controller)
        words.append(f"{name} {f'by the kernel (cgroup v{version})' if version else otherwise}")
    return ", ".join(words) + ", disk measured once a second"


def walls_text(walls: Collection[Wall]) -> str:
    """Which walls of the box are missing here; empty when none is.

    Limits have their own line, and user ids are the operator's choice.
    """
    if not set(walls) - {Wall.USER}:
        return "there are none: handlers run with the worker's own rights"
    apart = (Wall.MEMORY_LIMIT, Wall.PROCESS_LIMIT, Wall.CPU_LIMIT, Wall.USER)
    missing = [wall for wall in Wall if wall not in walls and wall not in apart]
    return f"missing on this machine: {', '.join(missing)}" if missing else ""
