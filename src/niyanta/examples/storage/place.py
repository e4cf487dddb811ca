"""What the handlers know of a store: a file or a folder, wherever it lies."""

from __future__ import annotations

import contextlib
import errno
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from niyanta.errors import PermanentError

__all__ = ["Entry", "Place", "UnusableNameError", "within_disk_limit"]


class UnusableNameError(PermanentError):
    """Nothing can be written under this one name; others in the same folder may do."""


@dataclass(frozen=True)
class Entry:
    """A file in a folder. ``version`` changes when the content does."""

    name: str
    """Relative to the folder, with ``/`` between its parts; a folder that can't be looked into ends with ``/``."""
    size_bytes: int = 0
    version: str = ""
    problem: str = ""
    """Why it can't be read, as far as that shows without opening it."""


class Place(ABC):
    """A file or a folder.

    A file appears under its name only when it is whole. Errors name the parameter that the address came from. What
    trying again can't mend is a `PermanentError`; a store that is away for the moment raises whatever it raises,
    which counts as transient.
    """

    name: str
    """The last part of the address."""
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

    def contains(self, other: Place) -> bool:
        """Whether the other is this file or folder, or lies below it."""
        return f"{other.url}/".startswith(f"{self.url}/")

    @abstractmethod
    def writing(self, scratch: Path) -> contextlib.AbstractContextManager[Path]:
        """A local path to write to; the file appears here, whole, when the block ends without an error.

        Args:
            scratch: A directory for what has to be uploaded.

        Raises:
            UnusableNameError: No file can have this name.
            PermanentError: The folder can't be written to.
        """

    @abstractmethod
    def entries(self) -> list[Entry]:
        """All that is no folder in this folder and below it, by name; none when it doesn't exist."""

    @abstractmethod
    def remove(self) -> None:
        """Remove the file, or the folder with all in it. Idempotent."""


@contextlib.contextmanager
def within_disk_limit(field: str) -> Iterator[None]:
    """Say which limit it was when a file being written gets too large."""
    try:
        yield
    except OSError as exc:
        if exc.errno != errno.EFBIG:
            raise
        raise PermanentError(
            f"{field}: the file outgrew the workload's disk limit; raise disk_mb in the type's resource_limits"
        ) from exc
