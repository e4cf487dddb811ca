"""Which files an app is made of, and whether one has changed."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

__all__ = ["SourceFiles"]

_POLL_SECONDS = 0.3
_REST_SECONDS = 0.1  # an editor may write a file in several steps

Stamps = dict[Path, tuple[int, int]]


class SourceFiles:
    """The Python files beside those that are loaded from below a folder; what is installed isn't among them.

    A look costs a ``stat`` a file, and there are few.
    """

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()
        self._folders = set(self._loaded_folders())
        self._seen = self._look()

    async def changed(self) -> list[str]:
        """Wait until files have changed and come to rest; gives their names, relative to the folder."""
        while (now := self._look()) == self._seen:
            await asyncio.sleep(_POLL_SECONDS)
        settled: Stamps | None = None
        while settled != now:
            settled = now
            await asyncio.sleep(_REST_SECONDS)
            now = self._look()
        before, self._seen = self._seen, now
        different = {path for path in (*before, *now) if before.get(path) != now.get(path)}
        return sorted(str(path.relative_to(self._root)) for path in different)

    def _loaded_folders(self) -> Iterator[Path]:
        """Folders below ours from which a module was imported, but for virtual environments."""
        for module in list(sys.modules.values()):
            name = getattr(module, "__file__", None)
            if not name:
                continue
            path = Path(name).resolve()
            if path.is_relative_to(self._root) and "site-packages" not in path.parts:
                yield path.parent

    def _look(self) -> Stamps:
        found: Stamps = {}
        for folder in self._folders:
            for path in folder.glob("*.py"):
                with contextlib.suppress(OSError):
                    state = path.stat()
                    found[path] = state.st_mtime_ns, state.st_size
        return found
