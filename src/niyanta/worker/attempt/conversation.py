"""What the agent and the process of an attempt say to each other, until the process is gone."""

from __future__ import annotations

import asyncio

from niyanta.errors import CheckpointError
from niyanta.wire.messages import Completed, Failed, LogLine, Progressed
from niyanta.worker.attempt.life import Life
from niyanta.worker.attempt.means import Folder
from niyanta.worker.attempt.reports import Reports
from niyanta.worker.attempt.saving import Saving
from niyanta.worker.handlers.link import AttemptEnded
from niyanta.worker.handlers.text import plain
from niyanta.worker.launcher.pool import Runner
from niyanta.worker.runner import channel

__all__ = ["Conversation"]


class Conversation:
    """The agent's half.

    Attributes:
        begun: Done when the handler has been called.
        outcome: The process's own word on how it ended; None when it is just gone.
    """

    def __init__(self, runner: Runner, folder: Folder, life: Life, reports: Reports, saving: Saving) -> None:
        loop = asyncio.get_running_loop()
        self._runner = runner
        self._folder = folder
        self._life = life
        self._reports = reports
        self._saving = saving
        self._saves: asyncio.Queue[channel.Save] = asyncio.Queue()
        self.begun: asyncio.Future[None] = loop.create_future()
        self.outcome: asyncio.Future[Completed | Failed | None] = loop.create_future()

    def say_cancelled(self) -> None:
        """Tell the process that it is about to be ended."""
        self._runner.send(channel.Cancelled())

    async def listen(self) -> None:
        """Take in what the process says; it goes on while the process is being ended."""
        outcome: Completed | Failed | None = None
        try:
            while (message := await self._runner.receive()) is not None:
                match message:
                    case channel.Done(result_json=result):
                        outcome = Completed(result)
                        break
                    case channel.Problem() as problem:
                        if problem.traceback:
                            self._reports.report(LogLine("ERROR", problem.traceback))
                        outcome = Failed(plain(problem.message), permanent=problem.permanent)
                        break
                    case channel.Ended():
                        break
                    case _:
                        self._take_in(message)
        except ValueError as exc:  # msgspec's too: user code has written to our socket
            outcome = Failed(plain(f"the workload's process said something unreadable: {exc}"))
        if not self.outcome.done():
            self.outcome.set_result(outcome)

    def _take_in(self, message: channel.FromRunner) -> None:
        match message:
            case channel.Started():
                self._life.begin_running()
                self._reports.started()
                if not self.begun.done():
                    self.begun.set_result(None)
            case channel.Report(body=LogLine() | Progressed() as body):
                self._reports.report(body)
            case channel.Dropped(lines=lines):
                self._reports.lines_dropped(lines)
            case channel.Save() as save:
                self._saves.put_nowait(save)
            case _:
                pass

    async def answer_saves(self) -> None:
        """Save checkpoints, one after another: the answers come in the order of the requests."""
        while True:
            save = await self._saves.get()
            try:
                if save.data is None:
                    sequence = await self._saving.save_file(self._folder.saving(save.number), save.encoding)
                else:
                    sequence = await self._saving.save(save.data, save.encoding)
                answer = channel.Saved(sequence, None, False)
            except AttemptEnded:
                answer = channel.Saved(0, None, True)
            except CheckpointError as exc:
                answer = channel.Saved(0, plain(str(exc)), False)
            self._runner.send(answer)
