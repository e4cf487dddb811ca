"""The process that the runners are forked from: ``python -m niyanta.worker.runner.template APPS POLICY FD``.

A fresh interpreter that imports an app costs a tenth of a second of processor time, a fork of one that has, about a
millisecond. So the launcher starts one template per app. It imports the app and all that a runner needs, runs none
of it, and forks one runner for each attempt.

**Who belongs to whom.** A runner is forked twice, so that it is a child of the launcher, which reaps it and all that
it starts; the template only says its pid. Runners that are asked for together have the process between in common.
Before anything of the user's runs in it, a runner has left the template's session, entered its attempt's cgroups,
taken its own output, closed the way to the launcher, and is shut into its box (`niyanta.worker.box`).

**What a fork shares.** Memory, copied when written. Random numbers are seeded anew; open files of the app are shared,
as any fork shares them, and `Worker.on_fork` is the place to open them again. An app that has threads, sockets or a
graphics device open after its import can't be forked: the template says so and ends, and the launcher starts an
interpreter for each attempt instead.

Before the import it goes a runner's way itself: what that writes to, all runners share (`rehearse`).

The launcher's requests are JSON, those that belong together in one message, with three descriptors each: control,
stdout, stderr.
"""

from __future__ import annotations

import array
import contextlib
import ctypes
import gc
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

from niyanta.worker.box.box import Box
from niyanta.worker.box.landlock import Ruleset
from niyanta.worker.box.policy import Policy
from niyanta.worker.box.rights import hide_memory
from niyanta.worker.handlers.app import App, load_app
from niyanta.worker.handlers.text import describe
from niyanta.worker.runner import exits, output, runner
from niyanta.worker.runner.rehearsal import rehearse
from niyanta.worker.runner.telemetry import handler_spans

if TYPE_CHECKING:
    from niyanta.telemetry.handlers import HandlerSpans

__all__ = ["main"]

_DEVICES = ("/dev/nvidia", "/dev/kfd", "/dev/dri", "/dev/accel")
_MOST_REQUEST_BYTES = 1 << 17
_MOST_AT_ONCE = 16
"""The launcher asks for no more."""
_POLL_SECONDS = 0.0005
_PR_SET_NAME = 15  # linux/prctl.h


def main() -> None:
    """Import the app, say whether it can be forked, and fork runners until the launcher is gone."""
    launcher = socket.socket(fileno=int(sys.argv[-1]))
    launcher.set_inheritable(False)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    before = set(_open_files())
    hide_memory()
    apps = json.loads(sys.argv[1])
    box = Box(Policy.decode(sys.argv[2]), apps)
    failed = "the rehearsal has failed"
    try:
        errors = output.take_over()
        rehearse(errors)
        failed = "the app can't be imported"
        worker = load_app(apps)
        spans = handler_spans()
        problem = _unfit(before)
        box.prepare()
    except BaseException as exc:  # whatever an import can raise, each attempt's own interpreter will say it
        problem = f"{failed}: {describe(exc)}"
    if problem is not None:
        _tell(launcher, {"unfit": problem})
        return
    exits.remember_files()
    gc.collect()
    gc.freeze()  # a collection in a runner would otherwise write to, and so copy, every page
    _tell(launcher, {"ready": True})
    forks = _Forks(worker, errors, launcher, box, spans)
    while requests := _receive(launcher):
        for answer in forks.make(requests):
            _tell(launcher, answer)
        for _, fds in requests:
            _close(fds)


_Request: TypeAlias = tuple[dict[str, Any], list[int]]


def _receive(launcher: socket.socket) -> list[_Request]:
    """The next requests, which belong together, with their descriptors; none when the launcher is gone."""
    numbers = array.array("i")
    room = socket.CMSG_SPACE(_MOST_AT_ONCE * 3 * numbers.itemsize)
    data, ancillary, _, _ = launcher.recvmsg(_MOST_REQUEST_BYTES, room)
    for level, kind, payload in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            numbers.frombytes(payload[: len(payload) - len(payload) % numbers.itemsize])
    asked = json.loads(data or b"[]")
    return [(words, list(numbers[3 * at : 3 * at + 3])) for at, words in enumerate(asked)]


def _tell(launcher: socket.socket, words: dict[str, Any]) -> None:
    with contextlib.suppress(OSError):
        launcher.send(json.dumps(words).encode())


def _close(fds: Iterable[int]) -> None:
    for fd in fds:
        os.close(fd)


