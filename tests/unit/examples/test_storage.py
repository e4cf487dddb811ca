"""Local files and objects behave alike: whole or not there, and clear about what is wrong."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from s3_server import S3Server

from niyanta.errors import PermanentError
from niyanta.examples.storage import LocalPlace, ObjectPlace, Place, locate


@pytest.fixture(params=["local", "s3"])
def folder(request: pytest.FixtureRequest, tmp_path: Path, s3: S3Server) -> Place:
    return locate("s3://bucket/some/folder" if request.param == "s3" else f"{tmp_path}/some/folder", "output_url")


def put(place: Place, data: bytes, scratch: Path) -> None:
    with place.writing(scratch) as path:
        path.write_bytes(data)


def test_what_was_written_is_read(folder: Place, tmp_path: Path) -> None:
    data = os.urandom(5 << 20)
    file = folder.child("a/b c ü.bin")
    put(file, data, tmp_path)
    assert file.name == "b c ü.bin"
    assert file.describe().size_bytes == len(data)
    with file.open() as stream:
        assert stream.seekable()
        assert stream.read(10) == data[:10]
        stream.seek(-7, os.SEEK_END)
        assert stream.read() == data[-7:]
        assert stream.read() == b""
        stream.seek(3_000_000)
        stream.seek(11, os.SEEK_CUR)
        assert stream.read(5) == data[3_000_011:3_000_016]
    assert list(tmp_path.glob("*.bin")) == []


def test_a_large_object_goes_up_in_parts(s3: S3Server, tmp_path: Path) -> None:
    data = os.urandom(40 << 20)
    put(locate("s3://bucket/large", "output_url"), data, tmp_path)
    assert s3.objects == {"bucket/large": data}
    assert sum(request == "PUT /bucket/large" for request in s3.requests) == 3


def test_what_fails_half_way_is_not_there(folder: Place, tmp_path: Path) -> None:
    file = folder.child("x")
    put(file, b"before", tmp_path)

    def failing() -> None:
        with file.writing(tmp_path) as path:
            path.write_bytes(b"half of it")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        failing()
    with file.open() as stream:
        assert stream.read() == b"before"
    assert [entry.name for entry in folder.entries()] == ["x"]


def test_versions_change_with_the_content(folder: Place, tmp_path: Path) -> None:
    file = folder.child("x")
    put(file, b"one", tmp_path)
    version = file.describe().version
    assert file.describe().version == version
    put(file, b"two", tmp_path)
    assert file.describe().version != version


def test_a_folder_lists_all_below_it_by_name_and_nothing_else(folder: Place, tmp_path: Path) -> None:
    for name in ("b", "a/z", "a/y", "c"):
        put(folder.child(name), name.encode(), tmp_path)
    put(folder.beside("folder-not"), b"", tmp_path)
    assert [(entry.name, entry.size_bytes) for entry in folder.entries()] == [
        ("a/y", 3),
        ("a/z", 3),
        ("b", 1),
        ("c", 1),
    ]
    folder.child("b").remove()
    folder.child("b").remove()
    assert [entry.name for entry in folder.entries()] == ["a/y", "a/z", "c"]
    folder.remove()
    folder.remove()
    assert folder.entries() == []
    assert folder.beside("folder-not").describe().size_bytes == 0


def test_what_is_not_there_is_named(folder: Place) -> None:
    for use in (folder.child("x").open, folder.child("x").describe):
        with pytest.raises(PermanentError, match=r"output_url: there is no .*some/folder/x"):
            use()
    assert folder.entries() == []


def test_a_folder_is_no_file_and_the_other_way_round(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(PermanentError, match=r"f: this is a folder"):
        LocalPlace(tmp_path, "f").open()
    with pytest.raises(PermanentError, match=r"is no file"):
        LocalPlace(tmp_path, "f").describe()
    with pytest.raises(PermanentError, match=r"is no folder"):
        LocalPlace(tmp_path / "file", "f").entries()
    with pytest.raises(PermanentError, match=r"a part of the path is no folder"):
        put(LocalPlace(tmp_path / "file" / "x", "f"), b"", tmp_path)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "x",
        "./x",
        "http://h/x",
        "s3://",
        "s3://bucket",
        "s3://bucket/",
        "file://host/x",
        "gs://b/k",
        "file:x",
        "/a\0b",
    ],
)
def test_other_addresses_are_refused(url: str) -> None:
    with pytest.raises(PermanentError, match=r"^csv_url: .* must be"):
        locate(url, "csv_url")


@pytest.mark.parametrize("url", ["/a/b%20c", "file:///a/b%2520c", "file://localhost/a/b%2520c"])
def test_forms_of_a_local_address(url: str) -> None:
    assert locate(url, "f").url == "/a/b%20c"


def test_an_operator_can_keep_customers_to_one_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "way-out").symlink_to(tmp_path)
    monkeypatch.setenv("EXAMPLES_ROOT", str(root))
    assert locate(f"{root}/in/it", "f").url == f"{root}/in/it"
    for outside in (f"{root}/../x", "/etc/passwd", f"{root}-not/x", f"{root}/way-out/x"):
        with pytest.raises(PermanentError, match=r"f: this worker reads and writes only under"):
            locate(outside, "f")


def test_credentials_that_don_t_fit_fail_for_good(s3: S3Server, tmp_path: Path) -> None:
    s3.forbidden = True
    place = locate("s3://bucket/x", "video_url")
    for use in (place.describe, place.open, lambda: put(place, b"", tmp_path)):
        with pytest.raises(PermanentError, match=r"video_url: the worker's credentials don't open s3://bucket/x"):
            use()


def test_a_store_that_is_busy_is_asked_again(s3: S3Server, tmp_path: Path) -> None:
    s3.failures_left = 2
    put(locate("s3://bucket/x", "f"), b"data", tmp_path)
    assert s3.objects == {"bucket/x": b"data"}


def test_a_store_that_is_away_is_no_lasting_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with S3Server() as server:
        environment = server.environment
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    place = locate("s3://bucket/x", "f")
    assert isinstance(place, ObjectPlace)
    with pytest.raises(Exception, match=r".") as failed:
        place.describe()
    assert not isinstance(failed.value, PermanentError)
