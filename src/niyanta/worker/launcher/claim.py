"""A claim to user ids, so that two workers of one machine never give out the same."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
import struct
from pathlib import Path

from niyanta.errors import ConfigurationError

__all__ = ["CLAIMS", "claim"]

log = logging.getLogger(__name__)

CLAIMS = Path("/run/niyanta-attempt-uids/claims")
"""An empty file: the kernel keeps a lock on a byte of it for each id. Only root may open it."""

_LOCK = "hhqqi4x"
"""struct flock: type, whence, start, length, process."""


def claim(first: int, last: int, path: Path = CLAIMS) -> int | None:
    """Have ids of this machine for oneself.

    Args:
        first: The first of them.
        last: The last.
        path: The file that tells who has which.

    Returns:
        A descriptor: they are ours until it is closed, at the latest when this process has ended in whatever way.
        None where there can be no such file, or no locks on it.

    Raises:
        ConfigurationError: Somebody else has one of them.
    """
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        log.warning("worker.uids_unclaimed", extra={"path": str(path), "error": str(error)})
        return None
    with contextlib.ExitStack() as stack:
        stack.callback(os.close, file)
        wanted = struct.pack(_LOCK, fcntl.F_WRLCK, os.SEEK_SET, first, last - first + 1, 0)
        try:
            fcntl.fcntl(file, fcntl.F_OFD_SETLK, wanted)
        except OSError as exc:
            if exc.errno not in (errno.EAGAIN, errno.EACCES):  # no locks here
                log.warning("worker.uids_unclaimed", extra={"path": str(path), "error": str(exc)})
                return None
            kind, _, start, length, _ = struct.unpack(_LOCK, fcntl.fcntl(file, fcntl.F_OFD_GETLK, wanted))
            theirs = f"{start}-{start + length - 1}" if kind != fcntl.F_UNLCK else "some of them"
            raise ConfigurationError(
                f"--attempt-uids: another worker on this machine has {theirs}. "
                f"Give each worker a range of its own, not {first}-{last} here"
            ) from exc
        stack.pop_all()
    return file
