"""Testing handlers without a service: run, stopped at a checkpoint, killed and carried on at will.

run = WorkloadRun(worker, "word_count", {"path": "a.txt"}, tmp_path)
uninterrupted = WorkloadRun(worker, "word_count", {"path": "a.txt"}, tmp_path / "other").attempt()
assert run.until_done() == uninterrupted  # ended at each of its checkpoints, and carried on
"""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import msgspec

from niyanta.wire.messages import Assignment, AttemptRef, LogLine, Progressed
from niyanta.worker.handlers.app import Worker
from niyanta.worker.handlers.context import MAX_CHECKPOINT_BYTES, AttemptEnded, Context, decode_state
from niyanta.worker.handlers.handler import encode_result

__all__ = ["AttemptEnded", "Killed", "WorkloadRun"]


class Killed(BaseException):
    """The attempt's process is gone, with the work done and the checkpoint lost."""


class WorkloadRun:
    """One workload: keeps its last acknowledged checkpoint and runs its attempts, in this process.

    Args:
        worker: Whose handler runs.
        workload_type: Which of its handlers.
        params: The submission's ``input_params``.
        scratch: A directory in which each attempt gets a ``work_dir`` of its own, removed at its end.
        config: The type's ``config_json``.
        interval_seconds: How often a checkpoint is due.

    Attributes:
        attempts: How many have been begun.
        sequence: Of the last acknowledged checkpoint; 0 for none.
        saved: Its state.
        percents: Progress as it was reported.
        messages: What was reported with it.
        log: Log lines, each with the attempt that wrote it.
        waiting: ``pause`` or ``drain`` to end the attempt at its next checkpoint.
        cancelled: What ``ctx.cancelled`` says.
        end_after: A sequence number: the attempt ends when that checkpoint is acknowledged.
        die_instead_of: A sequence number: the attempt is `Killed` before that checkpoint is acknowledged, once.
    """

    def __init__(
        self,
        worker: Worker,
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
        self.end_after: int | None = None
        self.die_instead_of: int | None = None
        self.most_checkpoint_bytes = MAX_CHECKPOINT_BYTES

    def report(self, body: Any) -> None:
        """Take progress and log lines from the context."""
        if isinstance(body, Progressed):
            self.percents.append(body.percent)
            self.messages.append(body.message or "")
        elif isinstance(body, LogLine):
            self.log.append((self.attempts, body.message))

    def save(self, data: bytes, encoding: str) -> Any:
        """Acknowledge a checkpoint, unless the attempt is to be killed first."""
        if self.sequence + 1 == self.die_instead_of:
            self.die_instead_of = None
            raise Killed
        self.sequence += 1
        self.saved = decode_state(data, encoding)
        if self.waiting is not None or self.sequence == self.end_after:
            raise AttemptEnded
        return _done(self.sequence) if self.handler.is_async else self.sequence

    def attempt(self) -> dict[str, Any]:
        """Run one attempt to its end; gives the result as JSON has it.

        Raises:
            AttemptEnded: It ended at a checkpoint, as for a pause.
            Killed: See ``die_instead_of``.
        """
        self.attempts += 1
        work_dir = self.scratch / f"attempt-{self.attempts}"
        work_dir.mkdir(parents=True)
        try:
            result: dict[str, Any] = msgspec.json.decode(encode_result(self._run(work_dir)))
            return result
        finally:
            shutil.rmtree(work_dir)

    def _run(self, work_dir: Path) -> Any:
        input_json = json.dumps(self.params).encode()
        assignment = Assignment(
            AttemptRef("cust_test", "wl_test", self.attempts),
            self.handler.workload_type,
            input_json,
            json.dumps(self.config).encode(),
            checkpoint_interval_seconds=self.interval_seconds,
        )
        ctx = Context(assignment, self, self.saved, lambda: work_dir, sync=not self.handler.is_async)
        outcome = self.handler.call(ctx, input_json)
        return asyncio.run(_awaited(outcome)) if self.handler.is_async else outcome

    def until_done(self, most_attempts: int = 200) -> dict[str, Any]:
        """Attempts, each ended at its first checkpoint, until one comes through; gives its result.

        Raises:
            RuntimeError: None of so many did.
        """
        while self.attempts < most_attempts:
            self.end_after = self.sequence + 1
            try:
                return self.attempt()
            except AttemptEnded:
                continue
        raise RuntimeError(f"not done after {most_attempts} attempts")


async def _done(value: Any) -> Any:
    return value


async def _awaited(outcome: Any) -> Any:
    return await outcome
