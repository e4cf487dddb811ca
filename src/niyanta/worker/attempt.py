"""One attempt at one workload, as the agent sees it."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import shutil
import tempfile
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from niyanta.errors import CheckpointError, ConnectionFailedError, PermanentError, TransientError
from niyanta.wire.messages import (
    Assignment,
    CheckpointReply,
    CheckpointRequest,
    CheckpointSaved,
    Completed,
    EventReply,
    Failed,
    LogLine,
    Paused,
    Released,
    Started,
)
from niyanta.worker import channel
from niyanta.worker.context import AttemptEnded, Context, decode_state
from niyanta.worker.handlers import Handler, encode_result
from niyanta.worker.processes import Runner, lines_of

if TYPE_CHECKING:
    from niyanta.worker.agent import Agent

__all__ = ["Attempt"]

log = logging.getLogger(__name__)

_MEMORY_POLL_SECONDS = 0.5


class Attempt:
    """Runs the handler, inline or in a process, and reports what becomes of it.

    It is the context's link for inline handlers, and the far end of the socket link for processes.
    """

    def __init__(self, agent: Agent, assignment: Assignment, handler: Handler) -> None:
        self._agent = agent
        self.assignment = assignment
        self.ref = assignment.ref
        self.handler = handler
        self.waiting: str | None = None
        self.cancelled = False
        self._sequence = 0
        self._report_end = True
        self._ended_for: str | None = None
        self._save_lock = asyncio.Lock()
        self._answer: asyncio.Future[EventReply] | None = None
        self._runner: Runner | None = None
        self._saving: asyncio.Task[None] | None = None
        self.task: asyncio.Task[None]

    def start(self) -> None:
        self.task = asyncio.get_running_loop().create_task(self._run())

    # --- what the agent asks --------------------------------------------------------------------

    def ask(self, reason: str | None) -> None:
        """``pause`` or ``drain``: end after the next checkpoint. None: a pause was withdrawn."""
        if reason is None and self.waiting != "pause":
            return
        self.waiting = reason
        if self._runner is not None:
            self._runner.send(channel.Due(reason))

    def stop(self, *, report: bool) -> None:
        """End it now. Without ``report`` the service already knows better."""
        self._report_end = self._report_end and report
        if not self.cancelled:
            self.cancelled = not report
            if self._runner is not None:
                self._runner.send(channel.Cancelled())
            self.task.cancel()

    def checkpoint_answered(self, reply: EventReply) -> None:
        """The service's word on the checkpoint under way."""
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(reply)

    # --- what the handler asks (Link) -----------------------------------------------------------

    def report(self, body: Any) -> None:
        self._sequence += 1
        self._agent.outbox.add(self.ref, self._sequence, body)

    async def save(self, data: bytes, encoding: str) -> int:
        async with self._save_lock:
            self._answer = asyncio.get_running_loop().create_future()
            self.report(CheckpointSaved(data, hashlib.sha256(data).digest(), encoding))
            reply = await self._answer
            self._answer = None
        if reply.checkpoint_error is not None:
            raise CheckpointError(reply.checkpoint_error)
        if reply.pause_granted:
            self._ended_for = "pause"
        elif self.waiting == "drain":
            self._ended_for = "drain"
        if self._ended_for is not None:
            raise AttemptEnded
        return reply.checkpoint_sequence

    # --- running --------------------------------------------------------------------------------

    async def _run(self) -> None:
        end: Any = None
        try:
            end = await self._work()
        except asyncio.CancelledError:
            end = Released("the worker stopped before the workload gave a checkpoint")
        except AttemptEnded:
            end = None
        except PermanentError as exc:
            end = Failed(str(exc), permanent=True)
        except Exception as exc:
            end = Failed(f"{type(exc).__name__}: {exc}" if not isinstance(exc, TransientError) else str(exc))
        finally:
            if self._ended_for is not None:
                end = Paused() if self._ended_for == "pause" else Released("drained")
            if self._report_end and end is not None:
                if dropped := self._agent.outbox.take_dropped(self.ref):
                    self.report(LogLine("WARN", f"{dropped} log lines were dropped: too many at once"))
                self.report(end)
            self._agent.ended(self)

    async def _work(self) -> Any:
        if self.handler.isolation == "inline":
            return await self._run_inline()
        checkpoint, encoding = await self._load_checkpoint()
        work_dir = Path(tempfile.mkdtemp(prefix=f"{self.ref.workload_id}-", dir=self._agent.scratch))
        try:
            return await self._run_process(checkpoint, encoding, work_dir)
        finally:
            await asyncio.to_thread(shutil.rmtree, work_dir, True)

    async def _run_inline(self) -> Any:
        checkpoint, encoding = await self._load_checkpoint()
        state = None if checkpoint is None else decode_state(checkpoint, encoding)
        ctx = Context(self.assignment, self, state, self._agent.scratch, sync=False)
        arguments = self.handler.arguments(ctx, self.assignment.input_json)
        self.report(Started())
        saving: asyncio.TimerHandle | None = None
        try:
            async with asyncio.timeout(self.assignment.timeout_seconds):
                work = self.handler.function(*arguments)
                saving = asyncio.get_running_loop().call_later(0.2, self._start_saving, ctx)
                return Completed(encode_result(await work))
        except TimeoutError:
            return Failed(f"timed out after {self.assignment.timeout_seconds} s", timed_out=True)
        except (AttemptEnded, asyncio.CancelledError, PermanentError):
            raise
        except Exception as exc:
            self.report(LogLine("ERROR", traceback.format_exc()[-8000:]))
            return Failed(f"{type(exc).__name__}: {exc}")
        finally:
            if saving is not None:
                saving.cancel()
            if self._saving is not None:
                self._saving.cancel()

    def _start_saving(self, ctx: Context) -> None:
        self._saving = asyncio.get_running_loop().create_task(self._keep_saving(ctx))

    async def _keep_saving(self, ctx: Context) -> None:
        while True:
            await asyncio.sleep(0.2)
            if ctx.saver is not None and ctx.checkpoint_due:
                state = ctx.saver()
                try:
                    await ctx.save_checkpoint(await state if asyncio.iscoroutine(state) else state)
                except AttemptEnded:
                    self.task.cancel()
                    return
                except CheckpointError as exc:
                    ctx.log.warning("%s", exc)

    async def _load_checkpoint(self) -> tuple[bytes | None, str]:
        """The checkpoint to start from, whole and checked.

        Raises:
            PermanentError: The service has no good one left.
        """
        sequence = self.assignment.checkpoint_sequence
        if not sequence:
            return None, "json"
        agent, data = self._agent, b""
        while True:
            request = CheckpointRequest(agent.worker_id, agent.incarnation, self.ref, sequence, len(data))
            try:
                raw = await agent.broker.request(
                    agent.subjects.checkpoint, msgspec.msgpack.encode(request), timeout_seconds=5
                )
            except ConnectionFailedError:
                await asyncio.sleep(0.2)
                continue
            reply = msgspec.msgpack.decode(raw, type=CheckpointReply)
            if not reply.ok:
                if reply.error is not None and reply.error.startswith("try again"):
                    await asyncio.sleep(0.2)
                    continue
                raise PermanentError(f"checkpoint {sequence} can't be loaded: {reply.error}")
            if reply.sequence != sequence:
                sequence, data = reply.sequence, b""
                continue
            data += reply.data
            if len(data) >= reply.total_bytes:
                if hashlib.sha256(data).digest() != reply.sha256:
                    data = b""
                    continue
                return data, reply.encoding

    async def _run_process(self, checkpoint: bytes | None, encoding: str, work_dir: Path) -> Any:
        pool = self._agent.pool
        assert pool is not None  # noqa: S101 -- the agent makes one when any handler needs it
        runner = await pool.take()
        self._runner = runner
        if self.handler.exclusive:
            pool.mark_exclusive(runner)
        runner.send(channel.Run(self.assignment, checkpoint, encoding, str(work_dir), self.waiting))
        readers = [
            asyncio.create_task(self._copy(runner.stdout, "INFO")),
            asyncio.create_task(self._copy(runner.stderr, "WARN")),
        ]
        watch = asyncio.create_task(self._watch_memory(runner))
        outcome: Any = None
        try:
            outcome = await self._converse(runner)
        except TimeoutError:
            outcome = Failed(f"timed out after {self.assignment.timeout_seconds} s", timed_out=True)
        finally:
            watch.cancel()
            pool.kill(runner, at_once=isinstance(outcome, Completed) or self._ended_for is not None)
            code = await asyncio.shield(runner.exited)
            self._runner = None
            await asyncio.wait(readers, timeout=1)
            for reader in readers:
                reader.cancel()
            if runner.writer is not None:
                runner.writer.close()
        if watch.done() and not watch.cancelled() and watch.exception() is None:
            return Failed(f"used more memory than its limit of {self.assignment.memory_mb} MB")
        if outcome is not None:
            return outcome
        if self._ended_for is not None:
            return None
        what = f"exit status {code}" if code >= 0 else f"signal {-code}"
        return Failed(f"the workload's process ended without a result ({what})")

    async def _converse(self, runner: Runner) -> Any:
        """Listen to the process until it has said how it ended; None when it just ended."""
        saves: set[asyncio.Task[None]] = set()
        deadline: float | None = None
        try:
            while True:
                async with asyncio.timeout_at(deadline):
                    message = await runner.receive()
                match message:
                    case None:
                        return None
                    case channel.Started():
                        self.report(Started())
                        if self.assignment.timeout_seconds is not None:
                            deadline = asyncio.get_running_loop().time() + self.assignment.timeout_seconds
                    case channel.Report(body=body):
                        self.report(body)
                    case channel.Save(data=data, encoding=encoding):
                        task = asyncio.create_task(self._save_for(runner, data, encoding))
                        saves.add(task)
                        task.add_done_callback(saves.discard)
                    case channel.Done(result_json=result):
                        return Completed(result)
                    case channel.Problem() as problem:
                        if problem.traceback:
                            self.report(LogLine("ERROR", problem.traceback[-8000:].replace("\0", "\ufffd")))
                        return Failed(problem.message, permanent=problem.permanent)
                    case channel.Ended():
                        return None
                    case _:
                        pass
        finally:
            for task in saves:
                task.cancel()

    async def _save_for(self, runner: Runner, data: bytes, encoding: str) -> None:
        try:
            sequence = await self.save(data, encoding)
            runner.send(channel.Saved(sequence, None, False))
        except AttemptEnded:
            runner.send(channel.Saved(0, None, True))
        except CheckpointError as exc:
            runner.send(channel.Saved(0, str(exc), False))

    async def _copy(self, reader: asyncio.StreamReader, level: str) -> None:
        async for line in lines_of(reader):
            if line:
                self.report(LogLine(level, line))

    async def _watch_memory(self, runner: Runner) -> None:
        """Return once the process uses more memory than it may; it is killed then."""
        while True:
            await asyncio.sleep(_MEMORY_POLL_SECONDS)
            if runner.pid is not None and _resident_mb(runner.pid) > self.assignment.memory_mb:
                if self._agent.pool is not None:
                    self._agent.pool.kill(runner, at_once=True)
                return


def _resident_mb(pid: int) -> float:
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:
            return int(file.read().split()[1]) * 4096 / 1e6
    except (OSError, IndexError):
        return 0.0
