"""What both engines have in common: a directory of their own, a port that stays, a guardian, a log file."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import secrets
import signal
import socket
import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from niyanta.embedded.guardian import GRACE_SECONDS
from niyanta.errors import ConfigurationError

__all__ = ["DirectoryLock", "Engine", "free_port"]

_LOG_LIMIT_BYTES = 16 * 1024 * 1024
_LOWEST_PORT = 15_000


def free_port(wanted: int = 0) -> int:
    """``wanted`` when it is free on loopback, else any free port.

    One that the kernel doesn't hand out to connections, if there is one: nobody takes it by chance before it is used,
    or while what listens there is started anew.
    """
    width = max(1, _lowest_handed_out() - _LOWEST_PORT)
    tries = [_LOWEST_PORT + secrets.randbelow(width) for _ in range(20)]
    for port in ([wanted] if wanted else []) + tries + [0]:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return int(probe.getsockname()[1])
    raise ConfigurationError("no TCP port is free on 127.0.0.1")


def _lowest_handed_out() -> int:
    try:
        return int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split()[0])
    except (OSError, ValueError):
        return 32_768


def _is_alive(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except PermissionError:
        return True
    except (ValueError, OverflowError, ProcessLookupError):
        return False
    return True


class DirectoryLock:
    """One user of a directory at a time, held by an open file: it ends with its process, however that ends."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "lock"
        self._fd: int | None = None

    async def acquire(self, *, wait_seconds: float, live_holder_seconds: float | None = None) -> None:
        """Take it; an earlier user that is just stopping is waited for.

        Args:
            wait_seconds: How long at most.
            live_holder_seconds: How long while the program that took the lock lives, and more than its guardian
                is left; ``wait_seconds`` when None.

        Raises:
            ConfigurationError: Somebody else uses the directory.
        """
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            await self._wait_for(
                fd, wait_seconds, wait_seconds if live_holder_seconds is None else live_holder_seconds
            )
            os.ftruncate(fd, 0)
            os.pwrite(fd, str(os.getpid()).encode(), 0)
        except BaseException:
            os.close(fd)
            raise
        self._fd = fd

    async def _wait_for(self, fd: int, wait_seconds: float, live_holder_seconds: float) -> None:
        clock = asyncio.get_running_loop().time
        begun = clock()
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                holder = os.pread(fd, 32, 0).decode(errors="replace").strip()
            limit = live_holder_seconds if _is_alive(holder) else wait_seconds
            if clock() - begun > limit:
                raise ConfigurationError(
                    f"data directory {self._path.parent} is in use by process {holder or 'unknown'}: "
                    "stop that one first, or choose another with --data-dir"
                )
            await asyncio.sleep(0.05)

    def release(self) -> None:
        """Let others in, as soon as those who inherited it are gone too. Idempotent."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    @property
    def fd(self) -> int:
        """The open file; guardian and engine inherit it, so that the lock outlives a killed parent until they end."""
        if self._fd is None:
            raise RuntimeError("the directory is not locked")
        return self._fd


@dataclass
class _Guarded:
    """A guardian and the engine under it."""

    guardian: asyncio.subprocess.Process
    link: socket.socket
    pid: int

    @property
    def running(self) -> bool:
        return self.guardian.returncode is None

    async def stop(self) -> None:
        self.link.close()
        try:
            async with asyncio.timeout(GRACE_SECONDS + 5):
                await self.guardian.wait()
        except TimeoutError:  # the guardian itself hangs (it was stopped, say), so it hasn't reaped the engine
            for pid in (self.pid, self.guardian.pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            await self.guardian.wait()


class _PortTakenError(Exception):
    """Somebody took the port between our look and the engine's."""


