"""The packages that are installed, and which of them a choice of Niyanta's extras needs."""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

__all__ = ["ROOT", "Package", "locked", "needed_by"]

ROOT = Path(__file__).resolve().parents[1]
_MOST_WORDS = 40
"""Characters of a licence's name; what is longer is its text."""
_PIN = re.compile(r"^([\w.-]+)(?:\[[^\]]*\])?==([^\s;\\]+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Package:
    """One of them, by its canonical name."""

    name: str
    version: str
    licence: str
    """As its metadata say it: an SPDX expression, or what its author wrote."""
    requires: frozenset[str]
    """Names of the packages that it needs here."""

    @property
    def purl(self) -> str:
        """Its package URL."""
        return f"pkg:pypi/{self.name}@{self.version}"


def locked() -> dict[str, frozenset[str]]:
    """The versions in the lock file, by canonical name; a package may have one for each version of Python."""
    found: dict[str, set[str]] = {}
    for name, version in _PIN.findall((ROOT / "requirements.lock").read_text()):
        found.setdefault(canonicalize_name(name), set()).add(version)
    return {name: frozenset(versions) for name, versions in found.items()}


def needed_by(extras: Iterable[str] = ()) -> dict[str, Package]:
    """Niyanta with some extras and all that these need on this platform, by canonical name."""
    wanted = {"niyanta": set(extras)}
    done: dict[str, frozenset[str]] = {}
    requires: dict[str, set[str]] = {}
    while todo := [name for name, extra in wanted.items() if done.get(name) != frozenset(extra)]:
        for name in todo:
            done[name] = frozenset(wanted[name])
            for requirement in _requirements(name, done[name]):
                needed = canonicalize_name(requirement.name)
                wanted.setdefault(needed, set()).update(requirement.extras)
                requires.setdefault(name, set()).add(needed)
    return {name: _package(name, requires.get(name, set()) - {name}) for name in sorted(done)}


def _requirements(name: str, extras: frozenset[str]) -> Iterator[Requirement]:
    for line in importlib.metadata.requires(name) or []:
        requirement = Requirement(line)
        if requirement.marker is None or any(requirement.marker.evaluate({"extra": e}) for e in (*extras, "")):
            yield requirement


def _package(name: str, requires: set[str]) -> Package:
    metadata = importlib.metadata.metadata(name)
    classifiers = [line for line in metadata.get_all("Classifier", []) if line.startswith("License ::")]
    words = [
        *metadata.get_all("License-Expression", []),
        *(word for word in metadata.get_all("License", []) if len(word) <= _MOST_WORDS),
        *(line.rpartition(" :: ")[2] for line in classifiers),
    ]
    licence = words[0] if words else ""
    return Package(name, metadata["Version"], licence, frozenset(requires))
