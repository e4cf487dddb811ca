"""One of several processes that are replicas on one machine, and serve the same ports."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

__all__ = ["Member"]

_VARIABLE = "NIYANTA_MEMBER"


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """What a process knows of those beside it; told by the parent that has started all of them."""

    number: int
    """From 1."""
    of: int
    folder: str
    """Of the parent's own: where they find each other."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Member | None:
        """None for a process that is alone."""
        said = environment.get(_VARIABLE)
        return msgspec.json.decode(said, type=cls) if said else None

    def environment(self) -> dict[str, str]:
        """What says it to the process."""
        return {_VARIABLE: msgspec.json.encode(self).decode()}

    @property
    def parent_socket(self) -> Path:
        """Where the parent hears that a process has started."""
        return Path(self.folder) / "parent"

    def metrics_socket(self, number: int) -> Path:
        """Where a process tells its metrics."""
        return Path(self.folder) / f"metrics-{number}"
