"""The agent's side of the launcher, and the pool of warm processes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import secrets
import socket
import sys
import time
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

from niyanta.domain.limits import MAX_PROCESSES
from niyanta.domain.workers import Wall
from niyanta.errors import TransientError
from niyanta.worker.box.policy import Policy, policy_by
from niyanta.worker.handlers.text import plain
from niyanta.worker.launcher.folders import remove_folder
from niyanta.worker.launcher.holding import limits_text, walls_text
from niyanta.worker.launcher.kept import REST_SECONDS, Kept, Kind
from niyanta.worker.launcher.orders import Orders
from niyanta.worker.launcher.over import Over
from niyanta.worker.launcher.process import Exit, Runner, opened
from niyanta.worker.launcher.users import users_for
from niyanta.worker.runner import channel

__all__ = ["ProcessPool"]

log = logging.getLogger(__name__)

_MOST_WARM_INTERPRETERS = 2
"""Where processes aren't forked each has some thirty megabytes of its own, and costs a tenth of a second."""
_WHOLE_SECONDS, _LATE_FORK_SECONDS = 1.0, 10.0
_RETIRE_SECONDS = 5.0
"""For a process that was kept to end by itself: a little more than its exit handlers may take."""


class ProcessPool:
    """Starts processes through the launcher, keeps a few warm, and those that may serve another attempt.

    Args:
        app: References under which the processes find the handlers.
        warm: How many processes wait for whatever comes; fewer, where they can't be forked.
        scratch: The directory for attempts.
        fork: Whether processes may be forked from one that has imported the app.
        most: Attempts at once; no more processes than that are at work or kept for another attempt.
        rest_seconds: How long one is kept for another attempt.
        policy: What they may reach. User ids in it that can't be used are a `ConfigurationError`.
    """

    def __init__(
        self,
        app: Sequence[str],
        warm: int,
        scratch: Path,
        *,
        fork: bool = True,
        most: int = 1,
        rest_seconds: float = REST_SECONDS,
        policy: Policy | None = None,
    ) -> None:
        apps = json.dumps(list(app))
        self._argv = [sys.executable, "-m", "niyanta.worker.runner", apps]
        self._template = [sys.executable, "-m", "niyanta.worker.runner.template", apps] if fork else []
        self._warm = warm
        self._scratch = scratch
        self._policy = policy or policy_by(Policy())
        self._users = users_for(self._policy, most, warm, scratch)
        self._walls: asyncio.Future[tuple[Wall, ...]]
        self.held_open: Callable[[], Sequence[int]] = tuple
        """Descriptors that the launcher keeps, and gives to nobody."""
        self._idle: deque[Runner] = deque()
        self._runners: dict[str, Runner] = {}
        self._most = most
        self._at_work: set[Runner] = set()
        self._kept = Kept(self._retire, rest_seconds)
        self._launcher: asyncio.subprocess.Process | None = None
        self._socket: socket.socket | None = None
        self._orders = Orders()
        self._tasks: set[asyncio.Task[None]] = set()
        self._warming = self._closing = False
        self._may_fork, self._forks = fork, False

    async def start(self) -> None:
        """Start the launcher and the first warm processes."""
        self._walls = asyncio.get_running_loop().create_future()
        await self._start_launcher()
        await self._warm_up()

    async def _start_launcher(self) -> None:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        self._launcher = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "niyanta.worker.launcher"),
            *(str(theirs.fileno()), str(self._scratch)),
            *(json.dumps(self._argv), json.dumps(self._template), self._policy.encode()),
            stdin=asyncio.subprocess.DEVNULL,
            pass_fds=(theirs.fileno(), *self.held_open()),
            start_new_session=True,
        )
        theirs.close()
        self._socket = ours
        self._orders = Orders()
        self._go(self._listen(ours))
        self._go(self._orders.send(ours))

    def _go(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def walls(self) -> tuple[Wall, ...]:
        """The walls around each process that hold on this machine, once the launcher has said so."""
        return await asyncio.shield(self._walls)

    @property
    def kept(self) -> int:
        """How many processes wait for another attempt of their kind."""
        return len(self._kept)

    def descriptors(self) -> list[int]:
        """What nobody else may hold: whoever does hides our death from the launcher."""
        held = [number for runner in self._runners.values() for number in runner.descriptors()]
        if self._socket is not None and (number := self._socket.fileno()) >= 0:
            held.append(number)
        return held

    # --- the launcher's socket ------------------------------------------------------------------

    @property
    def has_unsent(self) -> bool:
        """Whether commands wait until the launcher takes them."""
        return self._orders.wait

    async def _listen(self, ours: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        buffer = b""
        while True:
            try:
                data = await loop.sock_recv(ours, 65536)
            except OSError:
                data = b""
            if not data:
                break
            *lines, buffer = (buffer + data).split(b"\n")
            for line in lines:
                self._on_event(json.loads(line))
        for runner in list(self._runners.values()):
            if runner.pid is not None and not self._closing:
                with contextlib.suppress(OSError):
                    os.killpg(runner.pid, 9)
            self._ended(runner, Exit(-9))
        if not self._closing:
            log.error("launcher.died: its processes were ended; starting another")
            self._socket = None
            ours.close()
            await self._start_launcher()

    def _on_event(self, event: dict[str, Any]) -> None:
        match event["event"]:
            case "limits":
                if not self._walls.done():
                    log.info("worker.limits: %s", limits_text(event["kernel"]))
                    walls = tuple(Wall(name) for name in event["walls"])
                    if gaps := walls_text(walls):
                        log.warning("worker.walls: %s", gaps)
                    self._walls.set_result(walls)
            case "no_forks":
                self._may_fork = self._forks = False
                log.warning("worker.no_forks: %s; each attempt starts an interpreter of its own", event["reason"])
            case _:
                if (runner := self._runners.get(event["slot"])) is not None:
                    self._on_runner_event(runner, event)

    def _on_runner_event(self, runner: Runner, event: dict[str, Any]) -> None:
        match event["event"]:
            case "spawned":
                runner.pid = event["pid"]
            case "alone":
                if not runner.alone.done():
                    runner.alone.set_result(event["alone"])
            case "limited":
                if not runner.limited.done():
                    runner.limited.set_result(event.get("error"))
            case "exited":
                if event.get("error"):
                    runner.recent.append(str(event["error"]).encode())
                self._ended(
                    runner, Exit(event["code"], Over(event["over"]) if event["over"] else None, event["used_mb"])
                )

    def _ended(self, runner: Runner, how: Exit) -> None:
        if self._runners.pop(runner.slot, None) is not None and self._users is not None:
            late_seconds = _LATE_FORK_SECONDS if how.over is Over.TEMPLATE else 0.0
            self._users.give_back(runner.user, runner.folder, after_seconds=late_seconds)
        if runner in self._at_work:
            self._at_work.remove(runner)  # its folder is removed with the attempt that is in it
        else:
            self._go(remove_folder(runner.folder))
        if self._kept.discard(runner):
            runner.close()
        elif runner in self._idle:
            self._idle.remove(runner)
            runner.close()
        elif how.over is Over.TEMPLATE:
            runner.close()  # the fork may have come to life after all, and is to find nobody there
        if not runner.exited.done():
            runner.exited.set_result(how)
        if not runner.limited.done():
            runner.limited.set_result(None)

    # --- processes ------------------------------------------------------------------------------

    async def _spawn(self, kind: Kind | None = None) -> Runner:
        runner, ends = await self._opened()
        self._start(runner, ends, kind)
        return runner

    async def _opened(self) -> tuple[Runner, list[int]]:
        """A process that is yet to be started, and its ends of the pipes."""
        if self._socket is None:
            raise TransientError("the launcher is being started again")
        slot = secrets.token_hex(6)
        user = await self._users.take() if self._users is not None else 0
        try:
            return await opened(slot, self._scratch / slot, user)
        except BaseException:
            if self._users is not None:
                self._users.give_back(user, self._scratch / slot)
            raise

    def _start(self, runner: Runner, ends: list[int], kind: Kind | None = None) -> None:
        slot = runner.slot
        self._runners[slot] = runner
        strict, network = (kind.strict, kind.network) if kind is not None else (False, True)
        self._orders.add(do="spawn", slot=slot, strict=strict, network=network, user=runner.user, fds=ends)

    async def _warm_up(self) -> None:
        """Have as many processes wait as should, once half are gone: forks that are asked for together cost less."""
        most = self._warm if self._forks else min(self._warm, _MOST_WARM_INTERPRETERS)
        if self._warming or len(self._idle) > most // 2:
            return
        self._warming = True
        found: list[tuple[Runner, list[int]]] = []
        try:
            with contextlib.suppress(TransientError):  # an attempt that needs one will say it
                while len(self._idle) + len(found) < most and not self._closing:
                    found.append(await self._opened())
        finally:
            self._warming = False
            for runner, ends in found:
                self._start(runner, ends)
                self._idle.append(runner)

    async def take(self, kind: Kind, reuse: int) -> Runner:
        """A process that has imported the app, for one workload, under its limits.

        Args:
            kind: What it is for.
            reuse: How many attempts of the kind a process may serve.

        Raises:
            TransientError: It ended before it was ready, or can't be limited; says what it last wrote.
        """
        runner = self._kept.take(kind) if reuse > 1 else None
        if runner is None:
            self._kept.make_room(self._most - len(self._at_work) - 1)
            runner = await self._limited(kind)
        runner.served += 1
        self._at_work.add(runner)
        return runner

    async def _limited(self, kind: Kind) -> Runner:
        runner, ready = await self._ready(kind)
        try:
            if not isinstance(ready, channel.Ready):
                await runner.copied(1.0)
                words = plain(b" | ".join(runner.recent).decode(errors="replace")) or "it said nothing"
                raise TransientError(f"the workload's process ended before it began: {words}")
            memory_mb, cores = kind.memory_mb, float(kind.cpu_cores)
            self._orders.add(do="limit", slot=runner.slot, memory_mb=memory_mb, cores=cores, processes=MAX_PROCESSES)
            if problem := await runner.limited:
                raise TransientError(f"the workload's limits can't be set: {problem}")
        except BaseException:
            self.kill(runner, at_once=True)
            runner.close()
            raise
        return runner

    async def _ready(self, kind: Kind) -> tuple[Runner, channel.FromRunner | None]:
        """A process with the first that it says; None for one that has ended instead."""
        while True:
            while self._idle and not kind.is_special:
                runner = self._idle.popleft()
                if not runner.exited.done():
                    break
            else:
                runner = await self._spawn(kind)
            self._go(self._warm_up())
            try:
                ready = await runner.receive()
                if isinstance(ready, channel.Ready) and not runner.exited.done():
                    self._forks = self._may_fork  # which the launcher has found out by now
                    return runner, ready
                if (await runner.exited).over is not Over.TEMPLATE:
                    return runner, None
            except BaseException:
                self.kill(runner, at_once=True)
                runner.close()
                raise
            runner.close()

    async def is_whole(self, runner: Runner) -> bool:
        """Whether all that a process has written is read, and nothing else of its tree is left: it may be kept."""
        runner.alone = asyncio.get_running_loop().create_future()
        self._orders.add(do="alone", slot=runner.slot)
        try:
            async with asyncio.timeout(_WHOLE_SECONDS):
                await runner.drained()
                ends: set[asyncio.Future[Any]] = {runner.alone, runner.exited}
                await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        except TimeoutError:
            return False
        return runner.alone.done() and runner.alone.result() and not runner.exited.done()

    def keep(self, runner: Runner, kind: Kind) -> None:
        """Have a process wait for another attempt of its kind."""
        runner.output = None
        self._at_work.discard(runner)
        if runner.exited.done() or self._closing:
            runner.close()
            self._go(remove_folder(runner.folder))
        else:
            self._kept.add(kind, runner)
            self._kept.make_room(self._most - len(self._at_work))

    def _retire(self, runner: Runner) -> None:
        """End a process that was kept, as Python programs end."""
        runner.dismiss()
        self._go(self._see_off(runner))

    async def _see_off(self, runner: Runner) -> None:
        await asyncio.wait({runner.exited}, timeout=_RETIRE_SECONDS)
        self.kill(runner, at_once=True)
        await runner.exited
        runner.close()

    def kill(self, runner: Runner, *, at_once: bool = False) -> None:
        """End a process and all its descendants: SIGTERM, five seconds, SIGKILL; or SIGKILL now."""
        self._orders.add(do="kill_now" if at_once else "kill", slot=runner.slot)

    def mark_exclusive(self, runner: Runner) -> None:
        """End it before the worker's lease can be handed on, should the agent be frozen."""
        self._orders.add(do="exclusive", slot=runner.slot)

    def renew(self, seconds: float, exclusive_seconds: float) -> None:
        """Tell the launcher how long it may let things run without hearing from us again.

        By the machine's monotonic clock, which it shares: an order that it reads late must not prolong anything.
        """
        now = time.monotonic()
        self._orders.add(do="alive", until=now + seconds, exclusive_until=now + exclusive_seconds)

    async def close(self) -> None:
        """End everything. Idempotent."""
        self._closing = True
        kept = self._kept.take_all()
        for runner in kept:
            runner.dismiss()
        if kept:
            await asyncio.wait({runner.exited for runner in kept}, timeout=_RETIRE_SECONDS)
        runners = list(self._runners.values())
        if self._socket is not None:
            # A close alone would not reach the launcher while the event loop still reads from the socket.
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
        if self._launcher is not None:
            await self._launcher.wait()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        for runner in {*runners, *self._runners.values()}:  # some may just have been opened
            self._ended(runner, Exit(-9))
            runner.close()
        if self._users is not None:
            self._users.close()
