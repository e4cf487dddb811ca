"""What handlers leave in their folders is removed, whatever it is."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from pathlib import Path

from niyanta.worker.launcher.folders import empty, make_folder, remove_folder, remove_tree


def _fill(folder: Path, outside: Path) -> None:
    """A tree deeper than Python may recurse and longer than a path may be, and whatever else a folder may hold."""
    with contextlib.chdir(folder):
        for _ in range(1500):
            os.mkdir("deep")
            os.chdir("deep")
        Path("file").touch()
    (folder / "out").symlink_to(outside)
    (folder / "circle").symlink_to("circle")
    os.mkfifo(folder / "pipe")
    with socket.socket(socket.AF_UNIX) as listening, contextlib.chdir(folder):
        listening.bind("socket")
    Path(os.fsdecode(bytes(folder) + b"/caf\xe9")).touch()
    (folder / "closed" / "inner").mkdir(parents=True)
    (folder / "closed" / "inner" / "file").touch()
    (folder / "closed" / "out").symlink_to(outside)
    (folder / "closed" / "inner").chmod(0)
    (folder / "closed").chmod(0)
    for number in range(300):
        (folder / str(number)).mkdir()


def test_whatever_is_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").touch()
    folder = make_folder(tmp_path / "folder")
    _fill(folder / "work", outside)
    asyncio.run(remove_folder(folder))
    assert not os.path.lexists(folder)

    work = tmp_path / "work"
    work.mkdir()
    _fill(work, outside)
    asyncio.run(empty(work))
    assert os.listdir(work) == []

    _fill(work, outside)
    remove_tree(work)
    assert sorted(os.listdir(tmp_path)) == ["outside"]
    assert os.listdir(outside) == ["kept"]


def test_what_is_gone_or_no_folder_is_left_alone(tmp_path: Path) -> None:
    asyncio.run(remove_folder(tmp_path / "nothing"))
    remove_tree(tmp_path / "nothing")
    (tmp_path / "kept").mkdir()
    (tmp_path / "link").symlink_to("kept")
    (tmp_path / "file").touch()
    for name in ("link", "file"):
        remove_tree(tmp_path / name)
    assert sorted(os.listdir(tmp_path)) == ["file", "kept", "link"]
