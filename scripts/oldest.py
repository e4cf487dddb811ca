"""Runs tests with the oldest of what is supported, as all others run with the newest.

* PostgreSQL: its programs are those of this machine, or come out of Debian's package without being installed.
* Python packages: each at the lower bound that `pyproject.toml` gives it.

What is not to be had is said, and left out.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

from scripts.deploy_checks import CACHE, LeftOutError, WrongError, run

from niyanta.embedded.postgres import BINARIES_VARIABLE
from niyanta.server.store.schema import OLDEST_RELEASE

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = f"postgresql-{OLDEST_RELEASE}"
PROGRAMS = Path("usr", "lib", "postgresql", str(OLDEST_RELEASE), "bin")
TIME_ZONES = Path("/usr/share/zoneinfo/UTC")
"""Where Debian's programs look for them, wherever they are themselves."""
TESTS = (
    "tests/integration/test_store_queries.py",
    "tests/integration/test_migrations.py",
    "tests/integration/test_database_roles.py",
    "tests/integration/test_closed_broker.py",
    "tests/api/test_batches.py",
    "tests/api/test_contract_walk.py",
    "tests/api/test_tls.py",
    "tests/api/test_websocket.py",
    "tests/api/test_workloads.py",
    "tests/unit/wire/test_link.py",
    "tests/unit/wire/test_opening.py",
)
"""Each query, what roles may do, a workload's whole life, and what stands on other packages."""
_FOR_TESTS = ("grpcio-status", "hypothesis", "psutil", "pytest")
"""What begins so among the packages of development, these tests need."""


def programs() -> Path:
    """The folder with ``initdb`` and ``postgres``.

    Raises:
        LeftOutError: They can't be had.
    """
    installed = Path("/") / PROGRAMS
    if (installed / "postgres").exists():
        return installed
    place = CACHE / PACKAGE
    ready = place / "bin"
    if not (ready / "postgres").exists():
        if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
            raise LeftOutError(f"neither PostgreSQL {OLDEST_RELEASE} nor apt, which would bring it, is here")
        if not TIME_ZONES.exists():
            raise LeftOutError("this machine has no time zones")
        try:
            _unpack(place)
        except WrongError as exc:
            raise LeftOutError(f"{PACKAGE} can't be had: {str(exc).splitlines()[-1]}") from exc
    return ready


def _unpack(place: Path) -> None:
    """Take the package, and of what it needs what this machine lacks, out of their archives."""
    archives = place / "archives"
    (archives / "partial").mkdir(parents=True, exist_ok=True)
    fetch = ("apt-get", "install", "-q", "-y", "--no-install-recommends", "--download-only", "--reinstall", PACKAGE)
    options = ("-o", f"Dir::Cache::archives={archives}", "-o", "Debug::NoLocking=1")
    try:
        run(*fetch, *options)
    except WrongError:
        run("apt-get", "update", "-qq")  # a new machine has no lists
        run(*fetch, *options)
    for archive in archives.glob("*.deb"):
        run("dpkg-deb", "-x", archive, place)
    libraries = ":".join(str(found) for found in sorted((place / "usr" / "lib").glob("*-linux-gnu*")))
    (place / "bin").mkdir(exist_ok=True)
    for name in ("initdb", "postgres"):
        program = place / "bin" / name
        program.write_text(
            f'#!/bin/sh\nexport LD_LIBRARY_PATH="{libraries}"\nexec "{place / PROGRAMS / name}" "$@"\n'
        )
        program.chmod(0o755)
    shutil.rmtree(archives)


def environment() -> Path:
    """Python with each package that is needed, as old as it may be.

    Raises:
        LeftOutError: They can't be had.
    """
    place = ROOT / "build" / "oldest"
    python = place / "bin" / "python"
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    tools = [requirement for requirement in extras["dev"] if requirement.startswith(_FOR_TESTS)]
    uv = ROOT / ".venv" / "bin" / "uv"
    try:
        run(uv, "venv", "--quiet", "--clear", "--python", sys.executable, place)
        asked = ("--resolution", "lowest-direct", "--editable", ".[all]", *tools)
        run(uv, "pip", "install", "--quiet", "--python", python, *asked)
    except WrongError as exc:
        raise LeftOutError(f"packages at their lower bounds can't be had: {str(exc).splitlines()[-1]}") from exc
    return python


def main() -> int:
    settings, python = dict(os.environ), Path(sys.executable)
    try:
        found = programs()
        print(run(found / "postgres", "--version").strip(), flush=True)
        settings[BINARIES_VARIABLE] = str(found)
    except (LeftOutError, WrongError) as exc:
        print(f"LEFT OUT: {exc}", flush=True)
    try:
        python = environment()
        print("each package at its lower bound", flush=True)
    except LeftOutError as exc:
        print(f"LEFT OUT: {exc}", flush=True)
    command = [str(python), "-m", "pytest", "-n", settings.get("TEST_PROCESSES", "4"), *TESTS, *sys.argv[1:]]
    return subprocess.run(command, cwd=ROOT, env=settings).returncode


if __name__ == "__main__":
    sys.exit(main())
