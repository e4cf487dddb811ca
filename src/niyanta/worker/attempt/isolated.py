"""Running a handler in a process of its own, under its limits."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from niyanta.domain.limits import MAX_PROCESSES
from niyanta.wire.messages import Assignment, Completed, Failed
from niyanta.worker.attempt.conversation import Conversation
from niyanta.worker.attempt.life import Because, End, Life, Verdict
from niyanta.worker.attempt.means import AttemptFolder
from niyanta.worker.attempt.reports import Reports
from niyanta.worker.attempt.saving import Saving
from niyanta.worker.handlers.handler import Handler
from niyanta.worker.handlers.link import Ask
from niyanta.worker.launcher.kept import Kind
from niyanta.worker.launcher.over import Over
from niyanta.worker.launcher.pool import ProcessPool
from niyanta.worker.launcher.process import Exit, Runner
from niyanta.worker.runner import channel

__all__ = ["Isolated", "attempt_bytes", "scratch_bytes"]

_EXIT_SECONDS = 5.0
"""How long a process has to end by itself after its last word, or after the checkpoint that was waited for."""
_DISK_POLL_SECONDS = 1.0
_OUTPUT_SECONDS = 1.0
_MOST_SAVING = 2
"""Checkpoints that travel at once; whoever calls more files so has them counted."""


class Isolated:
    """Runs one attempt in a process from the pool.

    Args:
        pool: Where the process comes from.
        life: The attempt's.
        reports: By which it is told of.
        saving: Keeps its checkpoints.
        confirm: Of what is exclusive: waits until it is sure to be this worker's.
    """

    def __init__(
        self,
        pool: ProcessPool,
        life: Life,
        reports: Reports,
        saving: Saving,
        confirm: Callable[[], Coroutine[Any, Any, None]] | None = None,
    ) -> None:
        self._pool = pool
        self._confirm = confirm
        self._life = life
        self._reports = reports
        self._saving = saving

    async def run(
        self, handler: Handler, assignment: Assignment, folder: AttemptFolder, encoding: str | None
    ) -> Verdict | None:
        """Run the handler; gives what it came to, or None when it was ended.

        On return nothing of the process's tree is left. Arguments as for `Inline.run`.

        Raises:
            TransientError: No process could be made ready.
            StoppedError: The attempt was ordered to end before one was.
        """
        kind = _kind(assignment, handler)
        runner = await self._life.unless_ordered(self._pool.take(kind, handler.reuse))
        await folder.move_into(runner.folder, again=runner.served > 1, user=runner.user)
        if handler.exclusive:
            self._pool.mark_exclusive(runner)
        conversation = Conversation(runner, handler.form, folder, self._life, self._reports, self._saving)
        runner.output = conversation
        loop = asyncio.get_running_loop()
        listening = loop.create_task(conversation.listen())
        tasks: list[asyncio.Task[Any]] = [listening]
        outcome: Verdict | None = None
        at_once = True
        how: Exit | None = None
        asking = _Asking(self._life, runner)
        try:
            if self._confirm is not None:  # as late as can be: nothing but a frozen machine comes between
                await self._life.unless_ordered(self._confirm())
            disk = loop.create_task(_watch_disk(folder.path, assignment.disk_mb))
            tasks.append(disk)
            waiting, most_bytes = asking.begin(), self._saving.most_bytes
            keep = runner.served < handler.reuse
            where, work = str(folder.path), folder.work_name
            runner.send(channel.Run(assignment, encoding, where, waiting, most_bytes, runner.word, work, keep))
            outcome, at_once = await self._until_over(assignment, conversation, runner, disk)
            if not (conversation.clean.done() and await self._may_be_kept(outcome, asking, runner)):
                how = await self._ended(runner, listening, at_once=at_once)
        except BaseException:
            how = await self._ended(runner, listening, at_once=True)
            raise
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await conversation.close()
        if how is None:
            await folder.give_back()
            self._pool.keep(runner, kind)
            return outcome
        return self._judged(assignment, outcome, how)

    async def _ended(self, runner: Runner, listening: asyncio.Task[None], *, at_once: bool) -> Exit:
        """End the process, and wait until nothing of its tree is left and all that it has said is here."""
        self._pool.kill(runner, at_once=at_once)
        how = await runner.exited
        await asyncio.wait({listening}, timeout=_OUTPUT_SECONDS)
        await runner.copied(_OUTPUT_SECONDS)
        return how

    async def _may_be_kept(self, outcome: Verdict | None, asking: _Asking, runner: Runner) -> bool:
        """Whether the process may serve another attempt: all went well, and nothing of this one is left."""
        if not isinstance(outcome, Completed) or asking.disturbed():
            return False
        whole = await self._pool.is_whole(runner)
        if asking.disturbed():
            return False
        asking.end()
        return whole

    async def _until_over(
        self, assignment: Assignment, conversation: Conversation, runner: Runner, disk: asyncio.Task[int]
    ) -> tuple[Verdict | None, bool]:
        """Wait until the attempt must end; gives what it came to, and whether to kill without a grace."""
        ends: set[asyncio.Future[Any]] = {conversation.outcome, self._life.ordered, disk}
        await asyncio.wait({*ends, conversation.begun}, return_when=asyncio.FIRST_COMPLETED)
        if not any(end.done() for end in ends):
            await asyncio.wait(ends, timeout=assignment.timeout_seconds, return_when=asyncio.FIRST_COMPLETED)
        if self._life.fulfilled:
            await asyncio.wait({runner.exited}, timeout=_EXIT_SECONDS)
            return None, True
        if conversation.outcome.done():
            exiting: set[asyncio.Future[Any]] = {runner.exited, self._life.ordered, conversation.clean}
            await asyncio.wait(exiting, timeout=_EXIT_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            return conversation.outcome.result(), True
        if self._life.end is None and disk.done():
            return Failed(f"used more disk than its limit of {assignment.disk_mb} MB: {disk.result()} MB"), True
        self._life.begin_ending()
        conversation.say_cancelled()
        if self._life.end is not None:
            return None, False
        return Failed(f"timed out after {assignment.timeout_seconds} s", timed_out=True), False

    def _judged(self, assignment: Assignment, outcome: Verdict | None, how: Exit) -> Verdict | None:
        """What the attempt came to, seen together with how its process ended."""
        if isinstance(outcome, Completed):
            return outcome
        match how.over:
            case Over.MEMORY:
                reached = f": {how.used_mb} MB" if how.used_mb else ""
                return Failed(f"used more memory than its limit of {assignment.memory_mb} MB{reached}")
            case Over.PROCESSES:
                return Failed(f"had more than {MAX_PROCESSES} processes")
            case Over.LEASE:
                self._life.order(End(Because.HANDED_BACK, "the worker was cut off from the service"))
                return None
        if outcome is not None or self._life.end is not None:
            return outcome
        what = f"exit status {how.code}" if how.code >= 0 else f"signal {_signal_name(-how.code)}"
        return Failed(f"the workload's process ended without a result ({what})")


class _Asking:
    """Tells a process what its attempt is asked for, and knows whether it was ever told anything."""

    def __init__(self, life: Life, runner: Runner) -> None:
        self._life = life
        self._runner = runner
        self._asked = False

    def begin(self) -> Ask | None:
        """Tell it from now on; gives what is asked for already."""
        self._life.on_asked.append(self._tell)
        self._asked = self._life.waiting is not None
        return self._life.waiting

    def end(self) -> None:
        """Tell it nothing more: it is no longer this attempt's."""
        self._life.on_asked.remove(self._tell)

    def _tell(self, ask: Ask | None) -> None:
        self._asked = True
        self._runner.send(channel.Due(ask))

    def disturbed(self) -> bool:
        """Whether it was asked for a checkpoint, or has been ordered to end."""
        return self._asked or self._life.end is not None


