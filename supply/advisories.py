"""Known weaknesses of the packages that are locked, by snapshots of the Python and the Go advisory database.

The snapshots lie beside this file, as no service need be reachable for the check. They hold what concerns packages of
the lock file, and modules that the Go SDK requires: ids and versions. They are made anew by ``make advisories``.
Sources: https://github.com/pypa/advisory-database and the module golang.org/x/vulndb, both CC BY 4.0; the format of
both is OSV's, https://ossf.github.io/osv-schema/.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml
from packaging.version import InvalidVersion, Version

__all__ = ["GO", "PYTHON", "Advisory", "Database", "Snapshot", "read_database", "read_go_database"]


@dataclass(frozen=True, slots=True)
class Database:
    """Where advisories come from."""

    name: str
    ecosystem: str
    """As OSV names it."""
    file: Path
    """The snapshot of it that is committed."""
    renewal: str
    """What takes it anew."""


PYTHON = Database(
    "Python Packaging Advisory Database",
    "PyPI",
    Path(__file__).with_name("advisories.json"),
    "make advisories FROM=<clone>",
)
GO = Database("Go Vulnerability Database", "Go", Path(__file__).with_name("advisories_go.json"), "make advisories")


@dataclass(frozen=True, slots=True)
class Advisory:
    """Which versions of one package are affected by one weakness."""

    id: str
    package: str
    aliases: tuple[str, ...]
    ranges: tuple[tuple[str, str], ...]
    """From a version on, to the one that is mended; an empty end where none is."""
    versions: frozenset[str]
    """Affected beside the ranges."""
    ecosystem: str = PYTHON.ecosystem

    def affects(self, version: str) -> bool:
        """Whether this version has the weakness."""
        if version in self.versions:
            return True
        order = _go_order if self.ecosystem == GO.ecosystem else _python_order
        at = order(version)
        return any(
            begin <= at and (not ends or at < order(ends))
            for begin, ends in ((order(begins), ends) for begins, ends in self.ranges)
            if begin is not None
        )


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What was known at a time."""

    taken_at: datetime
    """The newest commit of the database that it was taken from."""
    commit: str
    advisories: tuple[Advisory, ...]
    packages: frozenset[str]
    """That were asked about. One that isn't among them hasn't been checked."""
    database: Database = PYTHON

    @classmethod
    def load(cls, database: Database = PYTHON, path: Path | None = None) -> Snapshot:
        """The one that is committed."""
        found = json.loads((path or database.file).read_text())
        return cls(
            datetime.fromisoformat(found["taken_at"]),
            found["commit"],
            tuple(
                Advisory(
                    each["id"],
                    each["package"],
                    tuple(each["aliases"]),
                    tuple((begin, end) for begin, end in each["ranges"]),
                    frozenset(each["versions"]),
                    database.ecosystem,
                )
                for each in found["advisories"]
            ),
            frozenset(found["packages"]),
            database,
        )

    def save(self, path: Path | None = None) -> None:
        """Write it down."""
        found = {
            "source": f"{self.database.name}, CC BY 4.0",
            "commit": self.commit,
            "taken_at": self.taken_at.isoformat(),
            "packages": sorted(self.packages),
            "advisories": [
                {
                    "id": each.id,
                    "package": each.package,
                    "aliases": sorted(each.aliases),
                    "ranges": [list(bounds) for bounds in each.ranges],
                    "versions": sorted(each.versions),
                }
                for each in sorted(self.advisories, key=lambda each: (each.package, each.id))
            ],
        }
        (path or self.database.file).write_text(json.dumps(found, indent=1) + "\n")

    def affecting(self, locked: Mapping[str, Iterable[str]]) -> list[str]:
        """Which of the locked versions have a known weakness, and which."""
        return [
            f"{each.package} {version}: {each.id} ({', '.join(each.aliases)})"
            for each in self.advisories
            for version in sorted(locked.get(each.package, ()))
            if each.affects(version)
        ]

    def unknown(self, locked: Iterable[str]) -> list[str]:
        """Locked packages that the snapshot wasn't made for."""
        return sorted(set(locked) - self.packages)

    def age_days(self, now: datetime) -> int:
        """How old it is."""
        return (now - self.taken_at).days


def read_database(clone: Path, packages: Iterable[str]) -> Snapshot:
    """A snapshot of a clone of the database, with a work tree or without."""

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", "-C", str(clone), *arguments], capture_output=True, text=True, check=True)
        return done.stdout

    commit, taken = git("log", "-1", "--format=%H %cI").split()
    wanted = frozenset(packages)
    files = git("ls-tree", "-r", "--name-only", "HEAD", *(f"vulns/{name}/" for name in sorted(wanted))).split()
    found = [advisory for file in files for advisory in _advisories(yaml.safe_load(git("show", f"HEAD:{file}")))]
    mine = tuple(advisory for advisory in found if advisory.package in wanted)
    return Snapshot(datetime.fromisoformat(taken).astimezone(UTC), commit, mine, wanted)


def read_go_database(module: Path, modules: Iterable[str]) -> Snapshot:
    """A snapshot of the module that holds Go's database, as Go's cache has it unpacked."""
    _, _, version = module.name.partition("@")
    _, taken, commit = version.rsplit("-", 2)
    wanted = frozenset(modules)
    found = []
    for file in sorted((module / "data" / "osv").glob("GO-*.json")):
        found += [each for each in _advisories(json.loads(file.read_text()), GO) if each.package in wanted]
    at = datetime.strptime(taken, "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    return Snapshot(at, commit, tuple(found), wanted, GO)


def _advisories(entry: dict[str, Any], database: Database = PYTHON) -> list[Advisory]:
    if entry.get("withdrawn"):
        return []
    found = []
    for affected in entry["affected"]:
        ranges: list[tuple[str, str]] = []
        for events in (each["events"] for each in affected.get("ranges", []) if each["type"] != "GIT"):
            for event in events:
                if "introduced" in event:
                    ranges.append((str(event["introduced"]), ""))
                elif "fixed" in event and ranges:
                    ranges[-1] = (ranges[-1][0], str(event["fixed"]))
        # What the ranges say already needs no list.
        listed = [] if ranges else [str(version) for version in affected.get("versions", [])]
        name = affected["package"]["name"]
        if database is PYTHON:
            name = name.lower()
        aliases = tuple(entry.get("aliases", ()))
        found.append(Advisory(entry["id"], name, aliases, tuple(ranges), frozenset(listed), database.ecosystem))
    return found


def _python_order(version: str) -> Any:
    """What versions are compared by; None for what is none."""
    try:
        return Version(version)
    except InvalidVersion:
        return None


def _go_order(version: str) -> Any:
    """The same for Go's, which are those of https://semver.org: one before a release sorts before it."""
    if version == "0":  # what OSV calls the time before all versions
        return ()
    numbers, _, before = version.removeprefix("v").partition("+")[0].partition("-")
    parts = tuple(int(part) for part in numbers.split("."))
    words = tuple((not word.isdigit(), int(word) if word.isdigit() else 0, word) for word in before.split("."))
    return *parts, not before, words
