"""Which licences there are, and which there may be."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from supply.packages import Package

__all__ = ["Licences"]

_IDENTIFIER = re.compile(r"[\w.+-]+")


@dataclass(frozen=True)
class Licences:
    """What may be used, and how to read what authors write."""

    allowed: frozenset[str]
    words: dict[str, str] = field(default_factory=dict)
    packages: dict[str, str] = field(default_factory=dict)

    @classmethod
    def load(cls) -> Licences:
        """Those of ``licences.toml``."""
        found = tomllib.loads((Path(__file__).parent / "licences.toml").read_text())
        return cls(frozenset(found["allowed"]), found["words"], found["packages"])

    def of(self, package: Package) -> str:
        """Its licence as an SPDX expression, as far as that is known."""
        return self.packages.get(package.name) or self.words.get(package.licence, package.licence)

    def refused(self, packages: Iterable[Package]) -> list[str]:
        """What may not be used, or says nothing of its licence."""
        return [
            f"{package.name} {package.version}: {expression or 'no licence named'}"
            for package in packages
            if not self.allows(expression := self.of(package))
        ]

    def allows(self, expression: str) -> bool:
        """Whether one of its alternatives is allowed in all its parts; with brackets, whether every part is."""
        alternatives = [expression] if "(" in expression else re.split(r"\s+OR\s+", expression)
        return any(self._allows_all(alternative) for alternative in alternatives)

    def _allows_all(self, alternative: str) -> bool:
        names = [name for name in _IDENTIFIER.findall(alternative) if name not in ("AND", "OR", "WITH")]
        return bool(names) and all(name in self.allowed for name in names)
