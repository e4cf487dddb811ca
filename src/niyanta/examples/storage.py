"""Where the examples read and write: local paths, ``file://`` and ``s3://``, behind one small interface.

A file appears under its name only when it is whole: local files by rename, objects by one put. Errors name the
parameter that the address came from. What trying again can't mend is a `PermanentError`; a store that is away for
the moment raises whatever it raises, which counts as transient.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import secrets
import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import unquote, urlsplit

from niyanta.errors import PermanentError

if TYPE_CHECKING:
    from obstore import ObjectMeta
    from obstore.store import ObjectStore

__all__ = ["Entry", "LocalPlace", "ObjectPlace", "Place", "locate"]

_READ_BYTES = 2 << 20
_ROOT_VARIABLE = "EXAMPLES_ROOT"


@dataclass(frozen=True)
class Entry:
    """A file in a folder. ``version`` changes when the content does."""

    name: str
    """Relative to the folder, with ``/`` between its parts."""
    size_bytes: int
    version: str


def locate(url: str, field: str) -> Place:
    """The place that an address names.

    Args:
        url: An absolute path, ``file:///path`` or ``s3://bucket/key``.
        field: The parameter it came from, for error messages.

    Raises:
        PermanentError: It is none of these, or lies outside of the folder that ``EXAMPLES_ROOT`` names.
    """
    parts = urlsplit(url)
    if parts.scheme == "s3" and parts.netloc and parts.path.strip("/"):
        return ObjectPlace(_bucket(parts.netloc, field), f"s3://{parts.netloc}", parts.path.strip("/"), field)
    if parts.scheme == "file" and parts.netloc in ("", "localhost"):
        return LocalPlace(_inside_root(Path(unquote(parts.path)), field), field)
    if url.startswith("/"):
        return LocalPlace(_inside_root(Path(url), field), field)
    raise PermanentError(f"{field}: '{url}' must be an absolute path, file:///path or s3://bucket/key")


def _inside_root(path: Path, field: str) -> Path:
    """Keep customers to one folder of the worker's machine, where its operator says so."""
    root = os.environ.get(_ROOT_VARIABLE)
    if not path.is_absolute() or "\0" in str(path):
        raise PermanentError(f"{field}: '{path}' must be an absolute path")
    if root and not path.resolve().is_relative_to(Path(root).resolve()):
        raise PermanentError(f"{field}: this worker reads and writes only under {root}")
    return path


def _bucket(bucket: str, field: str) -> ObjectStore:
    from obstore.exceptions import BaseError
    from obstore.store import S3Store

    endpoint = os.environ.get("AWS_ENDPOINT_URL") or os.environ.get("AWS_ENDPOINT") or ""
    try:
        return S3Store(
            bucket,
            client_options={"allow_http": endpoint.startswith("http://")},
            retry_config={"max_retries": 4, "retry_timeout": timedelta(seconds=30)},
        )
    except (BaseError, ValueError) as exc:
        raise PermanentError(f"{field}: the bucket '{bucket}' can't be used: {exc}") from exc


class Place(ABC):
    """A file or a folder."""

    url: str
    field: str

    @abstractmethod
    def describe(self) -> Entry:
        """What the file is now.

        Raises:
            PermanentError: There is no such file.
        """

    @abstractmethod
    def open(self) -> BinaryIO:
        """The file for reading; seekable.

        Raises:
            PermanentError: There is no such file, or it may not be read.
        """

    @abstractmethod
    def child(self, name: str) -> Place:
        """What lies in this folder under a relative name."""

    @abstractmethod
    def beside(self, name: str) -> Place:
        """What lies in the same folder as this under another name."""

    @property
    @abstractmethod
    def name(self) -> str:
        """The last part of the address."""

    @abstractmethod
    def writing(self, scratch: Path) -> contextlib.AbstractContextManager[Path]:
        """A local path to write to; the file appears here, whole, when the block ends without an error.

        Args:
            scratch: A directory for what has to be uploaded.
        """

    @abstractmethod
    def entries(self) -> list[Entry]:
        """All files in this folder and below it, by name; none when it doesn't exist."""

    @abstractmethod
    def remove(self) -> None:
        """Remove the file, or the folder with all in it. Idempotent."""