def _kind(assignment: Assignment, handler: Handler) -> Kind:
    """What a process must have been for to serve this attempt too."""
    return Kind(
        assignment.ref.customer_id,
        assignment.workload_type,
        assignment.memory_mb,
        assignment.cpu_cores,
        assignment.disk_mb,
        handler.strict,
        handler.network,
    )


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)


async def _watch_disk(directory: Path, limit_mb: int) -> int:
    """Return the megabytes in use once they are more than the limit."""
    rest_seconds = _DISK_POLL_SECONDS
    while True:
        await asyncio.sleep(rest_seconds)
        began = time.monotonic()
        used = await asyncio.to_thread(attempt_bytes, directory)
        if used > limit_mb << 20:
            return used >> 20
        # A directory with very many files must not keep a core busy.
        rest_seconds = max(_DISK_POLL_SECONDS, 10 * (time.monotonic() - began))


def attempt_bytes(folder: Path) -> int:
    """What an attempt has written to its folder, less the checkpoints that travel through it."""
    used = sum(scratch_bytes(folder / name) for name in (channel.WORK, channel.TEMPORARY))
    travelling = [folder / channel.CHECKPOINT]
    with contextlib.suppress(OSError):
        names = os.listdir(folder / channel.TEMPORARY)
        saving = [name for name in names if name.startswith(channel.SAVING_PREFIX)]
        travelling += [folder / channel.TEMPORARY / name for name in saving[:_MOST_SAVING]]
    for path in travelling:
        with contextlib.suppress(OSError):
            used -= os.lstat(path).st_blocks * 512
    return used


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
