"""Starts, watches and kills the processes of one agent's workloads: ``python launcher.py FD``.

One small process per agent, without user code and without threads. It is the parent of every workload's process and
the reaper of all their descendants, so it can end a whole tree, daemons included. It kills everything when the agent
is gone (its socket closes), and on its own when the agent hasn't renewed its lease: a frozen agent's workloads stop.

Commands are JSON lines on the socket; a ``spawn`` comes with three file descriptors: control, stdout, stderr.
"""

from __future__ import annotations

import array
import contextlib
import ctypes
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time

GRACE_SECONDS = 5.0
_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER, linux/prctl.h


def stat_of(pid: int) -> tuple[int, int] | None:
    """(parent, session) of a process; None when it is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    return int(fields[1]), int(fields[3])


def slot_of(pid: int) -> str | None:
    """The slot that a process was started for, by its environment."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            for entry in file.read().split(b"\0"):
                if entry.startswith(b"NIYANTA_SLOT="):
                    return entry[13:].decode()
    except OSError:
        return None
    return None


def tree_of(slot: str, root: int) -> set[int]:
    """The slot's processes: its session, its descendants, and what was reparented to us."""
    parents: dict[int, int] = {}
    found: set[int] = set()
    for name in os.listdir("/proc"):
        if name.isdigit() and (stat := stat_of(int(name))):
            pid = int(name)
            parents[pid] = stat[0]
            if stat[1] == root or pid == root or (stat[0] == os.getpid() and slot_of(pid) == slot):
                found.add(pid)
    grew = True
    while grew:
        more = {pid for pid, parent in parents.items() if parent in found and pid not in found}
        found |= more
        grew = bool(more)
    found.discard(os.getpid())
    return found


class Launcher:
    def __init__(self, control: socket.socket) -> None:
        self.control = control
        self.roots: dict[str, int] = {}
        self.exclusive: set[str] = set()
        self.kill_at: dict[str, float] = {}
        self.alive_until = self.exclusive_until = float("inf")
        self.buffer = b""
        self.fds: list[int] = []

    def run(self) -> None:
        woken_read, woken_write = os.pipe()
        os.set_blocking(woken_write, False)
        signal.set_wakeup_fd(woken_write)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(ignored, signal.SIG_IGN)
        while True:
            ready, _, _ = select.select([self.control.fileno(), woken_read], [], [], 0.25)
            if woken_read in ready:
                os.read(woken_read, 512)
            if self.control.fileno() in ready and not self.receive():
                break
            self.reap()
            self.enforce()
        for slot in list(self.roots):
            self.kill(slot, signal.SIGKILL)

    def receive(self) -> bool:
        try:
            data, ancillary, _, _ = self.control.recvmsg(65536, socket.CMSG_SPACE(30 * 4))
        except ConnectionError:
            return False
        for level, kind, payload in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                numbers = array.array("i")
                numbers.frombytes(payload[: len(payload) - len(payload) % numbers.itemsize])
                self.fds += numbers
        if not data:
            return False
        *lines, self.buffer = (self.buffer + data).split(b"\n")
        for line in lines:
            self.obey(json.loads(line))
        return True

    def obey(self, command: dict[str, object]) -> None:
        match command:
            case {"do": "spawn", "slot": str(slot), "argv": list(argv), "env": dict(env), "cwd": str(cwd)}:
                fds, self.fds = self.fds[:3], self.fds[3:]
                self.spawn(slot, argv, env, cwd, fds)
            case {"do": "kill", "slot": str(slot)} if slot in self.roots:
                self.kill(slot, signal.SIGTERM)
                self.kill_at.setdefault(slot, time.monotonic() + GRACE_SECONDS)
            case {"do": "kill_now", "slot": str(slot)} if slot in self.roots:
                self.kill(slot, signal.SIGKILL)
            case {"do": "exclusive", "slot": str(slot)}:
                self.exclusive.add(slot)
            case {"do": "alive", "seconds": float(seconds), "exclusive_seconds": float(exclusive)}:
                self.alive_until = time.monotonic() + seconds
                self.exclusive_until = time.monotonic() + exclusive

    def spawn(self, slot: str, argv: list[str], env: dict[str, str], cwd: str, fds: list[int]) -> None:
        try:
            process = subprocess.Popen(
                [*argv, str(fds[0])],
                env={**env, "NIYANTA_SLOT": slot},
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=fds[1],
                stderr=fds[2],
                pass_fds=fds[:1],
                start_new_session=True,
            )
            process.returncode = 0  # we reap it ourselves, together with all that is reparented to us
            self.roots[slot] = process.pid
            self.tell({"event": "spawned", "slot": slot, "pid": process.pid})
        except OSError as exc:
            self.tell({"event": "exited", "slot": slot, "code": 127, "error": str(exc)})
        finally:
            for fd in fds:
                os.close(fd)

    def reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for slot, root in list(self.roots.items()):
                if root == pid:
                    self.kill(slot, signal.SIGKILL)  # what the workload left running
                    del self.roots[slot]
                    self.kill_at.pop(slot, None)
                    self.exclusive.discard(slot)
                    self.tell({"event": "exited", "slot": slot, "code": os.waitstatus_to_exitcode(status)})

    def enforce(self) -> None:
        now = time.monotonic()
        for slot in list(self.roots):
            lease = self.exclusive_until if slot in self.exclusive else self.alive_until
            if now >= lease or now >= self.kill_at.get(slot, float("inf")):
                self.kill(slot, signal.SIGKILL)

    def kill(self, slot: str, number: signal.Signals) -> None:
        for _ in range(5 if number == signal.SIGKILL else 1):  # a process may fork while we look
            tree = tree_of(slot, self.roots[slot])
            for pid in tree:
                with contextlib.suppress(OSError):
                    os.kill(pid, number)
            if not tree:
                return

    def tell(self, event: dict[str, object]) -> None:
        with contextlib.suppress(OSError):
            self.control.sendall(json.dumps(event).encode() + b"\n")


def main() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_SUBREAPER, 1, 0, 0, 0)
    Launcher(socket.socket(fileno=int(sys.argv[1]))).run()


if __name__ == "__main__":
    main()