class Engine(ABC):
    """One server as a supervised child process.

    Attributes:
        data_dir: Where all of it lies, its log included.
        port: On 127.0.0.1; the same at every start, as long as it is free.
        secret: Password or token; made at the first start.
    """

    name: str
    bind_failure: str
    """What its log says when somebody else has the port."""
    grace_signal = "SIGTERM"
    start_seconds = 30.0

    def __init__(self, data_dir: Path, *, port: int = 0) -> None:
        self.data_dir = data_dir.absolute()
        self.port = port
        self.secret = ""
        self._fixed_port = port
        self._lock = DirectoryLock(self.data_dir)
        self._turn = asyncio.Lock()
        self._guarded: _Guarded | None = None
        self._log_begins = 0
        """Where the log of the present start does."""

    @property
    @abstractmethod
    def url(self) -> str:
        """Where clients connect, credentials included; good once it has started."""

    @property
    def pid(self) -> int | None:
        """The engine's process id while it runs."""
        return self._guarded.pid if self._guarded and self._guarded.running else None

    @property
    def guardian_pid(self) -> int | None:
        """The process id of the engine's guardian while it runs."""
        return self._guarded.guardian.pid if self._guarded and self._guarded.running else None

    @abstractmethod
    async def prepare(self) -> Sequence[str]:
        """Create what is missing; gives the command line."""

    @abstractmethod
    async def _answers(self) -> bool:
        """Whether it serves: the one that was started, and nobody else who has the port."""

    async def start(self) -> str:
        """Start it (creating it first if need be) and give the URL. Does nothing when it runs; restarts a dead one.

        Raises:
            ConfigurationError: The directory or the port is in use, the wheel is missing, or the engine won't start.
        """
        async with self._turn:
            if self.pid is not None:
                return self.url
            await self._end()
            try:
                self.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
                await self._lock.acquire(wait_seconds=GRACE_SECONDS + 7, live_holder_seconds=2.0)
                await self._bring_up()
            except OSError as exc:
                await self._end()
                raise ConfigurationError(f"data directory {self.data_dir} can't be used: {exc}") from exc
            except BaseException:
                await self._end()
                raise
            return self.url

    async def _bring_up(self) -> None:
        tries = 3
        while True:
            tries -= 1
            self._read_state()
            command = await self.prepare()
            self._guarded = await self._guard(command, self.grace_signal)
            try:
                await self._await_answer(self._guarded)
                return
            except _PortTakenError as exc:
                if self._fixed_port or not tries:
                    raise ConfigurationError(f"{self.name}: port {self.port} is in use on 127.0.0.1") from exc
                await self._guarded.stop()

    def _read_state(self) -> None:
        """The secret and the port of the last start; new ones where there are none, or the port is taken."""
        path = self.data_dir / "engine.json"
        try:
            before = json.loads(path.read_text()) if path.exists() else {}
        except ValueError as exc:
            raise ConfigurationError(f"{path} is damaged: put it back from a backup, or start over") from exc
        self.secret = before.get("secret") or secrets.token_urlsafe(24)
        self.port = free_port(self._fixed_port or int(before.get("port", 0)))
        if self._fixed_port not in (0, self.port):
            self.port = self._fixed_port
            raise ConfigurationError(f"{self.name}: port {self.port} is in use on 127.0.0.1")
        state = {"port": self.port, "secret": self.secret}
        if state == before:
            return
        fresh = path.with_suffix(".new")
        fresh.touch(mode=0o600)
        with fresh.open("w") as file:
            json.dump(state, file)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)

    async def _guard(self, command: Sequence[str], grace_signal: str) -> _Guarded:
        """Run a command under a guardian."""
        log_path = self.data_dir / f"{self.name}.log"
        if log_path.exists() and log_path.stat().st_size > _LOG_LIMIT_BYTES:
            log_path.replace(log_path.with_suffix(".log.1"))
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        try:
            with theirs, log_path.open("ab") as log:
                self._log_begins = log.tell()
                guardian = await asyncio.create_subprocess_exec(
                    sys.executable,
                    *("-I", str(Path(__file__).with_name("guardian.py")), str(theirs.fileno()), grace_signal, "--"),
                    *command,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd=self.data_dir,
                    pass_fds=(theirs.fileno(), self._lock.fd),
                    start_new_session=True,
                )
            said = await asyncio.get_running_loop().sock_recv(ours, 32)
            # A guardian that says nothing is ending; its own id stands for the engine's until it has.
            return _Guarded(guardian, ours, int(said or guardian.pid))
        except BaseException:
            ours.close()  # which ends a guardian that runs already
            raise

    async def _run_guarded(self, command: Sequence[str]) -> int:
        """Run a command to its end, with the same promise: it doesn't outlive this process. Gives its exit code."""
        guarded = await self._guard(command, "SIGTERM")
        try:
            return await guarded.guardian.wait()
        finally:
            await guarded.stop()

    async def _await_answer(self, guarded: _Guarded) -> None:
        try:
            async with asyncio.timeout(self.start_seconds):
                while not await self._answers():
                    if not guarded.running:
                        if self.bind_failure in self._said():
                            raise _PortTakenError
                        raise ConfigurationError(f"{self.name} would not start: {self._last_words()}")
                    await asyncio.sleep(0.02)
        except TimeoutError as exc:
            raise ConfigurationError(
                f"{self.name} did not answer within {self.start_seconds:.0f} s: {self._last_words()}"
            ) from exc

    def _said(self) -> str:
        """What the log says of the present start."""
        with contextlib.suppress(FileNotFoundError), (self.data_dir / f"{self.name}.log").open("rb") as log:
            log.seek(self._log_begins)
            return log.read().decode(errors="replace")
        return ""

    def _last_words(self) -> str:
        return " | ".join(self._said().splitlines()[-3:]) + f" (see {self.data_dir / f'{self.name}.log'})"

    async def wait_exit(self) -> int:
        """Wait until it has ended; gives its exit code, 128 + the signal where one killed it."""
        if self._guarded is None:
            return 0
        return await self._guarded.guardian.wait()

    async def stop(self) -> None:
        """Stop it cleanly; by force after five seconds. Idempotent."""
        async with self._turn:
            await self._end()

    async def _end(self) -> None:
        if self._guarded is not None:
            await self._guarded.stop()
            self._guarded = None
        self._lock.release()
