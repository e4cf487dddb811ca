"""Known weaknesses of the packages that are locked, by a snapshot of the Python Packaging Advisory Database.

The snapshot lies beside this file, as no service need be reachable for the check. It holds what concerns packages of
the lock file: ids and versions. It is made anew from a clone of the database (``make advisories FROM=…``).
Source: https://github.com/pypa/advisory-database, CC BY 4.0; its format is OSV's, https://ossf.github.io/osv-schema/.
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

__all__ = ["Advisory", "Snapshot", "read_database"]

_FILE = Path(__file__).with_name("advisories.json")


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

    def affects(self, version: str) -> bool:
        """Whether this version has the weakness."""
        if version in self.versions:
            return True
        at = Version(version)
        return any(
            Version(begin) <= at and (not end or at < Version(end))
            for begin, end in self.ranges
            if _is_version(begin)
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

    @classmethod
    def load(cls, path: Path = _FILE) -> Snapshot:
        """The one that is committed."""
        found = json.loads(path.read_text())
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
                )
                for each in found["advisories"]
            ),
            frozenset(found["packages"]),
        )

    def save(self, path: Path = _FILE) -> None:
        """Write it down."""
        found = {
            "source": "Python Packaging Advisory Database, CC BY 4.0",
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
        path.write_text(json.dumps(found, indent=1) + "\n")

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


def _advisories(entry: dict[str, Any]) -> list[Advisory]:
    if entry.get("withdrawn"):
        return []
    found = []
    for affected in entry["affected"]:
        ranges: list[tuple[str, str]] = []
        for events in (each["events"] for each in affected.get("ranges", []) if each["type"] == "ECOSYSTEM"):
            for event in events:
                if "introduced" in event:
                    ranges.append((str(event["introduced"]), ""))
                elif "fixed" in event and ranges:
                    ranges[-1] = (ranges[-1][0], str(event["fixed"]))
        # What the ranges say already needs no list.
        listed = [] if ranges else [str(version) for version in affected.get("versions", [])]
        name = affected["package"]["name"].lower()
        aliases = tuple(entry.get("aliases", ()))
        found.append(Advisory(entry["id"], name, aliases, tuple(ranges), frozenset(listed)))
    return found


def _is_version(text: str) -> bool:
    try:
        Version(text)
    except InvalidVersion:
        return False
    return True
