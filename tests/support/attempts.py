"""Runs the bundled handlers as the service would, without the service."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from niyanta.examples import worker
from niyanta.testing import Killed, WorkloadRun

__all__ = ["Killed", "Service"]


class Service(WorkloadRun):
    """A run of a bundled handler, which leaves nothing in its scratch directory.

    Checkpoints are due as rarely as in production: these handlers save at their own boundaries, and a video's segment
    ends early when an offered one is taken.
    """

    def __init__(
        self, workload_type: str, params: dict[str, Any], scratch: Path, *config: Any, **options: Any
    ) -> None:
        super().__init__(worker, workload_type, params, scratch, *config, **{"interval_seconds": 300.0, **options})

    def run_in(self, work_dir: Path) -> Any:
        result = super().run_in(work_dir)
        assert list(work_dir.iterdir()) == []
        return result
