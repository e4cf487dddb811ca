"""A whole system of real processes, for tests that kill parts of it."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import psutil

from niyanta import Client
from niyanta.client.models import Workload

__all__ = ["Dev", "changes", "until", "until_gone"]

APPS = Path(__file__).parent / "apps"


class Dev:
    """A ``niyanta dev`` in a directory of the test's own; with the bundled examples where ``app`` is None.

    ``folder`` is where its app is found.
    """

    def __init__(
        self,
        data_dir: Path,
        environment: Mapping[str, str] | None = None,
        *,
        app: str | None = "counting:worker",
        folder: Path = APPS,
        options: Sequence[str] = (),
    ) -> None:
        self.data_dir = data_dir
        self._folder = folder
        self._options = tuple(options)
        self._app = ("--app", app) if app is not None else ()
        self._environment = dict(environment or {})
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def output(self) -> Path:
        return self.data_dir.with_suffix(".out")

    def launch(self) -> None:
        """Start it without waiting until it is ready."""
        with self.output.open("wb") as stdout:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "niyanta.cli.main", "dev", "--port", "0", "--grpc-port", "0"),
                    *("--data-dir", str(self.data_dir), *self._app, *self._options),
                ],
                cwd=self._folder,
                env={**os.environ, **self._environment, "PYTHONUNBUFFERED": "1"},
                stdout=stdout,
                stderr=stdout,
                start_new_session=True,
            )

    def start(self) -> None:
        self.launch()
        assert self.process is not None
        deadline = time.monotonic() + 60
        while b"is ready at" not in self.output.read_bytes():
            assert self.process.poll() is None, self.output.read_text()
            assert time.monotonic() < deadline, self.output.read_text()
            time.sleep(0.02)

    def client(self) -> Client:
        found = json.loads((self.data_dir / "credentials.json").read_text())
        return Client(found["api_key"], found["base_url"])

    def descendants(self) -> list[psutil.Process]:
        assert self.process is not None
        return psutil.Process(self.process.pid).children(recursive=True)

    def pids(self) -> dict[str, int]:
        found: dict[str, int] = json.loads((self.data_dir / "processes.json").read_text())
        return found

    def terminate(self) -> int:
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(timeout=60)

    def end(self) -> None:
        if self.process is not None and self.process.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.terminate()
            self.process.kill()
            self.process.wait()


def until_gone(processes: list[psutil.Process], seconds: float) -> list[psutil.Process]:
    """Those that still run when the time is up. What has ended and waits for init to take note of it doesn't."""
    deadline = time.monotonic() + seconds
    while (alive := [one for one in processes if _runs(one)]) and time.monotonic() < deadline:
        time.sleep(0.01)
    return alive


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def changes(client: Client, workload_id: str) -> Iterator[Workload]:
    """The workload, whole, at each change that a poll sees, to its end."""
    version = 0
    while True:
        workload = client.workloads.get(workload_id, wait_seconds=10, version=version)
        assert workload.version is not None
        if workload.version > version:
            version = workload.version
            yield workload
        if workload.is_terminal:
            return


def until(client: Client, workload_id: str, status: str, seconds: float = 30.0) -> Workload:
    deadline = time.monotonic() + seconds
    for workload in changes(client, workload_id):
        if workload.status == status:
            return workload
        assert time.monotonic() < deadline, workload
    raise AssertionError(f"ended without being {status}")
