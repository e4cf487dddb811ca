"""One attempt at one workload, as the agent sees it. `niyanta.worker.attempt.life` says what rules it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from functools import partial

from niyanta.domain.records import LogLevel
from niyanta.domain.workers import Isolation
from niyanta.errors import PermanentError, TransientError
from niyanta.telemetry.facts import say
from niyanta.wire.messages import Assignment, EventReply, Failed, LogLine, Refused
from niyanta.worker.attempt import checkpoints
from niyanta.worker.attempt.inline import Inline
from niyanta.worker.attempt.isolated import Isolated
from niyanta.worker.attempt.life import Because, End, Life, Phase, StoppedError, Verdict
from niyanta.worker.attempt.means import AttemptFolder, Means
from niyanta.worker.attempt.reports import Reports
from niyanta.worker.attempt.saving import Saving
from niyanta.worker.attempt.spans import AttemptTrace, line_exporter
from niyanta.worker.handlers.handler import Handler, MisfitError
from niyanta.worker.handlers.link import Ask
from niyanta.worker.handlers.text import describe, plain

__all__ = ["Attempt"]

log = logging.getLogger(__name__)

_PREPARING_SECONDS = 5.0
"""An attempt that takes longer to get ready says it has started all the same, lest its assignment be taken back."""


class Attempt:
    """Runs the handler, inline or in a process, and reports what becomes of it.

    Args:
        means: What it works with.
        assignment: What to run.
        handler: The code that serves the assignment's type.
        on_ended: Called once, when nothing of it is left and its last event is queued.

    Attributes:
        task: Done after that.
        trace: Records what happens in it; None where nothing is recorded.
    """

    def __init__(
        self, means: Means, assignment: Assignment, handler: Handler, on_ended: Callable[[Attempt], None]
    ) -> None:
        self.ref = assignment.ref
        self.task: asyncio.Task[None]
        self._means = means
        self._assignment = assignment
        self._handler = handler
        self._on_ended = on_ended
        self._facts = {
            "workload_id": self.ref.workload_id,
            "customer_id": self.ref.customer_id,
            "generation": self.ref.generation,
            "workload_type": assignment.workload_type,
        }
        self._began_at = 0.0
        self._life = Life()
        self.trace = AttemptTrace.of(assignment, means.spans)
        if self.trace is not None:
            self._facts |= self.trace.ids
        on_line = None if means.lines is None else line_exporter(means.lines, assignment)
        self._folder = AttemptFolder(means.scratch, self.ref.workload_id)
        self._reports = Reports(self.ref, means.outbox, self._life, on_line)
        self._saving = Saving(self.ref, self._life, self._reports, self._folder, means.object_store, self.trace)

    @property
    def exclusive(self) -> bool:
        """Whether it must have ended before its workload can run elsewhere."""
        return self._handler.exclusive

    @property
    def disowned(self) -> bool:
        """Whether it holds its slot without the service's knowing, until its processes are gone."""
        return self._life.end is not None and self._life.end.because is Because.DISOWNED

    def start(self) -> None:
        """Begin."""
        self._began_at = time.monotonic()
        say(log, logging.INFO, "attempt.started", self._facts)
        if (trace := self.trace) is not None:
            began_ns = time.time_ns()
            self._life.on_running.append(lambda: trace.step("prepare", began_ns))
        self.task = asyncio.get_running_loop().create_task(self._run())

    def ask(self, ask: Ask, *, wanted: bool = True) -> None:
        """End after the next checkpoint; or don't, as the wish was withdrawn."""
        self._life.ask(ask, wanted=wanted)

    def is_asked(self, ask: Ask) -> bool:
        """Whether it is to end after its next checkpoint for this reason."""
        return self._life.is_asked(ask)

    def hand_back(self, why: str) -> None:
        """End it now, and tell the service that another may go on with it."""
        self._life.order(End(Because.HANDED_BACK, why))

    def disown(self) -> None:
        """End it now, and say nothing more: it is cancelled, or another's."""
        self._life.order(End(Because.DISOWNED))

    def checkpoint_answered(self, sequences: set[int], reply: EventReply) -> None:
        """The service's word on the checkpoints with these event numbers."""
        self._saving.answered(sequences, reply)

    async def _run(self) -> None:
        outcome: Verdict | None = None
        preparing = None
        if self._assignment.checkpoint_sequence or self._handler.isolation is Isolation.PROCESS:
            preparing = asyncio.get_running_loop().call_later(_PREPARING_SECONDS, self._reports.started)
        try:
            outcome = await self._work()
        except (StoppedError, asyncio.CancelledError):
            outcome = None
        except MisfitError as exc:
            outcome = Refused(plain(str(exc)), self._handler.form, exc.hopeless)
        except PermanentError as exc:
            outcome = Failed(plain(str(exc)), permanent=True)
        except TransientError as exc:
            outcome = Failed(plain(str(exc)))
        except Exception as exc:
            log.exception("attempt.failed")
            outcome = Failed(describe(exc))
        finally:
            if preparing is not None:
                preparing.cancel()
            last = self._life.last_event(outcome)
            self._reports.last(last)
            if self.trace is not None:
                self.trace.ended_ns = time.time_ns()
            self._life.phase = Phase.OVER
            self._log_end(last)
            self._on_ended(self)

    def _log_end(self, last: object) -> None:
        outcome = "disowned" if self.disowned else type(last).__name__.lower()
        seconds = round(time.monotonic() - self._began_at, 3)
        say(log, logging.INFO, "attempt.ended", {**self._facts, "outcome": outcome, "seconds": seconds})

    async def _work(self) -> Verdict | None:
        try:
            encoding = await self._fetch() if self._assignment.checkpoint_sequence else None
            if self._handler.isolation is Isolation.INLINE:
                inline = Inline(self._life, self._reports, self._saving)
                with self._means.guard:
                    return await inline.run(self._handler, self._assignment, self._folder, encoding)
            pool = self._means.pool
            assert pool is not None  # noqa: S101 -- the agent makes one when any handler needs it
            confirm = partial(self._means.confirm, self.ref) if self.exclusive else None
            isolated = Isolated(pool, self._life, self._reports, self._saving, confirm)
            return await isolated.run(self._handler, self._assignment, self._folder, encoding)
        finally:
            await self._folder.remove()

    async def _fetch(self) -> str:
        """Get the checkpoint to start from; gives its encoding."""
        wanted = self._assignment.checkpoint_sequence
        fetched = await self._life.unless_ordered(
            checkpoints.fetch(self._means, self.ref, wanted, self._folder.checkpoint)
        )
        if fetched.sequence != wanted:
            lost = f"checkpoint {wanted} is damaged or missing; going on from checkpoint {fetched.sequence}"
            self._reports.report(LogLine(LogLevel.WARN, lost))
        return fetched.encoding
