"""Landlock: what a process and all that it starts may open, connect to and signal (landlock(7))."""

from __future__ import annotations

import errno
import os
import struct

from niyanta.worker.box.kernel import add_rule, syscall

__all__ = ["READ", "READ_FILE", "SHARED_MEMORY", "USE_DEVICE", "WRITE", "Ruleset", "version"]

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR, _REMOVE_DIR, _REMOVE_FILE = (1 << bit for bit in range(6))
_MAKE_CHAR, _MAKE_DIR, _MAKE_REG, _MAKE_SOCK, _MAKE_FIFO, _MAKE_BLOCK, _MAKE_SYM = (1 << bit for bit in range(6, 13))
_REFER, _TRUNCATE, _IOCTL_DEV = (1 << bit for bit in range(13, 16))
_FILE_RIGHTS = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV

READ = _EXECUTE | _READ_FILE | _READ_DIR
READ_FILE = _READ_FILE
WRITE = (
    READ
    | _WRITE_FILE
    | _TRUNCATE
    | _REMOVE_DIR
    | _REMOVE_FILE
    | _REFER
    | (_MAKE_DIR | _MAKE_REG | _MAKE_SOCK | _MAKE_FIFO | _MAKE_SYM)
)
USE_DEVICE = READ | _WRITE_FILE | _TRUNCATE | _IOCTL_DEV
SHARED_MEMORY = _READ_FILE | _WRITE_FILE | _TRUNCATE | _MAKE_REG | _REMOVE_FILE
"""Files can be made, and opened by whoever knows their name. The names can't be listed."""

_CREATE_VERSION = 1
_PATH_BENEATH, _NET_PORT = 1, 2
_CONNECT_TCP = 2
_SCOPE_ABSTRACT_SOCKETS, _SCOPE_SIGNALS = 1, 2
_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
"""How many of the rights above each version knows; later ones know as many as the last."""
_SCOPES_SINCE, _PORTS_SINCE = 6, 4


def version() -> int:
    """The kernel's; 0 when there is none."""
    try:
        return syscall("landlock_create_ruleset", None, 0, _CREATE_VERSION)
    except OSError:
        return 0


class Ruleset:
    """What may be done; all else may not, once it is enforced.

    Args:
        known: The kernel's version.
        ports: Whether connections are only open to the ports that are named.
    """

    def __init__(self, known: int, *, ports: bool = False) -> None:
        self._rights = (1 << _RIGHTS.get(known, _RIGHTS[5])) - 1
        scopes = _SCOPE_ABSTRACT_SOCKETS | _SCOPE_SIGNALS if known >= _SCOPES_SINCE else 0
        words = struct.pack("QQQ", self._rights, _CONNECT_TCP if ports and known >= _PORTS_SINCE else 0, scopes)
        size = 24 if known >= _SCOPES_SINCE else 16 if known >= _PORTS_SINCE else 8
        self._fd = syscall("landlock_create_ruleset", words[:size], size, 0)

    def allow(self, fd: int, rights: int, *, is_folder: bool) -> None:
        """Allow something with a file, or with all below a folder, given by a descriptor."""
        rights &= self._rights if is_folder else self._rights & _FILE_RIGHTS
        add_rule(self._fd, _PATH_BENEATH, struct.pack("=Qi", rights, fd))

    def allow_path(self, path: str, rights: int) -> bool:
        """The same by its path; False when nothing can be opened there."""
        try:
            fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            self.allow(fd, rights, is_folder=os.path.isdir(path))
        finally:
            os.close(fd)
        return True

    def allow_port(self, port: int) -> None:
        """Allow connections to a port."""
        add_rule(self._fd, _NET_PORT, struct.pack("QQ", _CONNECT_TCP, port))

    def enforce(self) -> None:
        """Allow this thread, and all that it starts, nothing else any more."""
        try:
            syscall("landlock_restrict_self", self._fd, 0)
        except OSError as exc:
            if exc.errno == errno.E2BIG:
                raise OSError(exc.errno, "there are too many boxes in one another") from exc
            raise
        self.close()

    def close(self) -> None:
        """Let go of it. It is not to be used again."""
        os.close(self._fd)
