"""Running a handler in a process of its own, under its limits."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from niyanta.errors import CheckpointError
from niyanta.wire.messages import Completed, Failed, LogLine, Progressed
from niyanta.worker.handlers.context import AttemptEnded
from niyanta.worker.handlers.text import plain
from niyanta.worker.launcher.pool import MOST_PROCESSES, Exit, ProcessPool, Runner
from niyanta.worker.runner import channel

if TYPE_CHECKING:
    from niyanta.worker.attempt.attempt import Attempt

__all__ = ["run", "scratch_bytes"]

_GRANTED_SECONDS = 5.0
"""How long a process has to end by itself after the checkpoint that a pause or a drain waited for."""
_DISK_POLL_SECONDS = 1.0
_OUTPUT_SECONDS = 1.0


async def run(attempt: Attempt, pool: ProcessPool, encoding: str | None) -> Any:
    """Run the handler; gives the event that ends the attempt, or None when it was stopped.

    On return nothing of the process's tree is left.

    Raises:
        TransientError: No process could be made ready.
    """
    assignment = attempt.assignment
    runner = await attempt.unless_stopped(pool.take(assignment.memory_mb, assignment.cpu_cores))
    if attempt.handler.exclusive:
        pool.mark_exclusive(runner)
    runner.on_lines = attempt.report_lines
    attempt.on_asked.append(lambda reason: runner.send(channel.Due(reason)))
    conversation = _Conversation(attempt, runner)
    runner.send(
        channel.Run(assignment, encoding, str(attempt.directory), attempt.waiting, attempt.most_checkpoint_bytes)
    )
    loop = asyncio.get_running_loop()
    disk = loop.create_task(_watch_disk(attempt.directory / channel.WORK, assignment.disk_mb))
    tasks = [loop.create_task(conversation.listen()), loop.create_task(conversation.answer_saves()), disk]
    end: Any = None
    at_once = True
    try:
        end, at_once = await _until_over(attempt, conversation, disk)
    finally:
        pool.kill(runner, at_once=at_once)
        how = await runner.exited
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await runner.copied(_OUTPUT_SECONDS)
    return _judge(attempt, end, how)


async def _until_over(attempt: Attempt, conversation: _Conversation, disk: asyncio.Task[int]) -> tuple[Any, bool]:
    """Wait until the attempt must end; gives its last event, and whether to kill without a grace."""
    limit = attempt.assignment.timeout_seconds
    ends = {conversation.outcome, attempt.stopped, attempt.granted, disk}
    await asyncio.wait({*ends, conversation.begun}, return_when=asyncio.FIRST_COMPLETED)
    if not any(end.done() for end in ends):
        await asyncio.wait(ends, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
    if attempt.granted.done() and not attempt.stopped.done():
        await asyncio.wait({conversation.outcome}, timeout=_GRANTED_SECONDS)
        return None, True
    if conversation.outcome.done():
        return conversation.outcome.result(), True
    if attempt.stopped.done():
        conversation.say_cancelled()
        return None, False
    if disk.done():
        used = disk.result()
        return Failed(f"used more disk than its limit of {attempt.assignment.disk_mb} MB: {used} MB"), True
    conversation.say_cancelled()
    return Failed(f"timed out after {limit} s", timed_out=True), False


def _judge(attempt: Attempt, end: Any, how: Exit) -> Any:
    """The attempt's last event, seen together with how its process ended."""
    if isinstance(end, Completed):
        return end
    match how.over:
        case "memory":
            reached = f": {how.used_mb} MB" if how.used_mb else ""
            return Failed(f"used more memory than its limit of {attempt.assignment.memory_mb} MB{reached}")
        case "processes":
            return Failed(f"had more than {MOST_PROCESSES} processes")
        case "lease":
            attempt.stop("the worker was cut off from the service", report=True)
            return None
    if end is not None or attempt.stopped.done() or attempt.granted.done():
        return end
    what = f"exit status {how.code}" if how.code >= 0 else f"signal {_signal_name(-how.code)}"
    return Failed(f"the workload's process ended without a result ({what})")


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)


class _Conversation:
    """What the agent and the process say to each other, until the process is gone.

    Attributes:
        begun: Done when the handler has been called.
        outcome: The process's own word on how it ended; None when it is just gone.
    """

    def __init__(self, attempt: Attempt, runner: Runner) -> None:
        loop = asyncio.get_running_loop()
        self._attempt = attempt
        self._runner = runner
        self._saves: asyncio.Queue[channel.Save] = asyncio.Queue()
        self.begun: asyncio.Future[None] = loop.create_future()
        self.outcome: asyncio.Future[Any] = loop.create_future()

    def say_cancelled(self) -> None:
        self._runner.send(channel.Cancelled())

    async def listen(self) -> None:
        """Take in what the process says; it goes on while the process is being ended."""
        outcome: Any = None
        try:
            while (message := await self._runner.receive()) is not None:
                match message:
                    case channel.Started():
                        self._attempt.started()
                        if not self.begun.done():
                            self.begun.set_result(None)
                    case channel.Report(body=LogLine() | Progressed() as body):
                        self._attempt.report(body)
                    case channel.Dropped(lines=lines):
                        self._attempt.lines_dropped(lines)
                    case channel.Save() as save:
                        self._saves.put_nowait(save)
                    case channel.Done(result_json=result):
                        outcome = Completed(result)
                        break
                    case channel.Problem() as problem:
                        if problem.traceback:
                            self._attempt.report(LogLine("ERROR", problem.traceback))
                        outcome = Failed(plain(problem.message), permanent=problem.permanent)
                        break
                    case channel.Ended():
                        break
                    case _:
                        pass
        except ValueError as exc:  # msgspec's too: user code has written to our socket
            outcome = Failed(plain(f"the workload's process said something unreadable: {exc}"))
        if not self.outcome.done():
            self.outcome.set_result(outcome)

    async def answer_saves(self) -> None:
        """Save checkpoints, one after another: the answers come in the order of the requests."""
        while True:
            save = await self._saves.get()
            try:
                if save.data is None:
                    path = self._attempt.directory / channel.saving_name(save.number)
                    sequence = await self._attempt.save_file(path, save.encoding)
                else:
                    sequence = await self._attempt.save(save.data, save.encoding)
                answer = channel.Saved(sequence, None, False)
            except AttemptEnded:
                answer = channel.Saved(0, None, True)
            except CheckpointError as exc:
                answer = channel.Saved(0, plain(str(exc)), False)
            self._runner.send(answer)


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
