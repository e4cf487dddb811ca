"""Local files and objects behave alike: whole or not there, and clear about what is wrong."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from niyanta.errors import ConfigurationError, PermanentError
from niyanta.examples.storage import Allowed, LocalPlace, Place, UnusableNameError
from niyanta.examples.storage import locate as locate_allowed
from niyanta.examples.storage.objects import ObjectPlace
from support.s3_server import S3Server


def locate(url: str, field: str, customer_id: str | None = "cust_test") -> Place:
    return locate_allowed(url, field, Allowed.by_operator(customer_id))


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
    folder, file = locate(str(tmp_path), "f"), locate(f"{tmp_path}/file", "f")
    for use in (folder.open, folder.describe, lambda: put(folder, b"", tmp_path)):
        with pytest.raises(PermanentError, match=r"f: this is a folder"):
            use()
    with pytest.raises(PermanentError, match=r"is no folder"):
        file.entries()
    with pytest.raises(UnusableNameError, match=r"a part of the path is no folder"):
        put(file.child("x"), b"", tmp_path)
    with pytest.raises(UnusableNameError, match=r"the name is too long"):
        put(folder.child("x" * 256), b"", tmp_path)
    put(folder.child("é" * 127 + "x"), b"long", tmp_path)
    assert [entry.name for entry in folder.entries()] == ["file", "é" * 127 + "x"]


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


@pytest.mark.parametrize(
    "url", ["/a/b%20#?c", "file:///a/b%2520%23%3fc", "file://localhost/a/b%2520#?c", "FILE:///a/b%2520#?c"]
)
def test_forms_of_a_local_address(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXAMPLES_ROOT", "/a")
    assert locate(url, "f").url == "/a/b%20#?c"


def test_a_name_that_is_not_utf_8_is_named_so(tmp_path: Path) -> None:
    with pytest.raises(PermanentError, match=r"f: the name must be UTF-8"):
        locate(f"file://{tmp_path}/%ff.csv", "f")


def test_a_folder_names_what_can_t_be_read(tmp_path: Path) -> None:
    folder, outside = tmp_path / "in", tmp_path / "outside"
    for made in (folder / "x.jpg", outside):
        made.mkdir(parents=True)
    (folder / "file").write_bytes(b"1")
    (outside / "secret").write_bytes(b"2")
    (folder / "x.jpg" / "deeper").symlink_to(folder / "file")
    (folder / "broken").symlink_to(folder / "nothing")
    (folder / "round").symlink_to("round")
    (folder / "links").symlink_to(folder / "x.jpg")
    (folder / "out").symlink_to(outside / "secret")
    os.mkfifo(folder / "pipe")
    Path(os.fsdecode(bytes(folder) + b"/caf\xe9")).write_bytes(b"3")
    place = LocalPlace(folder, "f", [folder])
    assert {entry.name: entry.problem for entry in place.entries()} == {
        "file": "",
        "x.jpg/deeper": "",
        "broken": "there is no such file on this worker",
        "round": "links that lead round in a circle",
        "links/": "links to folders aren't followed",
        "out": "a link that leads to where this worker may not read",
        "pipe": "this is no regular file",
        "caf\\xe9": "the name isn't UTF-8; rename the file",
    }
    with place.child("x.jpg/deeper").open() as file:
        assert file.read() == b"1"
    for name, says in (
        ("out", "only below"),
        ("pipe", "no regular file"),
        ("round", "circle"),
        ("broken", "no such"),
    ):
        for use in (place.child(name).open, place.child(name).describe):
            with pytest.raises(PermanentError, match=says):
                use()
    for write in (place.child("out"), place.child("../outside/new"), place.beside("new")):
        with pytest.raises(PermanentError, match="only below"):
            put(write, b"", tmp_path)
    assert (outside / "secret").read_bytes() == b"2"
    assert sorted(os.listdir(tmp_path)) == ["in", "outside"]


def test_an_operator_can_keep_customers_to_one_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "way-out").symlink_to(tmp_path)
    monkeypatch.setenv("EXAMPLES_ROOT", str(root))
    assert locate(f"{root}/in/it", "f").url == f"{root}/in/it"
    for outside in (f"{root}/../x", "/etc/passwd", f"{root}-not/x", f"{root}/way-out/x"):
        with pytest.raises(PermanentError, match=r"f: this worker reads and writes only below"):
            locate(outside, "f")


def test_without_a_setting_the_worker_keeps_to_a_folder_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("EXAMPLES_ROOT")
    monkeypatch.setenv("HOME", str(tmp_path))
    own = f"{tmp_path}/niyanta-examples"
    assert locate(f"{own}/a.csv", "f").url == f"{own}/a.csv"
    for outside in (
        "/etc/passwd",
        f"{tmp_path}/a.csv",
        f"{own}/../a.csv",
        "file:///etc/passwd",
        "/proc/self/environ",
    ):
        with pytest.raises(PermanentError, match=rf"f: this worker reads and writes only below {own};"):
            locate(outside, "f")
    with pytest.raises(PermanentError, match=r"f: this worker may not use s3://b/k for you"):
        locate("s3://b/k", "f")


def test_each_customer_can_have_a_folder_and_buckets(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXAMPLES_ROOT", "/srv/{customer}:/shared")
    monkeypatch.setenv("EXAMPLES_S3", "cust_a=s3://a *=s3://media/{customer} *=s3://input/")
    for_a = ("/srv/cust_a/x", "/shared/x", "s3://a/x", "s3://media/cust_a/x", "s3://input/x")
    for url in for_a:
        assert locate(url, "f", "cust_a").url == url
    for url in ("/srv/cust_b/x", "/srv/x", "s3://aa/x", "s3://media/cust_ab/x", "s3://media/x", "s3://other/x"):
        with pytest.raises(PermanentError, match=r"f: this worker"):
            locate(url, "f", "cust_a")
    for url in ("/srv/cust_a/x", "s3://a/x", "s3://media/cust_a/x", "/srv/x", "/srv//x"):
        with pytest.raises(PermanentError, match=r"f: this worker"):
            locate(url, "f", None)
    assert locate("s3://input/x", "f", None).url == "s3://input/x"
    assert s3.requests == []


def test_an_attempt_gets_what_its_customer_may_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXAMPLES_ROOT", "/srv/{customer}")
    monkeypatch.setenv("EXAMPLES_S3", "cust_a=s3://a *=s3://all")
    for ctx, allowed in (
        (SimpleNamespace(customer_id="cust_a"), Allowed((Path("/srv/cust_a"),), ("a", "all"))),
        (SimpleNamespace(customer_id="cust_b"), Allowed((Path("/srv/cust_b"),), ("all",))),
    ):
        assert Allowed.for_attempt(ctx) == allowed  # type: ignore[arg-type] # all that it looks at


def test_without_a_home_there_is_no_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("EXAMPLES_ROOT")
    monkeypatch.setattr(Path, "home", homeless)
    with pytest.raises(PermanentError, match=r"reads and writes only below no folder"):
        locate("/x", "f")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("EXAMPLES_S3", "s3://bucket"),
        ("EXAMPLES_S3", "*=bucket"),
        ("EXAMPLES_S3", "*=s3://"),
        ("EXAMPLES_ROOT", "a:b"),
    ],
)
def test_settings_that_mean_nothing_are_refused(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=f"{name}: .* must"):
        Allowed.by_operator(None)


@pytest.mark.parametrize(
    "key", ["../other/secret", "mine/../../other/secret", "mine/../theirs", "..", "mine/..", "mine//../../theirs"]
)
def test_steps_back_in_a_key_lead_nowhere(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some stores, and what stands before them, make ``/input/../other`` into ``/other``."""
    monkeypatch.setenv("EXAMPLES_S3", "*=s3://input/mine")
    with pytest.raises(PermanentError, match=r"video_url: this worker may not use s3://input/.* for you"):
        locate(f"s3://input/{key}", "video_url")


