"""What a package index says of the versions that are locked: it knows of weaknesses that a snapshot doesn't yet.

Asked is an index that serves the JSON API of the Python Package Index, for each locked version; where it tells
of packages only as a whole, what it says holds for a version that is the newest. What it said lies beside this file,
as no index need be reachable for the check; ``make advisories INDEX=<root of the index>`` asks anew.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

__all__ = ["FILE", "Answers", "ask"]

FILE = Path(__file__).with_name("advisories_index.json")
_ASKED_AT_ONCE = 8
_PATIENCE_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Answers:
    """What an index said at a time.

    Attributes:
        taken_at: When it was asked.
        weaknesses: By package and version, as ``name==version``, the ids of what is known; empty where it knows of
            none. A version that isn't there was not told of.
    """

    taken_at: datetime
    weaknesses: Mapping[str, tuple[str, ...]]

    @classmethod
    def load(cls, path: Path = FILE) -> Answers:
        """Those that are committed."""
        found = json.loads(path.read_text())
        return cls(
            datetime.fromisoformat(found["taken_at"]),
            {version: tuple(ids) for version, ids in found["weaknesses"].items()},
        )

    def save(self, path: Path = FILE) -> None:
        """Write them down."""
        found = {"taken_at": self.taken_at.isoformat(), "weaknesses": dict(sorted(self.weaknesses.items()))}
        path.write_text(json.dumps(found, indent=1) + "\n")

    def affecting(self, locked: Mapping[str, Iterable[str]]) -> list[str]:
        """Which of the locked versions have a known weakness, and which."""
        return [
            f"{version}: {', '.join(ids)}" for version in _names(locked) if (ids := self.weaknesses.get(version, ()))
        ]

    def unknown(self, locked: Mapping[str, Iterable[str]]) -> list[str]:
        """Locked versions that the index didn't tell of."""
        return [version for version in _names(locked) if version not in self.weaknesses]


def ask(root: str, locked: Mapping[str, Iterable[str]], now: datetime | None = None) -> Answers:
    """Ask the index at ``root`` for each locked version.

    Raises:
        OSError: It can't be reached, or answers with something else than an answer or that it has none.
    """
    versions = _names(locked)
    with ThreadPoolExecutor(_ASKED_AT_ONCE) as threads:
        answers = threads.map(lambda version: _weaknesses(root.rstrip("/"), *version.split("==")), versions)
        told = {version: ids for version, ids in zip(versions, answers, strict=True) if ids is not None}
    return Answers((now or datetime.now(UTC)).replace(microsecond=0), told)


def _names(locked: Mapping[str, Iterable[str]]) -> list[str]:
    return [f"{name}=={version}" for name in sorted(locked) for version in sorted(locked[name])]


def _weaknesses(root: str, name: str, version: str) -> tuple[str, ...] | None:
    found = _get(f"{root}/pypi/{name}/{version}/json") or _get(f"{root}/pypi/{name}/json")
    if found is None or found["info"]["version"] != version:
        return None
    return tuple(sorted(each["id"] for each in found["vulnerabilities"] if not each.get("withdrawn")))


def _get(url: str) -> dict[str, Any] | None:
    """The answer; None for 404."""
    try:
        with urllib.request.urlopen(url, timeout=_PATIENCE_SECONDS) as response:
            return dict(json.load(response))
    except urllib.error.HTTPError as exc:
        if exc.code == 404:
            return None
        raise
