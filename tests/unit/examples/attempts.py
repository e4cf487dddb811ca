"""Runs the examples' handlers as the service would, without the service: stopped, killed and carried on at will."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import msgspec

from niyanta.examples import worker
from niyanta.wire.messages import Assignment, AttemptRef, LogLine, Progressed
from niyanta.worker.context import MAX_CHECKPOINT_BYTES, AttemptEnded, Context, decode_state
from niyanta.worker.handlers import encode_result

__all__ = ["Killed", "Service"]


class Killed(BaseException):
    """The attempt's process is gone."""


class Service:
    """Keeps the last acknowledged checkpoint of one workload, and runs its attempts.

    Args:
        pause_at: Acknowledgements after which the attempt ends, as for a pause.
        kill_before: Saves that never arrive: the attempt dies with the work done and the checkpoint lost.
    """

    most_checkpoint_bytes = 10 << 20

    def __init__(
        self,
        workload_type: str,
        params: dict[str, Any],
        scratch: Path,
        config: dict[str, Any] | None = None,
        *,
        interval_seconds: float = 300.0,
    ) -> None:
        self.handler = worker.handlers[workload_type]
        self.params = params
        self.config = config or {}
        self.scratch = scratch
        self.interval_seconds = interval_seconds
        self.attempts = 0
        self.sequence = 0
        self.saved: Any = None
        self.percents: list[int] = []
        self.messages: list[str] = []
        self.log: list[tuple[int, str]] = []
        self.waiting: str | None = None
        self.cancelled = False
        self.most_checkpoint_bytes = MAX_CHECKPOINT_BYTES
        self.end_after: int | None = None
        self.die_instead_of: int | None = None

    def report(self, body: Any) -> None:
        if isinstance(body, Progressed):
            self.percents.append(body.percent)
            self.messages.append(body.message or "")
        elif isinstance(body, LogLine):
            self.log.append((self.attempts, body.message))

    def save(self, data: bytes, encoding: str) -> int:
        if self.sequence + 1 == self.die_instead_of:
            self.die_instead_of = None
            raise Killed
        self.sequence += 1
        self.saved = decode_state(data, encoding)
        if self.waiting is not None or self.sequence == self.end_after:
            raise AttemptEnded
        return self.sequence

    def attempt(self) -> dict[str, Any]:
        """Run one attempt to its end; gives the result as JSON has it."""
        self.attempts += 1
        work_dir = self.scratch / f"attempt-{self.attempts}"
        work_dir.mkdir(parents=True)
        ref = AttemptRef("cust_test", "wl_test", self.attempts)
        input_json = json.dumps(self.params).encode()
        assignment = Assignment(
            ref,
            self.handler.workload_type,
            input_json,
            json.dumps(self.config).encode(),
            checkpoint_interval_seconds=self.interval_seconds,
        )
        ctx = Context(assignment, self, self.saved, lambda: work_dir, sync=True)
        try:
            result: dict[str, Any] = msgspec.json.decode(encode_result(self.handler.call(ctx, input_json)))
            assert list(work_dir.iterdir()) == []
            return result
        finally:
            shutil.rmtree(work_dir)

    def until_done(self, most_attempts: int = 200) -> dict[str, Any]:
        """Attempts, each ended at its first checkpoint, until one comes through."""
        while self.attempts < most_attempts:
            self.end_after = self.sequence + 1
            try:
                return self.attempt()
            except AttemptEnded:
                continue
        raise AssertionError("it never ends")