class Raced(LocalPlace):
    """Somebody puts a link in the place of a folder, or of the file, right after the path was looked at."""

    swapped: Path
    into: Path

    def real_path(self) -> Path:
        found = super().real_path()
        if not self.swapped.is_symlink():
            self.swapped.rename(self.swapped.with_name("moved"))
            self.swapped.symlink_to(self.into)
        return found


def raced(tmp_path: Path, what: str) -> Raced:
    inside, outside = tmp_path / "root" / "a" / "b", tmp_path / "outside"
    for folder, text in ((inside, "mine"), (outside / "b", "secret"), (outside, "secret")):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "file").write_text(text)
    place = Raced(inside / "file", "video_url", [tmp_path / "root"])
    place.swapped, place.into = {
        "folder": (inside.parent, outside),
        "file": (inside / "file", outside / "file"),
        "its folder": (inside, outside),
    }[what]
    return place


@pytest.mark.parametrize("what", ["folder", "its folder", "file"])
def test_a_link_that_comes_after_the_look_is_not_followed(tmp_path: Path, what: str) -> None:
    with pytest.raises(PermanentError), raced(tmp_path / "read", what).open() as file:
        pytest.fail(str(file.read()))
    at = tmp_path / "write"
    with contextlib.suppress(PermanentError), raced(at, what).writing(tmp_path) as path:
        path.write_text("planted")
    with contextlib.suppress(PermanentError, NotADirectoryError):
        raced(tmp_path / "remove", what).remove()
    for folder in (at, tmp_path / "remove"):
        assert {path.read_text() for path in (folder / "outside").rglob("*") if path.is_file()} == {"secret"}
        assert len([path for path in (folder / "outside").rglob("*") if path.is_file()]) == 2


