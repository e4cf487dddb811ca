"""The shared servers' files lie in memory where there is room, and don't stay there."""

from __future__ import annotations

from pathlib import Path

from support.quick_folder import quick_folder


def test_it_is_in_memory_while_it_is_used(tmp_path: Path) -> None:
    with quick_folder(tmp_path / "other", tmp_path, 0) as folder:
        assert folder.parent == tmp_path
        (folder / "cluster").mkdir()
        with quick_folder(tmp_path / "other", tmp_path, 0) as beside:
            assert folder.is_dir()
            assert beside != folder
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_is_taken_away(tmp_path: Path) -> None:
    left = tmp_path / "niyanta-tests-left"
    left.mkdir()
    (left / "file").touch()
    with quick_folder(tmp_path / "other", tmp_path, 0) as folder:
        assert list(tmp_path.iterdir()) == [folder]


def test_the_disk_serves_where_there_is_no_room_or_no_such_folder(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    with quick_folder(disk, tmp_path, 2**62) as folder:
        assert folder == disk
    with quick_folder(disk, tmp_path / "nowhere", 0) as folder:
        assert folder == disk
