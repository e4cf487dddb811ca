"""The launcher's side of the template: asks for forks, and notices when it can't have them.

Nothing here waits for the template: requests that it hasn't taken yet are kept, and what it doesn't answer in time is
taken for its death.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import socket
import subprocess
import time
from collections import deque
from dataclasses import dataclass
from typing import Literal

from niyanta.worker.launcher.processtree import SLOT_VARIABLE

__all__ = ["Forked", "Template", "Unfit"]

_PLACEHOLDER = "_" * 12
"""As long as a slot's name: a fork writes its own over it."""
_MOST_AT_ONCE = 16
"""Forks that are asked for together; the template has no room for more."""
_ANSWER_SECONDS = 10.0
_MOST_ANSWER_BYTES = 65536


@dataclass(frozen=True)
class Forked:
    """A runner that was forked, or what prevented it."""

    slot: str
    pid: int
    error: str | None = None


@dataclass(frozen=True)
class Unfit:
    """There will be no forks: start an interpreter for each attempt, those ``slots`` first."""

    reason: str
    slots: list[tuple[str, list[int], int]]


@dataclass
class _Request:
    slot: str
    groups: list[str]
    fds: list[int]
    user: int


class Template:
    """One app's template process.

    Args:
        argv: Its command line, but for the descriptor of its socket.
        environment: Its environment, but for the slot.
        scratch: Where the slots have their folders.
        young_seconds: When it ends sooner than this after its start, it isn't started again.

    Attributes:
        socket: To be watched for reading.
        pid: Of the process.
    """

    def __init__(
        self, argv: list[str], environment: dict[str, str], scratch: str, *, young_seconds: float = 10.0
    ) -> None:
        self._argv = argv
        self._scratch = scratch
        self._young_seconds = young_seconds
        self._environment = {**environment, SLOT_VARIABLE: _PLACEHOLDER}
        self._waiting: deque[_Request] = deque()
        self._asked: dict[str, float] = {}
        """Slots whose fork was asked for, by when; in that order."""
        self._start()

    def _start(self) -> None:
        self.socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.setblocking(False)
        self._state: Literal["starting", "ready"] = "starting"
        self._began_at = time.monotonic()
        process = subprocess.Popen(
            [*self._argv, str(theirs.fileno())],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            pass_fds=(theirs.fileno(),),
            start_new_session=True,
        )
        process.returncode = 0  # the launcher reaps it, together with all that is reparented to it
        self.pid = process.pid
        theirs.close()

    def ask(self, slot: str, groups: list[str], fds: list[int], user: int = 0) -> None:
        """Have a runner forked at the next `flush`; the descriptors are ours to close from now on.

        A user of 0 is our own.
        """
        self._waiting.append(_Request(slot, groups, fds, user))

    def flush(self) -> None:
        """Hand over what the template can take now: all that waits together, which costs less. Never blocks."""
        while self._state == "ready" and self._waiting:
            batch = list(itertools.islice(self._waiting, _MOST_AT_ONCE))
            fds = [fd for request in batch for fd in request.fds]
            try:
                socket.send_fds(self.socket, [json.dumps([self._words(request) for request in batch]).encode()], fds)
            except BlockingIOError:
                return
            except OSError:
                return  # it is gone, which reading will tell
            _close(fds)
            for request in batch:
                self._waiting.popleft()
                self._asked[request.slot] = time.monotonic()

    def _words(self, request: _Request) -> dict[str, object]:
        return {
            "slot": request.slot,
            "variable": SLOT_VARIABLE,
            "groups": request.groups,
            "folder": os.path.join(self._scratch, request.slot),
            "user": request.user,
        }

    def is_late(self) -> bool:
        """Whether an answer is overdue."""
        return any(time.monotonic() - asked_at > _ANSWER_SECONDS for asked_at in self._asked.values())

    def receive(self) -> list[Forked | Unfit]:
        """What it has said; an `Unfit` is the last of it, and closes the socket."""
        said: list[Forked | Unfit] = []
        while True:
            try:
                data = self.socket.recv(_MOST_ANSWER_BYTES)
            except BlockingIOError:
                self.flush()
                return said
            except OSError:
                data = b""
            if not data:
                return said + self._ended()
            answer = json.loads(data)
            if "unfit" in answer:
                return [*said, self._unfit(answer["unfit"])]
            if "ready" in answer:
                self._state = "ready"
            else:
                self._asked.pop(answer["slot"], None)
                said.append(Forked(answer["slot"], answer.get("pid", -1), answer.get("error")))

    def _ended(self) -> list[Forked | Unfit]:
        lost: list[Forked | Unfit] = [Forked(slot, -1, "the process to fork from has ended") for slot in self._asked]
        self._asked.clear()
        if self._state == "starting" or time.monotonic() - self._began_at < self._young_seconds:
            return [*lost, self._unfit("the process to fork from ended")]
        self.socket.close()
        self._start()
        return lost

    def _unfit(self, reason: str) -> Unfit:
        self.socket.close()
        left = [(request.slot, request.fds, request.user) for request in self._waiting]
        self._waiting.clear()
        return Unfit(reason, left)

    def kill(self) -> None:
        """End it; its runners aren't touched."""
        with contextlib.suppress(OSError):
            os.kill(self.pid, signal.SIGKILL)

    def close(self, seconds: float) -> list[Forked | Unfit]:
        """Ask for nothing more and end it; gives what it has still said, so that no fork of it is missed."""
        for request in self._waiting:
            _close(request.fds)
        self._waiting.clear()
        if self.socket.fileno() < 0:
            return []
        deadline = time.monotonic() + seconds
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)
        said: list[Forked | Unfit] = []
        while time.monotonic() < deadline:
            self.socket.settimeout(max(0.001, deadline - time.monotonic()))
            try:
                data = self.socket.recv(_MOST_ANSWER_BYTES)
            except OSError:
                break
            if not data:
                break
            answer = json.loads(data)
            if "slot" in answer:
                said.append(Forked(answer["slot"], answer.get("pid", -1), answer.get("error")))
        self.kill()
        self.socket.close()
        return said


def _close(fds: list[int]) -> None:
    for fd in fds:
        os.close(fd)
