"""Testing handlers without a service: run, stopped at a checkpoint, killed and carried on at will.

run = WorkloadRun(worker, "word_count", {"path": "a.txt"}, tmp_path)
uninterrupted = WorkloadRun(worker, "word_count", {"path": "a.txt"}, tmp_path / "other").attempt()
assert run.until_done() == uninterrupted  # ended at each of its checkpoints, and carried on
"""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Awaitable
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec

from niyanta.domain.limits import MAX_CHECKPOINT_BYTES
from niyanta.wire.messages import Assignment, AttemptRef, LogLine, Progressed
from niyanta.worker.handlers.app import App
from niyanta.worker.handlers.context import Context, SyncContext
from niyanta.worker.handlers.handler import encode_result
from niyanta.worker.handlers.link import Ask, AttemptEnded
from niyanta.worker.handlers.state import decode_state

__all__ = ["AttemptEnded", "Killed", "WorkloadRun"]


T = TypeVar("T")


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
        interval_seconds: How often a checkpoint is due. By default each one that the handler offers is, so that a
            test sees what a run of hours would.

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
        worker: App,
        workload_type: str,
        params: dict[str, Any],
        scratch: Path,
        config: dict[str, Any] | None = None,
        *,
        interval_seconds: float = 0.0,
    ) -> None:
        self.handler = worker.handlers[workload_type]
        self.params = params
        self.config = config or {}
        self.scratch = scratch
        self.interval_seconds = interval_seconds
        self.attempts = 0
        self.sequence = 0
        self.saved: Any = None  # Any: what the handler saved
        self.percents: list[int] = []
        self.messages: list[str] = []
        self.log: list[tuple[int, str]] = []
        self.waiting: Literal["pause", "drain"] | None = None
        self.cancelled = False
        self.end_after: int | None = None
        self.die_instead_of: int | None = None

    def report(self, body: LogLine | Progressed) -> None:
        """Take progress and log lines from the handler."""
        if isinstance(body, LogLine):
            self.log.append((self.attempts, body.message))
        else:
            self.percents.append(body.percent)
            self.messages.append(body.message or "")

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
            result: dict[str, Any] = msgspec.json.decode(encode_result(self.run_in(work_dir)))
            return result
        finally:
            shutil.rmtree(work_dir)

    def run_in(self, work_dir: Path) -> object:
        """Call the handler once, with a scratch directory that is there; gives what it returns."""
        input_json = json.dumps(self.params).encode()
        assignment = Assignment(
            AttemptRef("cust_test", "wl_test", self.attempts),
            self.handler.workload_type,
            input_json,
            json.dumps(self.config).encode(),
            checkpoint_interval_seconds=self.interval_seconds,
        )
        kind = Context if self.handler.is_async else SyncContext
        ctx = kind(assignment, _RecordingLink(self), self.saved, lambda: work_dir)
        self.handler.remark_on(ctx)
        outcome = self.handler.call(ctx, input_json)
        return asyncio.run(_awaited(outcome)) if self.handler.is_async else outcome

    def until_done(self, most_attempts: int = 200) -> dict[str, Any]:
        """Attempts, each ended at its first checkpoint, until one comes through; gives its result.

        Raises:
            RuntimeError: None of so many did; or the handler saved no checkpoint at all, so that nothing was tested.
        """
        while self.attempts < most_attempts:
            self.end_after = self.sequence + 1
            try:
                result = self.attempt()
            except AttemptEnded:
                continue
            if self.sequence == 0:
                raise RuntimeError(
                    f"'{self.handler.workload_type}' came through without saving a checkpoint, so nothing was "
                    "carried on: give it more to do, or call attempt() where no checkpoint is meant to be"
                )
            return result
        raise RuntimeError(f"not done after {most_attempts} attempts")


class _RecordingLink:
    """The context's way to nobody but the run."""

    trace = None
    most_checkpoint_bytes = MAX_CHECKPOINT_BYTES

    def __init__(self, run: WorkloadRun) -> None:
        self._run = run

    @property
    def waiting(self) -> Ask | None:
        return None if self._run.waiting is None else Ask(self._run.waiting)

    @property
    def cancelled(self) -> bool:
        return self._run.cancelled

    def report(self, body: LogLine | Progressed) -> None:
        self._run.report(body)

    def save_now(self, data: bytes, encoding: str) -> int:
        """Acknowledge a checkpoint, unless the attempt is to be killed first."""
        run = self._run
        if run.sequence + 1 == run.die_instead_of:
            run.die_instead_of = None
            raise Killed
        run.sequence += 1
        run.saved = decode_state(data, encoding)
        if run.waiting is not None or run.sequence == run.end_after:
            raise AttemptEnded
        return run.sequence

    async def save(self, data: bytes, encoding: str) -> int:
        return self.save_now(data, encoding)


async def _awaited(outcome: Awaitable[T]) -> T:
    return await outcome
