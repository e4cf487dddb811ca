"""Pausing: a workload saves a checkpoint, stops, and frees its slot; or it runs on, and the caller is told so.

**Identity.** A pause belongs to one attempt, named by its generation. When that attempt is over, whatever the
reason, so is the pause; a later attempt knows nothing of it. Two callers that pause the same attempt share the one
outcome.

**Authority.** The workload's row decides, by its ``pause_phase``. What is sent to the worker is a hint: it may be
lost, and is sent again as long as somebody waits. The worker never decides that a pause has happened: it stops when
the answer to its checkpoint says that the pause is granted.

**States.** None → ``requested``, by the caller; it can be withdrawn. ``requested`` → ``granted``, by the commit
that keeps the attempt's next checkpoint: now the attempt ends, and it can't be withdrawn any more. ``granted`` →
PAUSED, when the worker reports that the attempt's processes are gone. So the row says at each moment which of two
things a lost answer, a broken link or a coordinator that ends must not change: before the grant the workload runs
on, after it the workload will be PAUSED.

**Clocks.** The caller's patience is measured here, on the monotonic clock: for the checkpoint first, and after the
grant for the end of the attempt, which the worker bounds by killing what doesn't end.

**Failures.** Time up, or caller gone: the pause is withdrawn, in a move of its own; when the grant came first that
move changes nothing, and the caller waits for the end instead. Worker lost: the row's generation or status has
changed. This coordinator ends: nobody withdraws, the pause stays requested, and the next checkpoint pauses the
workload, from which it can be resumed. Completed, failed or cancelled meanwhile: that wins.

**In this module.** Only the caller's side: `pause` marks the row and tells the worker, `_await_pause` waits for what
the row becomes and asks again, `_withdraw` gives up. The grant is `record_checkpoint` in `niyanta.domain.changes`,
made where events come in (`niyanta.server.fleet.folding`); on the worker the granted pause is an `End`
(`niyanta.worker.attempt.life`), and `transitions.pause` is what its last event does. The moves of all three take the
one way that there is (`niyanta.server.moves.mover`), so a pause that meets a cancel, a completion or another pause
needs no rule of its own: the one that locks the row first has decided.
"""

from __future__ import annotations

import asyncio
import contextlib
import time

from niyanta.domain import changes
from niyanta.domain.workload import PausePhase, Status
from niyanta.errors import ApiError, InvalidStateError, ServiceUnavailableError
from niyanta.server.directory import Directory
from niyanta.server.moves.commands import Commands, Incarnation
from niyanta.server.moves.feed import ChangeFeed
from niyanta.server.moves.mover import Mover
from niyanta.server.services.moving import Verb, attempt_of, move_one, wrong_state
from niyanta.server.services.workloads import WorkloadService
from niyanta.server.store.customers import Identity
from niyanta.server.store.queries import Connection
from niyanta.server.store.stored_workload import StoredWorkload
from niyanta.server.store.workloads import WorkloadStore
from niyanta.wire.messages import AttemptRef

__all__ = ["PauseService"]

_ENDING_SECONDS = 12.0
"""How long a granted pause may take to end its attempt: five seconds' grace for the processes, and some."""
_ASK_AGAIN_SECONDS = 2.0


