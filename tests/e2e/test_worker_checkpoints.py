"""Checkpoints too large for the database, and checkpoints that are damaged."""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from niyanta.errors import ConfigurationError, ConnectionFailedError
from niyanta.wire.messages import CheckpointSaved, Completed, Failed, Started
from niyanta.wire.objects import DamagedObjectError, ObjectStore, checkpoint_folder
from support.station import Station, station

LARGE = 11 << 20


@pytest.fixture
def objects(tmp_path: Path) -> Path:
    return tmp_path / "objects"


@pytest.fixture
async def here(tmp_path: Path, objects: Path) -> AsyncIterator[Station]:
    async with station(tmp_path / "scratch", ObjectStore(objects.as_uri())) as found:
        yield found


def stored(objects: Path) -> list[Path]:
    return sorted(path for path in objects.rglob("*") if path.is_file())


async def test_a_large_checkpoint_goes_by_way_of_the_object_store(here: Station, objects: Path) -> None:
    saved = await here.run("echo_checkpoint", {"sizes": [5, LARGE]})
    assert saved.result == {"begun": None, "sequences": [1, 2]}
    small, large = saved.of(CheckpointSaved)
    assert (small.data, small.object_key) == (bytes(5), None)
    assert (large.data, large.size_bytes) == (b"", LARGE)
    assert large.sha256 == hashlib.sha256(bytes(LARGE)).digest()
    [file] = stored(objects)
    assert file == objects / large.object_key
    assert large.object_key.startswith(checkpoint_folder("cust", "wl_0", 1))
    resumed = await here.run("echo_checkpoint", checkpoint_sequence=2)
    assert resumed.result["begun"] == LARGE
    assert resumed.lines() == []


@pytest.mark.parametrize("harm", ["flipped", "cut", "missing"])
async def test_a_damaged_object_falls_back_to_the_checkpoint_before(here: Station, objects: Path, harm: str) -> None:
    await here.run("echo_checkpoint", {"sizes": [7, LARGE]})
    [file] = stored(objects)
    if harm == "missing":
        file.unlink()
    else:
        data = bytearray(file.read_bytes())
        data[1000] ^= 1
        file.write_bytes(data if harm == "flipped" else data[:-1])
    resumed = await here.run("echo_checkpoint", checkpoint_sequence=2)
    assert resumed.result["begun"] == 7
    assert resumed.lines("WARN") == ["checkpoint 2 is damaged or missing; going on from checkpoint 1"]


async def test_no_good_checkpoint_fails_for_good_and_runs_nothing(here: Station, objects: Path) -> None:
    await here.run("echo_checkpoint", {"sizes": [LARGE]})
    stored(objects)[0].unlink()
    record = await here.run("echo_checkpoint", checkpoint_sequence=1)
    assert record.end == Failed("none of the workload's checkpoints is good any more", permanent=True)
    assert record.of(Started) == []


async def test_bytes_damaged_in_the_database_s_answer_are_not_used(here: Station) -> None:
    await here.run("echo_checkpoint", {"sizes": [3, 4]})
    here.checkpoints[2] = msgspec.structs.replace(here.checkpoints[2], data=b"evil")
    resumed = await here.run("echo_checkpoint", checkpoint_sequence=2)
    assert resumed.result["begun"] == 3


async def test_without_a_store_it_is_refused_and_the_attempt_s_own_to_handle(tmp_path: Path) -> None:
    async with station(tmp_path / "scratch") as here:
        record = await here.run("echo_checkpoint", {"sizes": [3, LARGE]})
        assert "the limit is 10485760; larger ones need an object store: set NIYANTA_OBJECT_STORE_URL" in str(
            record.end
        )
        assert len(record.of(CheckpointSaved)) == 1
        here.checkpoints[1] = msgspec.structs.replace(here.checkpoints[1], object_key="somewhere", data=b"")
        elsewhere = await here.run("echo_checkpoint", checkpoint_sequence=1)
        assert "this worker has none: set NIYANTA_OBJECT_STORE_URL" in elsewhere.end.message
        assert not elsewhere.end.permanent


async def test_ten_megabytes_are_fetched_in_ranges(here: Station) -> None:
    await here.run("echo_checkpoint", {"sizes": [10 << 20]})
    resumed = await here.run("echo_checkpoint", checkpoint_sequence=1)
    assert isinstance(resumed.end, Completed)
    assert resumed.result["begun"] == 10 << 20


async def test_a_store_that_is_away_is_no_damage(objects: Path, tmp_path: Path) -> None:
    store = ObjectStore(objects.as_uri())
    with pytest.raises(DamagedObjectError):
        await store.get("checkpoints/none", tmp_path / "x", 1, b"")
    await store.delete(["checkpoints/none"])
    unreachable = ObjectStore(objects.as_uri())
    (tmp_path / "file").write_bytes(b"1")
    os.rmdir(objects)
    os.symlink("/dev/null", objects)
    with pytest.raises(ConnectionFailedError, match="didn't take it"):
        await unreachable.put(tmp_path / "file", "checkpoints/")


@pytest.mark.parametrize("url", ["nonsense", "ftp://x/y", "http://"])
def test_urls_that_can_not_work(url: str) -> None:
    with pytest.raises(ConfigurationError, match="NIYANTA_OBJECT_STORE_URL"):
        ObjectStore(url)
