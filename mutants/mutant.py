"""A guard that is taken away, by exact text, so that it is found wherever its lines have moved to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

__all__ = ["Mutant", "NoSuchGuardError"]


class NoSuchGuardError(Exception):
    """The text of a guard isn't in the product, or not in one place only: the mutant must follow what changed."""


@dataclass(frozen=True)
class Mutant:
    """One guard of the product, how it is taken away, and who must notice.

    Attributes:
        name: Of the mutant, for the command line.
        promise: What holds no longer without the guard.
        text: The guard, as it stands in exactly one place of ``src/niyanta``.
        instead: What stands there without it. The product still runs, and all goes well while nothing goes wrong.
        test: The test that must fail then: a file below ``tests`` and a test's name, with ``::`` between.
    """

    name: str
    promise: str
    text: str
    instead: str
    test: str

    @property
    def test_id(self) -> str:
        """As pytest names the test from the root of the project."""
        return f"tests/{self.test}"

    def place(self, root: Path) -> Path:
        """The file that has the guard.

        Raises:
            NoSuchGuardError: None has it, or it is there more than once.
        """
        source = root / "src" / "niyanta"
        files = [path for path in sorted(source.rglob("*")) if path.suffix in (".py", ".sql")]
        found = {path: count for path in files if (count := path.read_text(encoding="utf-8").count(self.text))}
        if sum(found.values()) != 1:
            places = ", ".join(f"{path.relative_to(root)} ({count})" for path, count in found.items()) or "nowhere"
            raise NoSuchGuardError(f"the guard of '{self.name}' must stand in one place, it stands in: {places}")
        return next(iter(found))

    def apply(self, root: Path) -> Path:
        """Take the guard away in a copy of the project; gives the file that was changed.

        Raises:
            NoSuchGuardError: As `place`.
        """
        path = self.place(root)
        path.write_text(path.read_text(encoding="utf-8").replace(self.text, self.instead), encoding="utf-8")
        return path