class PauseService:
    """Pauses one customer's workloads.

    Args:
        mover: Moves them.
        commands: Tells workers.
        feed: Says when to look again.
        workloads: Reads them.
        directory: Knows customers' limits.
        most_seconds: How long anybody may wait for a checkpoint.
    """

    def __init__(
        self,
        mover: Mover,
        commands: Commands,
        feed: ChangeFeed,
        workloads: WorkloadService,
        directory: Directory,
        *,
        most_seconds: float,
    ) -> None:
        self._mover = mover
        self._commands = commands
        self._feed = feed
        self._workloads = workloads
        self._directory = directory
        self._store = WorkloadStore()
        self._most_seconds = most_seconds

    async def pause(self, identity: Identity, workload_id: str, wait_seconds: float | None = None) -> StoredWorkload:
        """Checkpoint, stop, free the slot; returns the PAUSED workload.

        The pause is committed with the checkpoint: when the time is up, or the caller is cancelled, it is withdrawn
        and the workload goes on, unless the checkpoint came first, in which case it ends PAUSED.

        Args:
            identity: Who asks.
            workload_id: Of the workload.
            wait_seconds: How long to wait for the checkpoint; no longer than the settings allow.

        Raises:
            NotFoundError: The customer has no such workload.
            InvalidStateError: It isn't RUNNING, or ended meanwhile.
            ServiceUnavailableError: No checkpoint in time, or as many are PAUSED as the customer may have waiting;
                the workload goes on running.
        """
        most_paused = (await self._directory.customer(identity.customer_id)).max_queue_depth

        async def note(conn: Connection) -> None:
            paused = await self._store.paused(conn, identity.customer_id, most_paused + 1)
            if paused > most_paused:
                raise _too_many(most_paused)
            await self._store.note_pause(conn, (identity.customer_id, workload_id), identity.actor_id)

        with self._feed.watch(identity.customer_id, workload_id) as changed:
            change = await move_one(
                self._mover,
                identity,
                workload_id,
                Verb.PAUSE,
                lambda c: changes.request_pause(c.state),
                besides=note,
            )
            ref = attempt_of(change)
            worker = change.state.worker_id or "", change.state.incarnation or ""
            most = self._most_seconds
            waiting = most if wait_seconds is None else min(most, wait_seconds)
            try:
                self._commands.pause(worker, ref)
                deadline = time.monotonic() + waiting
                workload = await self._await_pause(identity, workload_id, ref, worker, changed, deadline)
            except asyncio.CancelledError:
                # Nobody waits for it any more, so a later checkpoint must not pause the workload.
                with contextlib.suppress(ApiError):
                    await self._withdraw(identity, workload_id, worker, ref)
                raise
            if workload is None:
                if await self._withdraw(identity, workload_id, worker, ref):
                    raise ServiceUnavailableError(
                        "The workload gave no checkpoint in time; it was not paused and goes on running",
                        details={"waited_seconds": round(waiting, 3)},
                        retry_after_seconds=5,
                    )
                ending = time.monotonic() + _ENDING_SECONDS
                workload = await self._await_pause(identity, workload_id, ref, worker, changed, ending)
        if workload is None:
            raise ServiceUnavailableError(
                "The workload has saved its checkpoint but has not ended yet; look again", retry_after_seconds=2
            )
        return workload

    async def _await_pause(
        self,
        identity: Identity,
        workload_id: str,
        ref: AttemptRef,
        worker: Incarnation,
        changed: asyncio.Event,
        deadline: float,
    ) -> StoredWorkload | None:
        """The PAUSED workload; None when the time is up."""
        while True:
            changed.clear()
            workload = await self._workloads.get(identity, workload_id)
            status = workload.status
            if status is Status.PAUSED:
                return workload
            if status.is_terminal:
                raise wrong_state(Verb.PAUSE, status)
            if workload.generation != ref.generation or status is not Status.RUNNING:
                raise ServiceUnavailableError(
                    "The workload's worker was lost while pausing; the workload goes on elsewhere",
                    details={"current_status": status.value},
                    retry_after_seconds=2,
                )
            if workload.pause_phase is None:
                return None
            left = deadline - time.monotonic()
            if left <= 0:
                return None
            try:
                async with asyncio.timeout(min(left, _ASK_AGAIN_SECONDS)):
                    await changed.wait()
            except TimeoutError:
                if workload.pause_phase is PausePhase.REQUESTED and time.monotonic() < deadline:
                    self._commands.pause(worker, ref)  # the first may have been lost

    async def _withdraw(self, identity: Identity, workload_id: str, worker: Incarnation, ref: AttemptRef) -> bool:
        """Take the pause back; False when it was granted already, or is moot."""
        try:
            change = await move_one(
                self._mover, identity, workload_id, Verb.PAUSE, lambda c: changes.withdraw_pause(c.state)
            )
        except InvalidStateError:
            return False
        if change.state.pause_phase is not None or change.state.status is not Status.RUNNING:
            return False
        self._commands.withdraw_pause(worker, ref)
        return True


def _too_many(limit: int) -> ServiceUnavailableError:
    """Without ``retry_after_seconds``: waiting alone doesn't help, the customer has to do something."""
    return ServiceUnavailableError(
        f"{limit} workloads are PAUSED already, as many as your queue may hold; resume or cancel some first",
        details={"max_paused": limit},
    )
