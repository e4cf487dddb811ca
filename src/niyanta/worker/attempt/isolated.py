"""Running a handler in a process of its own, under its limits."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path
from typing import Any

from niyanta.wire.messages import Assignment, Completed, Failed
from niyanta.worker.attempt.conversation import Conversation
from niyanta.worker.attempt.life import Because, End, Life, Outcome
from niyanta.worker.attempt.means import AttemptFolder
from niyanta.worker.attempt.reports import Reports
from niyanta.worker.attempt.saving import Saving
from niyanta.worker.handlers.handler import Handler
from niyanta.worker.launcher.pool import MOST_PROCESSES, ProcessPool
from niyanta.worker.launcher.process import Exit, Runner
from niyanta.worker.runner import channel

__all__ = ["Isolated", "scratch_bytes"]

_EXIT_SECONDS = 5.0
"""How long a process has to end by itself after its last word, or after the checkpoint that was waited for."""
_DISK_POLL_SECONDS = 1.0
_OUTPUT_SECONDS = 1.0


class Isolated:
    """Runs one attempt in a process from the pool."""

    def __init__(self, pool: ProcessPool, life: Life, reports: Reports, saving: Saving) -> None:
        self._pool = pool
        self._life = life
        self._reports = reports
        self._saving = saving

    async def run(
        self, handler: Handler, assignment: Assignment, folder: AttemptFolder, encoding: str | None
    ) -> Outcome | None:
        """Run the handler; gives what it came to, or None when it was ended.

        On return nothing of the process's tree is left. Arguments as for `Inline.run`.

        Raises:
            TransientError: No process could be made ready.
            StoppedError: The attempt was ordered to end before one was.
        """
        runner = await self._life.unless_ordered(self._pool.take(assignment.memory_mb, assignment.cpu_cores))
        if handler.exclusive:
            self._pool.mark_exclusive(runner)
        conversation = Conversation(runner, handler.form, folder, self._life, self._reports, self._saving)
        runner.output = conversation
        loop = asyncio.get_running_loop()
        listening = loop.create_task(conversation.listen())
        tasks: list[asyncio.Task[Any]] = [listening, loop.create_task(conversation.answer_saves())]
        outcome: Outcome | None = None
        at_once = True
        try:
            disk = loop.create_task(_watch_disk(folder.work, assignment.disk_mb))
            tasks.append(disk)
            self._life.on_asked.append(lambda ask: runner.send(channel.Due(ask)))
            waiting, most_bytes = self._life.waiting, self._saving.most_bytes
            runner.send(channel.Run(assignment, encoding, str(folder.path), waiting, most_bytes, runner.word))
            outcome, at_once = await self._until_over(assignment, conversation, runner, disk)
        finally:
            self._pool.kill(runner, at_once=at_once)
            how = await runner.exited
            await asyncio.wait({listening}, timeout=_OUTPUT_SECONDS)
            await runner.copied(_OUTPUT_SECONDS)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            conversation.place_rest()
        return self._judged(assignment, outcome, how)

    async def _until_over(
        self, assignment: Assignment, conversation: Conversation, runner: Runner, disk: asyncio.Task[int]
    ) -> tuple[Outcome | None, bool]:
        """Wait until the attempt must end; gives what it came to, and whether to kill without a grace."""
        ends: set[asyncio.Future[Any]] = {conversation.outcome, self._life.ordered, disk}
        await asyncio.wait({*ends, conversation.begun}, return_when=asyncio.FIRST_COMPLETED)
        if not any(end.done() for end in ends):
            await asyncio.wait(ends, timeout=assignment.timeout_seconds, return_when=asyncio.FIRST_COMPLETED)
        if self._life.fulfilled:
            await asyncio.wait({runner.exited}, timeout=_EXIT_SECONDS)
            return None, True
        if conversation.outcome.done():
            exiting: set[asyncio.Future[Any]] = {runner.exited, self._life.ordered}
            await asyncio.wait(exiting, timeout=_EXIT_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            return conversation.outcome.result(), True
        if self._life.end is None and disk.done():
            return Failed(f"used more disk than its limit of {assignment.disk_mb} MB: {disk.result()} MB"), True
        self._life.begin_ending()
        conversation.say_cancelled()
        if self._life.end is not None:
            return None, False
        return Failed(f"timed out after {assignment.timeout_seconds} s", timed_out=True), False

    def _judged(self, assignment: Assignment, outcome: Outcome | None, how: Exit) -> Outcome | None:
        """What the attempt came to, seen together with how its process ended."""
        if isinstance(outcome, Completed):
            return outcome
        match how.over:
            case "memory":
                reached = f": {how.used_mb} MB" if how.used_mb else ""
                return Failed(f"used more memory than its limit of {assignment.memory_mb} MB{reached}")
            case "processes":
                return Failed(f"had more than {MOST_PROCESSES} processes")
            case "lease":
                self._life.order(End(Because.HANDED_BACK, "the worker was cut off from the service"))
                return None
        if outcome is not None or self._life.end is not None:
            return outcome
        what = f"exit status {how.code}" if how.code >= 0 else f"signal {_signal_name(-how.code)}"
        return Failed(f"the workload's process ended without a result ({what})")


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)


async def _watch_disk(directory: Path, limit_mb: int) -> int:
    """Return the megabytes in use once they are more than the limit."""
    while True:
        began = time.monotonic()
        used = await asyncio.to_thread(scratch_bytes, directory)
        if used > limit_mb << 20:
            return used >> 20
        # A directory with very many files must not keep a core busy.
        await asyncio.sleep(max(_DISK_POLL_SECONDS, 10 * (time.monotonic() - began)))


def scratch_bytes(directory: Path) -> int:
    """What the files below a directory take up on the disk; follows no links."""
    total = 0
    waiting = [str(directory)]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    total += entry.stat(follow_symlinks=False).st_blocks * 512
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
        except OSError:
            continue  # removed while we looked
    return total
