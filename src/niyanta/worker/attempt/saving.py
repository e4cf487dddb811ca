"""Having the service keep an attempt's checkpoints, and hearing what that means for the attempt."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from niyanta.domain.limits import MAX_CHECKPOINT_BYTES, MAX_LARGE_CHECKPOINT_BYTES
from niyanta.errors import CheckpointError
from niyanta.wire.messages import AttemptRef, CheckpointSaved, EventReply
from niyanta.wire.objects import ObjectStore
from niyanta.worker.attempt import checkpoints
from niyanta.worker.attempt.life import Because, End, Life
from niyanta.worker.attempt.means import AttemptFolder
from niyanta.worker.attempt.reports import Reports
from niyanta.worker.attempt.spans import AttemptTrace
from niyanta.worker.handlers.link import Ask, AttemptEnded

__all__ = ["Saving"]


class Saving:
    """Saves one checkpoint at a time, and waits for the service's word on each."""

    def __init__(
        self,
        ref: AttemptRef,
        life: Life,
        reports: Reports,
        folder: AttemptFolder,
        object_store: ObjectStore | None,
        trace: AttemptTrace | None = None,
    ) -> None:
        self._trace = trace
        self._ref = ref
        self._life = life
        self._reports = reports
        self._folder = folder
        self._object_store = object_store
        self._one_at_a_time = asyncio.Lock()
        self._awaited: tuple[int, asyncio.Future[EventReply]] | None = None
        life.on_disowned.append(self._abandon)

    @property
    def most_bytes(self) -> int:
        """Of one checkpoint."""
        return MAX_LARGE_CHECKPOINT_BYTES if self._object_store is not None else MAX_CHECKPOINT_BYTES

    async def save(self, data: bytes, encoding: str) -> int:
        """Save a checkpoint; what is too large for the database goes by way of a file. Gives its sequence number.

        Raises:
            CheckpointError: It was refused; the last good one still stands.
            AttemptEnded: It was kept, and fulfils a pause or a drain; or the attempt is over.
        """
        if len(data) <= MAX_CHECKPOINT_BYTES:
            return await self._keep(checkpoints.saved_in_database(data, encoding))
        path = self._folder.new_file()
        await asyncio.to_thread(path.write_bytes, data)
        return await self.save_file(path, encoding)

    async def save_file(self, path: Path, encoding: str) -> int:
        """Save a checkpoint that lies in a file, which is removed. Else as `save`."""
        try:
            event = await checkpoints.put_away(self._object_store, self._ref, path, encoding)
        finally:
            await asyncio.to_thread(path.unlink, True)
        try:
            return await self._keep(event)
        except CheckpointError:
            # Refused, so that nothing names it. In every other case something may.
            if self._object_store is not None and event.object_key is not None:
                await self._object_store.delete([event.object_key])
            raise

    def answered(self, sequences: set[int], reply: EventReply) -> None:
        """The service's word on the checkpoints with these event numbers."""
        if self._awaited is not None and self._awaited[0] in sequences and not self._awaited[1].done():
            self._awaited[1].set_result(reply)

    def _abandon(self) -> None:
        if self._awaited is not None:
            self._awaited[1].cancel()

    async def _keep(self, event: CheckpointSaved) -> int:
        began_ns = time.time_ns()
        reply = await self._acknowledged(event)
        if self._trace is not None:
            facts = {"checkpoint_sequence": reply.checkpoint_sequence, "checkpoint_bytes": event.size_bytes}
            self._trace.step("checkpoint", began_ns, error=reply.checkpoint_error, **facts)
        if reply.checkpoint_error is not None:
            raise CheckpointError(reply.checkpoint_error)
        if reply.pause_granted or self._life.waiting is Ask.DRAIN:
            self._life.order(End(Because.PAUSED if reply.pause_granted else Because.DRAINED))
            raise AttemptEnded
        return reply.checkpoint_sequence

    async def _acknowledged(self, event: CheckpointSaved) -> EventReply:
        """Send it, and wait for the service's word."""
        async with self._one_at_a_time:
            if self._life.fulfilled or self._life.silent:
                raise AttemptEnded
            answer: asyncio.Future[EventReply] = asyncio.get_running_loop().create_future()
            self._awaited = (self._reports.checkpoint(event), answer)
            try:
                return await answer
            except asyncio.CancelledError:
                if self._life.silent:
                    raise AttemptEnded from None
                raise
            finally:
                self._awaited = None
