"""A worker that is started again shows that the one before it is gone."""

from __future__ import annotations

import os
from pathlib import Path

from niyanta.worker.agent.claim import WorkerClaim


def claim(folder: Path, system: str = "one") -> WorkerClaim:
    return WorkerClaim("w1", system, folder / "claims")


async def test_who_comes_after_learns_who_was_there(tmp_path: Path) -> None:
    first, second = claim(tmp_path), claim(tmp_path)
    assert await first.take(0)
    assert first.predecessors == []
    first.record("a")
    first.record("b")
    assert not await second.take(0.1), "the first is alive"
    assert second.predecessors == []
    first.release()
    assert await second.take(1)
    assert second.predecessors == ["a", "b"]
    second.record("c")
    second.release()
    third = claim(tmp_path)
    assert await third.take(0)
    assert third.predecessors == ["a", "b", "c"], "the second may have ended before the service heard of it"
    third.release()


async def test_the_launcher_holds_it_as_well(tmp_path: Path) -> None:
    first, second = claim(tmp_path), claim(tmp_path)
    assert await first.take(0)
    [held] = first.descriptors
    launchers = os.dup(held)
    first.release()
    assert first.descriptors == []
    assert not await second.take(0.1)
    os.close(launchers)
    assert await second.take(0)
    second.release()


async def test_systems_are_apart_and_a_folder_that_others_reach_is_not_used(tmp_path: Path) -> None:
    first, other = claim(tmp_path), claim(tmp_path, "other")
    assert await first.take(0)
    assert await other.take(0)
    first.release()
    other.release()
    (tmp_path / "claims").chmod(0o755)
    assert not await claim(tmp_path).take(0)


async def test_a_half_written_file_names_nobody(tmp_path: Path) -> None:
    first = claim(tmp_path)
    assert await first.take(0)
    [held] = first.descriptors
    os.pwrite(held, b'["a", "b', 0)
    first.release()
    second = claim(tmp_path)
    assert await second.take(0)
    assert second.predecessors == []
    second.release()