class _Forks:
    """Forks runners."""

    def __init__(
        self,
        worker: App,
        errors: output.ErrorOutput,
        launcher: socket.socket,
        box: Box,
        spans: HandlerSpans | None,
    ) -> None:
        self._spans = spans
        self._worker = worker
        self._errors = errors
        self._launcher = launcher
        self._box = box
        self._marking: _Marking | None = None

    def make(self, requests: list[_Request]) -> list[dict[str, Any]]:
        """Fork a runner for each request; gives what is left to answer. Never returns in the runners.

        The process between, whose end makes the launcher their parent, is one for all that are asked for at once: it
        costs as much as a runner's fork. So it also does for all of them what can be done outside. It tells the
        launcher of each, and they wait for its end. So the launcher hears of a runner before that begins, whatever
        becomes of the template.
        """
        self._marking = self._marking or _Marking(requests[0][0]["variable"])
        told, tell = os.pipe()
        between = os.fork()
        if between == 0:
            os.close(told)
            self._make_all(requests, tell)
        os.close(tell)
        with open(told, "rb") as file:
            made = len(file.read())
        os.waitpid(between, 0)
        return [{"slot": asked["slot"], "error": "the fork failed"} for asked, _ in requests[made:]]

    def _make_all(self, requests: list[_Request], tell: int) -> NoReturn:
        between = os.getpid()
        try:
            around = [self._box.around(asked["folder"]) for asked, _ in requests]
            self._box.close()
            for (asked, fds), rules in zip(requests, around, strict=True):
                pid = os.fork()
                if pid == 0:
                    os.close(tell)
                    self._launcher.close()
                    for _, others in requests:
                        if others is not fds:
                            _close(others)
                    for other in around:
                        if other is not None and other is not rules:
                            other.close()
                    self._become_runner(asked, fds, rules, between)
                _tell(self._launcher, {"slot": asked["slot"], "pid": pid})
                os.write(tell, b".")
        finally:
            os._exit(0)

    def _become_runner(self, asked: dict[str, Any], fds: list[int], rules: Ruleset | None, between: int) -> NoReturn:
        code = 127
        try:
            if self._marking is not None:
                self._marking.mark(asked["slot"], b"niyanta-runner")
            os.setsid()
            os.dup2(fds[1], 1)
            os.dup2(fds[2], 2)
            _close(fds[1:])
            for directory in asked["groups"]:
                _enter(directory)
            self._box.enter(asked["folder"], rules, asked["user"])
            while os.getppid() == between:  # it forks others, and tells of them
                time.sleep(_POLL_SECONDS)
            _seed()
            for hook in self._worker.fork_hooks:
                hook()
            runner.serve(self._worker, socket.socket(fileno=fds[0]), self._errors, self._spans)
            code = 0
        except BaseException:
            code = 1
            sys.excepthook(*sys.exc_info())
        finally:
            runner.flush()
            os._exit(code)


def _enter(directory: str) -> None:
    try:
        fd = os.open(f"{directory}/cgroup.procs", os.O_WRONLY)
        try:
            os.write(fd, b"0")
        finally:
            os.close(fd)
    except OSError as exc:
        os.write(2, f"can't enter {directory}: {exc.strerror}\n".encode())
        raise


def _seed() -> None:
    """Have other random numbers than other forks. Python itself sees to those of ``random``."""
    if (numpy := sys.modules.get("numpy")) is not None:
        with contextlib.suppress(AttributeError):
            numpy.random.seed()


class _Marking:
    """How a fork shows from outside which it is: looked up once, in the process that all are forked from.

    Its environment, as ``/proc`` shows it, is where the process began with it. There it has a placeholder as long as
    a slot. Its name is what ``ps -o comm`` shows, 15 bytes at most: the command line stays the template's.
    """

    def __init__(self, variable: str) -> None:
        self._variable = variable
        self._prctl = ctypes.CDLL(None).prctl
        with open("/proc/self/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
        begin, end = int(fields[47]), int(fields[48])  # env_start and env_end of proc_pid_stat(5), less the first two
        block = ctypes.string_at(begin, end - begin)
        found = block.find(f"{variable}=".encode())
        self._at = begin + found + len(variable) + 1 if found >= 0 else 0
        self._room = block.index(b"\0", found) - (self._at - begin) if found >= 0 else 0

    def mark(self, slot: str, name: bytes) -> None:
        """Mark this process."""
        os.environ[self._variable] = slot
        if self._room:
            ctypes.memmove(self._at, slot.encode()[: self._room].ljust(self._room, b"_"), self._room)
        self._prctl(_PR_SET_NAME, name, 0, 0, 0)


def _open_files() -> dict[str, str]:
    """What each descriptor of this process leads to."""
    found = {}
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            found[name] = os.readlink(f"/proc/self/fd/{name}")
    return found


def _unfit(before: set[str]) -> str | None:
    """Why this process can't be forked after the import; None when it can."""
    # Libraries that mind forks (such as OpenBLAS) end their threads when one comes, and start others when needed.
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    if (threads := len(os.listdir("/proc/self/task"))) > 1:
        return f"the app has {threads - 1} threads running after its import"
    for name, target in _open_files().items():
        if target.startswith(_DEVICES):
            return f"the app has {target} open after its import"
        if name not in before and target.startswith("socket:"):
            return "the app has a socket open after its import"
    return None


if __name__ == "__main__":
    main()
