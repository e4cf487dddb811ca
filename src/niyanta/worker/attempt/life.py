"""What an attempt is, who may end it, and what is said of it last.

Identity. An attempt is one run of one workload by one worker, named by customer, workload and generation
(`AttemptRef`). The service raises the generation with every assignment, so no two attempts share a name and nothing
that one of them reports can be taken for another's. Within the attempt its events are numbered 1, 2, 3 …; a number,
once given, is never given again.

Authority. The service alone decides whose a workload is. The worker acts on three words of it: an assignment begins
an attempt, a reply to a checkpoint may *fulfil* a pause or a drain, and a cancel, a fenced reply or the answer to a
beat *disowns* the attempt. What the worker decides by itself is only ever to *hand back*: because it stops, or has
lost the service. Several of these can meet. Each is an `End` with a rank, and the highest stands:

    HANDED_BACK  <  DRAINED, PAUSED  <  DISOWNED

A checkpoint that fulfils a pause outranks a hand-back: the service has committed the pause together with the
checkpoint, and waits to hear that the processes are gone. Being disowned outranks all: whatever was true, the service
knows better, and nothing more is said.

States. A life has one `Phase` and at most one `End`:

    PREPARING ──> RUNNING ──> ENDING ──> OVER        (each step may be left out)

PREPARING fetches the checkpoint and gets a process. RUNNING has called the handler. ENDING makes it stop, with time
to clean up. OVER has queued the last event, if there is one to be said. An `End` is an order, and a phase is how far
it has been obeyed: a checkpoint that fulfils a pause leaves the phase RUNNING, as the handler may well end by itself.

The last event. Exactly one is queued for each attempt that isn't disowned, after all others, once nothing of the
attempt is left (no process, and no inline handler but one that was given up). It is `Paused` or `Released` where an
`End` says so, else what the handler came to. A result that was there before a hand-back still counts: the work is
done.

Clocks. Nothing here compares clocks of two machines. The time-out of an attempt runs on the loop's monotonic clock
from the call of the handler; the graces (five seconds after a polite signal) run from when it is given. The lease, on
which hand-backs of a cut-off worker rest, is the agent's (`niyanta.worker.agent.lease`).

Failures. A process that dies, is too large or says something unreadable is an outcome like others, and never an
exception of the agent's. An order that comes while the attempt prepares ends the preparation (`StoppedError`). An
agent that dies says nothing at all: its launcher ends the processes, and the service counts the loss.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import Any, TypeAlias, TypeVar

from niyanta.wire.messages import Completed, EventBody, Failed, Paused, Refused, Released
from niyanta.worker.handlers.link import Ask

__all__ = ["Because", "End", "Life", "Phase", "StoppedError", "Verdict"]

T = TypeVar("T")

Verdict: TypeAlias = Completed | Failed | Refused
"""What a handler came to; refused is an input that doesn't fit it, before its first line."""


class Phase(Enum):
    """How far an attempt has come."""

    PREPARING = "preparing"
    RUNNING = "running"
    ENDING = "ending"
    OVER = "over"


class Because(IntEnum):
    """Why an attempt must end before its handler does, in order of authority."""

    HANDED_BACK = 1
    DRAINED = 2
    PAUSED = 3
    DISOWNED = 4


@dataclass(frozen=True)
class End:
    """An order to end."""

    because: Because
    reason: str = ""
    """Of a hand-back: what the service is told."""

    @property
    def fulfilled(self) -> bool:
        """Whether a checkpoint was waited for, and has been kept."""
        return self.because in (Because.DRAINED, Because.PAUSED)


class StoppedError(Exception):
    """The attempt was ordered to end while it got ready."""


class Life:
    """One attempt's phase, its end, and what it is asked for meanwhile.

    Attributes:
        phase: How far it has come.
        end: The order of the highest rank so far; None while it may go on.
        ordered: Done at the first order, whichever it was.
        on_running: Called once when the handler is about to be called.
        on_asked: Called with what is waited for, or None, whenever that changes.
        on_disowned: Called once when it is disowned.
    """

    def __init__(self) -> None:
        self.phase = Phase.PREPARING
        self.end: End | None = None
        self.ordered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.on_running: list[Callable[[], None]] = []
        self.on_asked: list[Callable[[Ask | None], None]] = []
        self.on_disowned: list[Callable[[], None]] = []
        self._asked: set[Ask] = set()

    # --- what it is asked for -----------------------------------------------------------------------

    @property
    def waiting(self) -> Ask | None:
        """What waits for a checkpoint: a pause before a drain."""
        return next((ask for ask in (Ask.PAUSE, Ask.DRAIN) if ask in self._asked), None)

    def is_asked(self, ask: Ask) -> bool:
        """Whether this waits for a checkpoint."""
        return ask in self._asked

    def ask(self, ask: Ask, *, wanted: bool = True) -> None:
        """End after the next checkpoint; or don't, as the wish was withdrawn."""
        if wanted:
            self._asked.add(ask)
        else:
            self._asked.discard(ask)
        for tell in self.on_asked:
            tell(self.waiting)

    # --- orders -----------------------------------------------------------------------------------

    def order(self, end: End) -> None:
        """Give an order to end; one of a lower rank than an earlier one changes nothing."""
        if self.end is not None and end.because <= self.end.because:
            return
        self.end = end
        if not end.fulfilled:
            self.begin_ending()
        if not self.ordered.done():
            self.ordered.set_result(None)
        if self.silent:
            for tell in self.on_disowned:
                tell()

    def begin_running(self) -> None:
        """The handler is about to be called."""
        if self.phase is Phase.PREPARING:
            self.phase = Phase.RUNNING
            for tell in self.on_running:
                tell()

    def begin_ending(self) -> None:
        """The handler is about to be made to stop."""
        if self.phase is not Phase.OVER:
            self.phase = Phase.ENDING

    @property
    def told_to_stop(self) -> bool:
        """Whether the handler is being made to stop, without waiting for a checkpoint."""
        return self.phase is Phase.ENDING

    @property
    def silent(self) -> bool:
        """Whether nothing more may be said of it."""
        return self.phase is Phase.OVER or (self.end is not None and self.end.because is Because.DISOWNED)

    @property
    def fulfilled(self) -> bool:
        """Whether a checkpoint has fulfilled a pause or a drain, and nothing outranks that."""
        return self.end is not None and self.end.fulfilled

    async def unless_ordered(self, work: Coroutine[Any, Any, T]) -> T:
        """Wait for something that belongs to getting ready.

        Raises:
            StoppedError: The attempt was ordered to end first.
        """
        task = asyncio.get_running_loop().create_task(work)
        try:
            ends: set[asyncio.Future[Any]] = {task, self.ordered}
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise StoppedError
            return task.result()
        finally:
            if not task.done():
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    def last_event(self, outcome: Verdict | None) -> EventBody:
        """What is said last.

        Args:
            outcome: What the handler came to; None when it was ended, or just went away.
        """
        match self.end:
            case End(because=Because.PAUSED):
                return Paused()
            case End(because=Because.DRAINED):
                return Released("drained")
            case End(reason=reason) if not isinstance(outcome, Completed):
                return Released(reason)
        return outcome if outcome is not None else Failed("the attempt ended without a result")
