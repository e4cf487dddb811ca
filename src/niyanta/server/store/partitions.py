"""Which partitions of a table in slices of time can hold something of one workload."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec

from niyanta.server.store.stored_workload import StoredWorkload

__all__ = ["Lifetime"]

_EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
_LATEST = datetime(9999, 1, 1, tzinfo=UTC)


class Lifetime(msgspec.Struct, frozen=True):
    """When a workload was there."""

    created_at: datetime
    completed_at: datetime | None

    @classmethod
    def of(cls, workload: StoredWorkload) -> Lifetime:
        """Of a workload as it stands."""
        return cls(workload.created_at, workload.completed_at)

    def with_slack(self, slack: timedelta) -> tuple[datetime, datetime]:
        """The first and the last moment, with room for clocks that differ."""
        earliest = max(self.created_at, _EARLIEST) - slack
        return earliest, _LATEST if self.completed_at is None else self.completed_at + slack
