"""Builds the packages, and uses them as somebody would who has nothing else: no checkout, an empty folder.

Wheel and sdist stay in ``dist``. The wheel, made from the sdist, is installed twice: alone, where the client and the
worker must load and commands that need more must say what; and with everything, where a workload goes from its
submission to its result. What is installed with it is what requirements.lock says.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DIST = ROOT / "dist"
UV = ROOT / ".venv" / "bin" / "uv"
STARTED_SECONDS = 120.0
# What says where this checkout is, or how somebody has set theirs up.
UNWANTED = re.compile(r"(VIRTUAL_ENV|PYTHON\w*|NIYANTA_\w+)$")

WORKER_LOADS = (
    "from niyanta import AsyncClient, Client, Context, Worker; Worker(capacity=1); Client('key', 'http://[::1]')"
)
NEEDS = {"coordinator": "server", "admin": "server", "db": "server", "doctor": "server", "dev": "all"}
IN_SDIST = (
    "src/niyanta/version.py",
    "scripts/setup",
    "tests/conftest.py",
    "Makefile",
    "requirements.lock",
    "LICENSE",
)
IN_WHEEL = (
    "niyanta/py.typed",
    "niyanta/server/rest/console/files/console.js",
    "niyanta/server/rest/openapi/niyanta-v1.json",
    "niyanta/server/rest/openapi/swagger_ui/NOTICE",
    "niyanta/server/rest/openapi/swagger_ui/swagger-ui-bundle.js",
    "niyanta/server/store/migrations/versions/0001_first_schema.sql",
    "niyanta/server/store/workloads.sql",
    "niyanta/wire/v1/workload_service_pb2.pyi",
)


def build() -> tuple[Path, Path]:
    """The wheel and the sdist that it was made from."""
    shutil.rmtree(DIST, ignore_errors=True)
    command = (UV, "build", "--quiet", "--no-build-isolation", "--python", sys.executable, "--out-dir", DIST)
    subprocess.run([str(part) for part in command], cwd=ROOT, check=True)
    (wheel,), (sdist,) = DIST.glob("*.whl"), DIST.glob("*.tar.gz")
    return wheel, sdist


def check_contents(wheel: Path, sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    missing = [name for name in IN_SDIST if name not in names]
    with zipfile.ZipFile(wheel) as archive:
        inside = set(archive.namelist())
    missing += [name for name in IN_WHEEL if name not in inside]
    strange = sorted(
        {name.partition("/")[0] for name in inside} - {"niyanta", f"{'-'.join(wheel.name.split('-')[:2])}.dist-info"}
    )
    if missing or strange:
        sys.exit(f"missing in the packages: {missing}; strange in the wheel: {strange}")


class Installed:
    """An environment of its own with the wheel, and a folder beside it in which commands run."""

    def __init__(self, place: Path, wheel: Path, extra: str = "") -> None:
        self.folder = place / "empty"
        self.folder.mkdir(parents=True)
        self._bin = place / "venv" / "bin"
        self.environment = {name: value for name, value in os.environ.items() if not UNWANTED.match(name)}
        self.environment["PATH"] = f"{self._bin}:{os.defpath}"
        constraints = place / "constraints.txt"
        pinned = re.findall(r"^[\w.\[\]-]+==[^\\\n]+", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
        constraints.write_text("\n".join(pinned) + "\n")
        python = self._bin / "python"
        self.run(UV, "venv", "--quiet", "--python", sys.executable, self._bin.parent)
        self.run(
            UV,
            "pip",
            "install",
            "--quiet",
            "--python",
            python,
            "-c",
            constraints,
            f"niyanta{extra} @ {wheel.as_uri()}",
        )

    def run(self, *command: str | Path) -> str:
        """What it printed; ends everything when it fails."""
        done = self.attempt(*command)
        if done.returncode:
            sys.exit(f"{' '.join(map(str, command))} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout

    def attempt(self, *command: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self._found(command),
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
        )

    @contextlib.contextmanager
    def running(self, *command: str, until: str) -> Iterator[None]:
        """Something that goes on until the block is over, and then ends well on SIGTERM."""
        said = self.folder.parent / "said.txt"
        with said.open("wb") as output:
            process = subprocess.Popen(
                self._found(command), cwd=self.folder, env=self.environment, stdout=output, stderr=output
            )
        try:
            deadline = time.monotonic() + STARTED_SECONDS
            while until not in said.read_text():
                if process.poll() is not None or time.monotonic() > deadline:
                    sys.exit(f"{' '.join(command)} didn't start:\n{said.read_text()}")
                time.sleep(0.1)
            yield
            process.send_signal(signal.SIGTERM)
            if process.wait(timeout=60):
                sys.exit(f"{' '.join(command)} ended with {process.returncode}:\n{said.read_text()}")
        finally:
            process.kill()
            process.wait()

    def _found(self, command: Sequence[str | Path]) -> list[str]:
        first = str(command[0])
        return [first if "/" in first else str(self._bin / first), *map(str, command[1:])]


def check_bare(place: Path, wheel: Path) -> None:
    """The client and the worker are there; what isn't is named."""
    bare = Installed(place, wheel)
    bare.run("python", "-W", "error", "-c", WORKER_LOADS)
    version = bare.run("niyanta", "--version").split()[-1]
    if version != wheel.name.split("-")[1]:
        sys.exit(f"niyanta --version says {version}, the wheel is {wheel.name}")
    for command, extra in NEEDS.items():
        done = bare.attempt("niyanta", command, "--help")
        if done.returncode != 1 or f"pip install 'niyanta[{extra}]'" not in done.stderr:
            sys.exit(f"without its extra, niyanta {command} said: {done.stdout}{done.stderr}")


def check_all(place: Path, wheel: Path) -> None:
    """A worker is written and tested, and a workload runs."""
    whole = Installed(place, wheel, "[all]")
    whole.run("niyanta", "new", "hello")
    ports = ("--port", "0", "--grpc-port", "0")
    with whole.running("niyanta", "dev", "--app", "hello:worker", *ports, until="is ready at"):
        given = json.dumps({"name": "wheel", "steps": 2})
        workload_id = json.loads(whole.run("niyanta", "submit", "hello", "--input", given, "--json"))["workload_id"]
        whole.run("niyanta", "watch", workload_id)
        found = json.loads(whole.run("niyanta", "get", workload_id, "--json"))
    if found["status"] != "COMPLETED" or found["result_data"]["greeting"] != "Hello, wheel!":
        sys.exit(f"the workload isn't as it should be: {found}")


def main() -> None:
    wheel, sdist = build()
    check_contents(wheel, sdist)
    with tempfile.TemporaryDirectory(prefix="niyanta-package-") as folder:
        check_bare(Path(folder) / "bare", wheel)
        check_all(Path(folder) / "all", wheel)
    print(f"{wheel.name} and {sdist.name} are in dist/; the wheel works alone and with everything.")


if __name__ == "__main__":
    main()