@pytest.mark.parametrize("what", ["folder", "its folder"])
def test_nor_is_what_lies_behind_it_listed(tmp_path: Path, what: str) -> None:
    place = raced(tmp_path, what)
    folder = Raced(place.path.parent, "video_url", [tmp_path / "root"])
    folder.swapped, folder.into = place.swapped, place.into
    (tmp_path / "outside" / "b" / "theirs").write_text("secret")
    (tmp_path / "outside" / "theirs").write_text("secret")
    with contextlib.suppress(PermanentError):
        assert "theirs" not in {entry.name for entry in folder.entries()}


def test_a_link_in_a_listing_is_looked_at_along_descriptors(tmp_path: Path) -> None:
    place = raced(tmp_path, "folder")
    (tmp_path / "root" / "list").mkdir()
    (tmp_path / "root" / "list" / "link").symlink_to(place.path)
    (tmp_path / "outside" / "b" / "file").write_text("a longer secret")
    listing = LinkRaced(tmp_path / "root" / "list", "video_url", [tmp_path / "root"])
    listing.swapped, listing.into = place.swapped, place.into
    (entry,) = listing.entries()
    assert (entry.size_bytes, bool(entry.problem)) == (0, True)


class LinkRaced(Raced):
    """The link appears when a link in the folder is looked at."""

    def real_path(self) -> Path:
        return super().real_path() if self.path.name == "link" else LocalPlace.real_path(self)

    def child(self, name: str) -> LocalPlace:
        found = LinkRaced(self.path / name, self.field, self._roots)
        found.swapped, found.into = self.swapped, self.into
        return found


def test_a_store_that_redirects_is_not_followed(s3: S3Server, tmp_path: Path) -> None:
    with S3Server() as private:
        private.objects["bucket/x"] = b"secret"
        s3.elsewhere = private.environment["AWS_ENDPOINT_URL"]
        place = locate("s3://bucket/x", "video_url")
        for use in (place.describe, place.open, place.entries, lambda: put(place, b"", tmp_path)):
            with pytest.raises(PermanentError, match=r"video_url: the store sends the worker elsewhere"):
                use()
        assert private.requests == []


@pytest.mark.parametrize("key", ["a//b", "a/../b", "./a", "a b#c?d=e%20f+g", "ü"])
def test_keys_are_taken_as_they_are(s3: S3Server, tmp_path: Path, key: str) -> None:
    put(locate(f"s3://bucket/{key}", "f"), b"data", tmp_path)
    assert s3.objects == {f"bucket/{key}": b"data"}
    with locate(f"s3://bucket/{key}", "f").open() as file:
        assert file.read() == b"data"


def test_without_credentials_it_fails_for_good(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    with pytest.raises(PermanentError, match=r"f: this worker has no credentials for s3://bucket/x"):
        locate("s3://bucket/x", "f").describe()


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
    monkeypatch.setenv("EXAMPLES_S3", "*=s3://bucket")
    place = locate("s3://bucket/x", "f")
    assert isinstance(place, ObjectPlace)
    with pytest.raises(Exception, match=r".") as failed:
        place.describe()
    assert not isinstance(failed.value, PermanentError)
