"""What both engines have in common: a directory of their own, a port that stays, a guardian, a log file."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import secrets
import socket
import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

from niyanta.errors import ConfigurationError

__all__ = ["DirectoryLock", "Engine", "free_port"]


def free_port(wanted: int = 0) -> int:
    """``wanted`` when it is free on loopback, else any free port."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return int(probe.getsockname()[1])
    raise ConfigurationError("no TCP port is free on 127.0.0.1")


class DirectoryLock:
    """One user of a directory at a time, held by an open file: it ends with its process, however that ends."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "lock"
        self._fd: int | None = None

    async def acquire(self, *, wait_seconds: float) -> None:
        """Take it; an earlier user that is just stopping is waited for.

        Raises:
            ConfigurationError: Somebody else uses the directory.
        """
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        deadline = asyncio.get_running_loop().time() + wait_seconds
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if asyncio.get_running_loop().time() > deadline:
                    holder = os.pread(fd, 32, 0).decode(errors="replace").strip() or "unknown"
                    os.close(fd)
                    raise ConfigurationError(
                        f"data directory {self._path.parent} is in use by process {holder}: "
                        "stop that one first, or choose another with --data-dir"
                    ) from None
                await asyncio.sleep(0.05)
        os.ftruncate(fd, 0)
        os.pwrite(fd, str(os.getpid()).encode(), 0)
        self._fd = fd

    def release(self) -> None:
        """Let others in. Idempotent."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    @property
    def fd(self) -> int:
        """The open file; a guardian inherits it, so that the lock outlives a killed parent until it is done."""
        if self._fd is None:
            raise RuntimeError("the directory is not locked")
        return self._fd


class Engine(ABC):
    """One server as a supervised child process.

    Attributes:
        data_dir: Where all of it lies, its log included.
        port: On 127.0.0.1; the same at every start, as long as it is free.
    """

    name: str
    grace_signal = "SIGTERM"

    def __init__(self, data_dir: Path, *, port: int = 0) -> None:
        self.data_dir = data_dir.absolute()
        self.port = port
        self.secret = ""
        self._lock = DirectoryLock(self.data_dir)
        self._process: asyncio.subprocess.Process | None = None
        self._pipe: int | None = None

    @property
    @abstractmethod
    def url(self) -> str:
        """Where clients connect, credentials included."""

    @property
    def pid(self) -> int | None:
        """The guardian's process id while it runs."""
        return self._process.pid if self._process and self._process.returncode is None else None

    @abstractmethod
    async def _prepare(self) -> Sequence[str]:
        """Create what is missing; gives the command line."""

    @abstractmethod
    async def _answers(self) -> bool:
        """Whether it serves."""

    async def start(self) -> str:
        """Start it (creating it first if need be) and give the URL. Does nothing when it runs.

        Raises:
            ConfigurationError: The directory is in use, the wheel is missing, or the engine won't start.
        """
        if self.pid is not None:
            return self.url
        self.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        await self._lock.acquire(wait_seconds=12.0)
        try:
            self._read_state()
            command = await self._prepare()
            await self._spawn(command)
            await self._await_answer()
        except BaseException:
            await self.stop()
            raise
        return self.url

    def _read_state(self) -> None:
        path = self.data_dir / "engine.json"
        state = json.loads(path.read_text()) if path.exists() else {}
        self.secret = state.get("secret") or secrets.token_urlsafe(24)
        self.port = free_port(self.port or int(state.get("port", 0)))
        fresh = path.with_suffix(".new")
        fresh.touch(mode=0o600)
        fresh.write_text(json.dumps({"port": self.port, "secret": self.secret}))
        fresh.replace(path)

    async def _spawn(self, command: Sequence[str]) -> None:
        read, self._pipe = os.pipe()
        try:
            with (self.data_dir / f"{self.name}.log").open("ab") as log:
                self._process = await asyncio.create_subprocess_exec(
                    sys.executable,
                    *("-I", str(Path(__file__).with_name("guardian.py")), str(read), self.grace_signal, "--"),
                    *command,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    pass_fds=(read, self._lock.fd),
                    start_new_session=True,
                )
        finally:
            os.close(read)

    async def _await_answer(self) -> None:
        try:
            async with asyncio.timeout(30):
                while not await self._answers():
                    if self.pid is None:
                        raise ConfigurationError(f"{self.name} would not start: {self._last_words()}")
                    await asyncio.sleep(0.02)
        except TimeoutError as exc:
            raise ConfigurationError(f"{self.name} did not answer within 30 s: {self._last_words()}") from exc

    def _last_words(self) -> str:
        path = self.data_dir / f"{self.name}.log"
        lines = path.read_text(errors="replace").splitlines() if path.exists() else []
        return " | ".join(lines[-3:]) + f" (see {path})"

    async def wait_exit(self) -> int:
        """Wait until it has ended; gives its exit code."""
        if self._process is None:
            return 0
        return await self._process.wait()

    async def stop(self) -> None:
        """Stop it cleanly; by force after ten seconds. Idempotent."""
        if self._pipe is not None:
            os.close(self._pipe)
            self._pipe = None
        if self._process is not None:
            await self._process.wait()
            self._process = None
        self._lock.release()
