"""A PostgreSQL whose disk can be filled: a small file system in memory, which only its own processes see."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from pathlib import Path

from niyanta.embedded import Postgres

__all__ = ["SmallDiskPostgres"]

_AS_ORDINARY_USER = ("unshare", "--user", "--map-user=1000", "--map-group=1000", "--")
_MOUNT = """
set -e
mount -t tmpfs -o size="$2",mode=0700 none "$1.small"
cp -a "$1/." "$1.small/"
# Whoever looks from outside, where the small file system isn't seen, finds the server's own file by this.
ln -s "/proc/$$/root$1.small/postmaster.pid" "$1/postmaster.pid"
mount --bind "$1.small" "$1"
shift 2
exec "$@"
"""


class SmallDiskPostgres(Postgres):
    """It may be started once; what it has stored is gone with it."""

    def __init__(self, data_dir: Path, size: str) -> None:
        settings = {"shared_buffers": "64MB", "max_wal_size": "64MB", "min_wal_size": "32MB"}
        super().__init__(data_dir, extra_settings=settings)
        self._size = size
        self._place = data_dir.absolute() / "cluster"

    async def prepare(self) -> Sequence[str]:
        command = list(await super().prepare())
        self._place.with_suffix(".small").mkdir()
        if command[0] != "unshare":
            command = [*_AS_ORDINARY_USER, *command]
        inside = ["sh", "-c", _MOUNT, "mount", str(self._place), self._size, *command]
        return ["unshare", "--user", "--map-root-user", "--mount", "--", *inside]

    @property
    def filler(self) -> Path:
        """What fills the disk, as seen from here."""
        return Path(f"/proc/{self.pid}/root{self._place}/filler")

    def fill(self) -> int:
        """Take every byte that is left; gives how many there were."""
        size = 0
        with self.filler.open("wb", buffering=0) as file:
            for chunk in (1 << 20, 4096):
                while True:
                    try:
                        size += file.write(b"\0" * chunk)
                    except OSError as exc:
                        if exc.errno != errno.ENOSPC:
                            raise
                        break
        return size
