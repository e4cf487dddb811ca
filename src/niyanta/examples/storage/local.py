"""Files of the worker's machine, or of a file system that it shares with others."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from niyanta.errors import PermanentError
from niyanta.examples.storage.place import Entry, Place, UnusableNameError, within_disk_limit

__all__ = ["LocalPlace"]

_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_LISTED = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_MOST_NAME_BYTES = 200
"""Of a temporary name, so that it is never the reason why a name is too long."""

_LASTING = {
    errno.ENOENT: "there is no such file on this worker",
    errno.EACCES: "the worker may not use it",
    errno.EPERM: "the worker may not use it",
    errno.EROFS: "the file system is read-only",
    errno.ENXIO: "this is no regular file",
    errno.ENODEV: "this is no regular file",
}
_OF_THE_NAME = {
    errno.EEXIST: "a part of the path is no folder",
    errno.ENOTDIR: "a part of the path is no folder",
    errno.EISDIR: "this is a folder",
    errno.ELOOP: "links that lead round in a circle",
    errno.ENAMETOOLONG: "the name is too long",
    errno.EILSEQ: "the file system can't hold such a name",
    errno.EINVAL: "the file system can't hold such a name",
}


class LocalPlace(Place):
    """A file or a folder below one of the roots.

    What is used is always the path with its links resolved, so that none leads out of the roots. It is gone along
    folder by folder, by descriptors: a link that somebody puts there meanwhile is not followed.
    """

    def __init__(self, path: Path, field: str, roots: Sequence[Path]) -> None:
        self.path = path
        self.name = path.name
        self.url = str(path)
        self.field = field
        self._roots = roots

    def real_path(self) -> Path:
        """The path without links.

        Raises:
            PermanentError: It lies outside of the roots.
        """
        path = Path(os.path.realpath(self.path))
        if not any(path.is_relative_to(root) for root in self._roots):
            below = ", ".join(map(str, self._roots)) or "no folder"
            raise PermanentError(
                f"{self.field}: this worker reads and writes only below {below}; "
                f"its operator can allow {self.url} (EXAMPLES_ROOT)"
            )
        return path

    def describe(self) -> Entry:
        """Its name, size and version."""
        with self._explained(), self.open() as file:
            return _entry(self.name, os.fstat(file.fileno()))

    def open(self) -> BinaryIO:
        """Open it for reading."""
        with self._explained(), self._held() as (folder, name):
            # Without blocking, as nobody may ever write to a pipe.
            number = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
            mode = os.fstat(number).st_mode
            if stat.S_ISREG(mode):
                return os.fdopen(number, "rb")
            os.close(number)
            raise OSError(errno.EISDIR if stat.S_ISDIR(mode) else errno.ENXIO, "no regular file")

    def child(self, name: str) -> LocalPlace:
        """A place in this folder."""
        return LocalPlace(self.path / name, self.field, self._roots)

    def beside(self, name: str) -> LocalPlace:
        """A place in the same folder."""
        return LocalPlace(self.path.parent / name, self.field, self._roots)

    def contains(self, other: Place) -> bool:
        """Whether another place lies in this folder, links followed."""
        return isinstance(other, LocalPlace) and other.real_path().is_relative_to(self.real_path())

    @contextlib.contextmanager
    def _held(self, *, made: bool = False) -> Iterator[tuple[int, str]]:
        """A descriptor of the folder that it lies in, and its name there; ``made``: with folders that are missing."""
        path = self.real_path()
        root = next(root for root in self._roots if path.is_relative_to(root))
        parts = path.relative_to(root).parts
        if path == root:
            root, parts = root.parent, (root.name or ".",)
        if made:
            root.mkdir(parents=True, exist_ok=True)
        held = os.open(root, _FOLDER)
        try:
            for part in parts[:-1]:
                if made:
                    with contextlib.suppress(FileExistsError):
                        os.mkdir(part, dir_fd=held)
                inner = os.open(part, _FOLDER, dir_fd=held)
                os.close(held)
                held = inner
            yield held, parts[-1]
        finally:
            os.close(held)

    @contextlib.contextmanager
    def writing(self, scratch: Path) -> Iterator[Path]:  # noqa: ARG002 -- other places need it
        """A path to write to; it takes its place when the block ends well, whole or not at all."""
        with contextlib.ExitStack() as held:
            with self._explained():
                folder, name = held.enter_context(self._held(made=True))
                with contextlib.suppress(FileNotFoundError):
                    # A name that is too long shows before the work is done, too.
                    if stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
                        raise IsADirectoryError(errno.EISDIR, "a folder has this name")
            stem = os.fsencode(name)[:_MOST_NAME_BYTES].decode(errors="ignore")
            part = f".{stem}.{secrets.token_hex(4)}.part"
            try:
                with within_disk_limit(self.field):
                    yield Path(f"/proc/self/fd/{folder}/{part}")
                with self._explained():
                    _sync(part, os.O_RDONLY | os.O_NOFOLLOW, folder)
                    os.replace(part, name, src_dir_fd=folder, dst_dir_fd=folder)
                    _sync(".", os.O_RDONLY | os.O_DIRECTORY, folder)
            finally:
                with contextlib.suppress(OSError):
                    os.unlink(part, dir_fd=folder)

    def entries(self) -> list[Entry]:
        """The files below this folder, by name."""
        found: list[Entry] = []
        with self._explained(), contextlib.suppress(FileNotFoundError), self._held() as (folder, name):
            try:
                top = os.open(name, _LISTED, dir_fd=folder)
            except NotADirectoryError:
                raise PermanentError(f"{self.field}: {self.url} is no folder") from None
            levels = [(top, "", iter(os.listdir(top)))]
            try:
                while levels:
                    held, path, names = levels[-1]
                    if (part := next(names, None)) is None:
                        os.close(levels.pop()[0])
                    elif isinstance(inner := self._looked_at(held, part, f"{path}{part}"), Entry):
                        found.append(inner)
                    elif inner is not None:
                        levels.append((inner, f"{path}{part}/", iter(os.listdir(inner))))
            finally:
                for held, _, _ in levels:
                    os.close(held)
        return sorted(found, key=lambda entry: entry.name)

    def _looked_at(self, folder: int, name: str, path: str) -> Entry | int | None:
        """A file as it lies there, with what is wrong with it; of a folder a descriptor; None: it is gone."""
        shown = os.fsencode(path).decode(errors="backslashreplace")
        try:
            found = os.stat(name, dir_fd=folder, follow_symlinks=False)
            if stat.S_ISDIR(found.st_mode):
                shown += "/"
                return os.open(name, _LISTED, dir_fd=folder)
            if shown != path:
                return Entry(shown, problem="the name isn't UTF-8; rename the file")
            if stat.S_ISLNK(found.st_mode):
                with self.child(path)._held() as (other, target):
                    found = os.stat(target, dir_fd=other, follow_symlinks=False)
                if stat.S_ISLNK(found.st_mode):
                    raise OSError(errno.ELOOP, "a link that leads to itself")
                if stat.S_ISDIR(found.st_mode):
                    return Entry(f"{shown}/", problem="links to folders aren't followed")
        except PermanentError:
            return Entry(shown, problem="a link that leads to where this worker may not read")
        except OSError as exc:
            if exc.errno == errno.ENOENT and not os.path.lexists(f"/proc/self/fd/{folder}/{name}"):
                return None
            return Entry(shown, problem=_reason(exc))
        if not stat.S_ISREG(found.st_mode):
            return Entry(shown, problem=_LASTING[errno.ENXIO])
        return _entry(shown, found)

    def remove(self) -> None:
        """Remove it, a folder with all that is in it. Nothing happens when it isn't there."""
        with contextlib.suppress(FileNotFoundError), self._held() as (folder, name):
            if stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
                shutil.rmtree(name, ignore_errors=True, dir_fd=folder)
            else:
                os.unlink(name, dir_fd=folder)

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as exc:
            kind = UnusableNameError if exc.errno in _OF_THE_NAME else PermanentError
            if exc.errno not in _OF_THE_NAME and exc.errno not in _LASTING:
                raise
            raise kind(f"{self.field}: {_reason(exc)}: {self.url}") from exc


def _reason(exc: OSError) -> str:
    number = exc.errno or 0
    return _LASTING.get(number) or _OF_THE_NAME.get(number) or exc.strerror or type(exc).__name__


def _entry(name: str, found: os.stat_result) -> Entry:
    return Entry(name, found.st_size, f"{found.st_size}-{found.st_mtime_ns}")


def _sync(name: str, flags: int, folder: int) -> None:
    number = os.open(name, flags, dir_fd=folder)
    try:
        os.fsync(number)
    finally:
        os.close(number)