class LocalPlace(Place):
    """A file or a folder of the worker's machine, or of a file system that it shares with others."""

    def __init__(self, path: Path, field: str) -> None:
        self.path = path
        self.url = str(path)
        self.field = field

    @property
    def name(self) -> str:
        return self.path.name

    def describe(self) -> Entry:
        with self._explained():
            found = self.path.stat()
            if not self.path.is_file():
                raise PermanentError(f"{self.field}: {self.url} is no file")
        return _local_entry(self.path.name, found)

    def open(self) -> BinaryIO:
        with self._explained():
            return self.path.open("rb")

    def child(self, name: str) -> LocalPlace:
        return LocalPlace(self.path / name, self.field)

    def beside(self, name: str) -> LocalPlace:
        return LocalPlace(self.path.with_name(name), self.field)

    @contextlib.contextmanager
    def writing(self, scratch: Path) -> Iterator[Path]:
        part = self.path.with_name(f".{self.path.name}.{secrets.token_hex(4)}.part")
        with self._explained():
            self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with _within_limit(self.field):
                yield part
            with self._explained():
                with part.open("rb") as written:
                    os.fsync(written.fileno())
                part.replace(self.path)
                _sync_directory(self.path.parent)
        finally:
            with contextlib.suppress(OSError):
                part.unlink()

    def entries(self) -> list[Entry]:
        with self._explained():
            if self.path.exists() and not self.path.is_dir():
                raise PermanentError(f"{self.field}: {self.url} is no folder")
            found = [
                _local_entry(str(path.relative_to(self.path)), path.stat())
                for path in self.path.rglob("*")
                if path.is_file()
            ]
        return sorted(found, key=lambda entry: entry.name)

    def remove(self) -> None:
        if self.path.is_dir():
            shutil.rmtree(self.path, ignore_errors=True)
        else:
            self.path.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as exc:
            says = _LASTING.get(exc.errno or 0)
            if says is None:
                raise
            raise PermanentError(f"{self.field}: {says}: {self.url}") from exc


_LASTING = {
    errno.ENOENT: "there is no such file on this worker",
    errno.EEXIST: "a part of the path is no folder",
    errno.ENOTDIR: "a part of the path is no folder",
    errno.EISDIR: "this is a folder",
    errno.EACCES: "the worker may not use it",
    errno.EPERM: "the worker may not use it",
    errno.EROFS: "the file system is read-only",
    errno.ENAMETOOLONG: "the name is too long",
}


@contextlib.contextmanager
def _within_limit(field: str) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        if exc.errno != errno.EFBIG:
            raise
        raise PermanentError(
            f"{field}: the file outgrew the workload's disk limit; raise disk_mb in the type's resource_limits"
        ) from exc


def _local_entry(name: str, found: os.stat_result) -> Entry:
    return Entry(name, found.st_size, f"{found.st_size}-{found.st_mtime_ns}")


def _sync_directory(path: Path) -> None:
    number = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


class ObjectPlace(Place):
    """An object, or all objects under a prefix, of a store that obstore knows."""

    def __init__(self, store: ObjectStore, root: str, key: str, field: str) -> None:
        self._store = store
        self._root = root
        self._key = key
        self.url = f"{root}/{key}"
        self.field = field

    @property
    def name(self) -> str:
        return self._key.rpartition("/")[2]

    def describe(self) -> Entry:
        import obstore

        with self._explained():
            return _object_entry(self.name, obstore.head(self._store, self._key))

    def open(self) -> BinaryIO:
        return io.BufferedReader(_ObjectReader(self._store, self._key, self.describe().size_bytes), _READ_BYTES)

    def child(self, name: str) -> ObjectPlace:
        return ObjectPlace(self._store, self._root, f"{self._key}/{name}", self.field)

    def beside(self, name: str) -> ObjectPlace:
        folder, slash, _ = self._key.rpartition("/")
        return ObjectPlace(self._store, self._root, f"{folder}{slash}{name}", self.field)

    @contextlib.contextmanager
    def writing(self, scratch: Path) -> Iterator[Path]:
        import obstore

        part = scratch / f"{secrets.token_hex(4)}-{self.name}"
        try:
            with _within_limit(self.field):
                yield part
            with self._explained():
                obstore.put(self._store, self._key, part, chunk_size=16 << 20, max_concurrency=4)
        finally:
            part.unlink(missing_ok=True)

    def entries(self) -> list[Entry]:
        import obstore

        prefix = f"{self._key}/"
        with self._explained():
            found = [
                _object_entry(str(meta["path"]).removeprefix(prefix), meta)
                for batch in obstore.list(self._store, prefix)
                for meta in batch
            ]
        return sorted(found, key=lambda entry: entry.name)

    def remove(self) -> None:
        import obstore

        paths = [f"{self._key}/{entry.name}" for entry in self.entries()]
        with self._explained(), contextlib.suppress(FileNotFoundError):
            obstore.delete(self._store, [*paths, self._key])

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        from obstore.exceptions import PermissionDeniedError, UnauthenticatedError

        try:
            yield
        except FileNotFoundError as exc:
            raise PermanentError(f"{self.field}: there is no {self.url}") from exc
        except (PermissionDeniedError, UnauthenticatedError) as exc:
            raise PermanentError(f"{self.field}: the worker's credentials don't open {self.url}") from exc


def _object_entry(name: str, meta: ObjectMeta) -> Entry:
    return Entry(name, int(meta["size"]), str(meta.get("e_tag") or meta["last_modified"].isoformat()))


class _ObjectReader(io.RawIOBase):
    """Reads an object by ranges, so that seeking costs nothing."""

    def __init__(self, store: ObjectStore, key: str, size_bytes: int) -> None:
        self._store = store
        self._key = key
        self._size = size_bytes
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(0, start + offset)
        return self._at

    def readinto(self, buffer: Any) -> int:
        import obstore

        count = min(len(buffer), self._size - self._at)
        if count <= 0:
            return 0
        data = memoryview(obstore.get_range(self._store, self._key, start=self._at, length=count))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)
