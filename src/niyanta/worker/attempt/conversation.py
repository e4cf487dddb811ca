"""What the agent and the process of an attempt say to each other, until the process is gone."""

from __future__ import annotations

import asyncio

from niyanta.domain.records import LogLevel
from niyanta.errors import CheckpointError
from niyanta.wire.decoding import UNREADABLE
from niyanta.wire.messages import Completed, Failed, LogLine, Progressed, Refused
from niyanta.worker.attempt.contents import UnfitError, check_report, check_result, check_save
from niyanta.worker.attempt.life import Life, Verdict
from niyanta.worker.attempt.means import AttemptFolder
from niyanta.worker.attempt.reports import Reports
from niyanta.worker.attempt.saving import Saving
from niyanta.worker.handlers.link import AttemptEnded
from niyanta.worker.handlers.text import plain
from niyanta.worker.launcher.process import Runner
from niyanta.worker.runner import channel

__all__ = ["Conversation"]

_PLACE_SECONDS = 2.0
"""How long output waits for a line that belongs before it."""


class Conversation:
    """The agent's half.

    Args:
        runner: The process.
        form: Of the input that its handler takes.
        folder: The attempt's files.
        life: What rules the attempt.
        reports: Where what it says goes.
        saving: Keeps its checkpoints.

    Attributes:
        begun: Done when the handler has been called.
        outcome: The process's own word on how it ended; None when it is just gone.
        clean: Done when the process waits for another attempt instead of ending.
    """

    def __init__(
        self, runner: Runner, form: str, folder: AttemptFolder, life: Life, reports: Reports, saving: Saving
    ) -> None:
        loop = asyncio.get_running_loop()
        self._runner = runner
        self._form = form
        self._folder = folder
        self._life = life
        self._reports = reports
        self._saving = saving
        self._saves: asyncio.Queue[channel.Save] = asyncio.Queue()
        self._saver: asyncio.Task[None] | None = None
        self._unplaced: dict[int, LogLine | Progressed] = {}
        self._marked = 0
        self._wanted = 0
        self._arrived: asyncio.Future[None] = loop.create_future()
        self.begun: asyncio.Future[None] = loop.create_future()
        self.outcome: asyncio.Future[Verdict | None] = loop.create_future()
        self.clean: asyncio.Future[None] = loop.create_future()

    def say_cancelled(self) -> None:
        """Tell the process that it is about to be ended."""
        self._runner.send(channel.Cancelled())

    async def listen(self) -> None:
        """Take in what the process says, to the last word: it goes on while the process is being ended."""
        try:
            while (message := await self._runner.receive()) is not None:
                match message:
                    case channel.Done(result_json=result):
                        check_result(result)
                        self._decide(Completed(result))
                    case channel.Problem() as problem:
                        if problem.traceback:
                            self._reports.report(LogLine(LogLevel.ERROR, problem.traceback))
                        self._decide(Failed(plain(problem.message), permanent=problem.permanent))
                    case channel.Misfit():
                        self._decide(Refused(message.message, self._form, message.hopeless))
                    case channel.Ended():
                        self._decide(None)
                    case channel.Clean():
                        self.clean.set_result(None)
                        return
                    case _:
                        self._take_in(message)
        except UnfitError as exc:
            self._decide(Failed(plain(str(exc)), permanent=True))
        except (ValueError, *UNREADABLE) as exc:  # user code has written to our socket
            self._decide(Failed(plain(f"the workload's process said something unreadable: {exc}"), permanent=True))
        self._decide(None)

    def _decide(self, outcome: Verdict | None) -> None:
        if not self.outcome.done():
            self.outcome.set_result(outcome)

    def _take_in(self, message: channel.FromRunner) -> None:
        match message:
            case channel.HandlerStarted():
                self._life.begin_running()
                self._reports.started()
                if not self.begun.done():
                    self.begun.set_result(None)
            case channel.Report(body=LogLine() | Progressed() as body, number=number):
                check_report(body)
                self._place(body, number)
            case channel.Dropped(lines=lines):
                self._reports.lines_dropped(max(0, lines))
            case channel.Save() as save:
                check_save(save)
                self._saves.put_nowait(save)
                if self._saver is None:  # most attempts never save
                    self._saver = asyncio.get_running_loop().create_task(self._answer_saves())
            case _:
                pass

    # --- what it logs, in its place among what it prints ---------------------------------------------

    def lines(self, level: str, lines: list[bytes]) -> None:
        """Take what it has printed."""
        self._reports.lines(level, lines)

    async def marked(self, number: int) -> None:
        """Report what belongs here in the output. It was sent before the mark, so it is here or soon will be."""
        if number > self._marked and number not in self._unplaced:
            self._wanted, self._arrived = number, asyncio.get_running_loop().create_future()
            await asyncio.wait({self._arrived}, timeout=_PLACE_SECONDS)
            self._wanted = 0
        self._marked = max(self._marked, number)
        # One without a mark of its own was torn from it by a signal, or is on its way into its place.
        for early in sorted(found for found in self._unplaced if found <= number):
            self._reports.report(self._unplaced.pop(early))

    def _place(self, body: LogLine | Progressed, number: int) -> None:
        if number <= self._marked:  # it has no place, or is late for it
            self._reports.report(body)
            return
        self._unplaced[number] = body
        if number == self._wanted and not self._arrived.done():
            self._arrived.set_result(None)

    def _place_rest(self) -> None:
        for number in sorted(self._unplaced):
            self._reports.report(self._unplaced.pop(number))

    # --- what it saves ------------------------------------------------------------------------------

    async def close(self) -> None:
        """Save nothing more, and report what has found no place: nothing follows from this attempt."""
        if self._saver is not None:
            self._saver.cancel()
            await asyncio.gather(self._saver, return_exceptions=True)
        self._place_rest()

    async def _answer_saves(self) -> None:
        """Save checkpoints, one after another: the answers come in the order of the requests."""
        while True:
            save = await self._saves.get()
            try:
                if save.data is None:
                    sequence = await self._saving.save_file(self._folder.take(save.number), save.encoding)
                else:
                    sequence = await self._saving.save(save.data, save.encoding)
                answer = channel.Saved(save.number, sequence, None, False)
            except AttemptEnded:
                answer = channel.Saved(save.number, 0, None, True)
            except CheckpointError as exc:
                answer = channel.Saved(save.number, 0, plain(str(exc)), False)
            self._runner.send(answer)
