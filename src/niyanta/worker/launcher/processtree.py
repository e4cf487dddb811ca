"""Whose process is it, and what does it use: from ``/proc``, for machines without usable cgroups."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Set

__all__ = ["SLOT_VARIABLE", "Table", "memory_bytes"]

SLOT_VARIABLE = "NIYANTA_SLOT"
"""In the environment of every process of an attempt: which one."""

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Table:
    """All processes of the machine at one moment: their parents and sessions."""

    def __init__(self) -> None:
        self._rows: dict[int, tuple[int, int]] = {}
        for name in os.listdir("/proc"):
            if name.isdigit() and (row := _parent_and_session(int(name))):
                self._rows[int(name)] = row

    def members(self, slot: str, root: int, reaper: int) -> set[int]:
        """A slot's processes: its session, their descendants, and those orphans whose environment names it."""
        found = {
            pid
            for pid, (parent, session) in self._rows.items()
            if session == root or pid == root or (parent == reaper and _slot_of(pid) == slot)
        }
        grew = True
        while grew:
            more = {pid for pid, (parent, _) in self._rows.items() if parent in found and pid not in found}
            found |= more
            grew = bool(more)
        found.discard(reaper)
        return found

    def strays(self, reaper: int, roots: Set[int], slots: Set[str]) -> list[int]:
        """Orphans that nothing ties to a slot any more: another session, and an environment without a slot."""
        return [
            pid
            for pid, (parent, session) in self._rows.items()
            if parent == reaper and pid not in roots and session not in roots and _slot_of(pid) not in slots
        ]


def memory_bytes(pids: Iterable[int], limit_bytes: float) -> int:
    """What processes use together. Shared pages are told apart only where it matters: that is slow to ask for."""
    pids = list(pids)
    resident = sum(_resident_bytes(pid) for pid in pids)
    if resident <= limit_bytes:
        return resident
    return sum(_proportional_bytes(pid) for pid in pids)


def _parent_and_session(pid: int) -> tuple[int, int] | None:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    return (int(fields[1]), int(fields[3])) if fields[0] not in (b"Z", b"X") else None


def _slot_of(pid: int) -> str | None:
    with contextlib.suppress(OSError), open(f"/proc/{pid}/environ", "rb") as file:
        for entry in file.read().split(b"\0"):
            name, _, value = entry.partition(b"=")
            if name == SLOT_VARIABLE.encode():
                return value.decode(errors="replace")
    return None


def _resident_bytes(pid: int) -> int:
    with contextlib.suppress(OSError, IndexError), open(f"/proc/{pid}/statm", "rb") as file:
        return int(file.read().split()[1]) * _PAGE_BYTES
    return 0


def _proportional_bytes(pid: int) -> int:
    with contextlib.suppress(OSError), open(f"/proc/{pid}/smaps_rollup", "rb") as file:
        for line in file:
            if line.startswith(b"Pss:"):
                return int(line.split()[1]) << 10
    return _resident_bytes(pid)
