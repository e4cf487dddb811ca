"""Modules that the Go SDK requires, by its ``go.mod`` files, and the one that holds Go's database of weaknesses."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

from supply.packages import ROOT

__all__ = ["fetched", "required"]

_REQUIRED = re.compile(r"^\s*(?:require )?([\w./-]+\.[\w./-]+) v(\S+)", re.MULTILINE)
_DATABASE = "golang.org/x/vulndb"


def required(root: Path = ROOT / "sdk" / "go") -> dict[str, frozenset[str]]:
    """The versions that are required, by module. What is replaced by a folder of this repository is left out."""
    found: dict[str, set[str]] = {}
    for file in root.rglob("go.mod"):
        text = file.read_text()
        own = set(re.findall(r"^\s*(?:replace )?(\S+) => \.", text, re.MULTILINE))
        for module, version in _REQUIRED.findall(text):
            if module not in own:
                found.setdefault(module, set()).add(version)
    return {module: frozenset(versions) for module, versions in sorted(found.items())}


def fetched() -> Path:
    """The newest of the database's module, in Go's cache, by Go's own client."""
    command = ["go", "mod", "download", "-json", f"{_DATABASE}@latest"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL, cwd="/")
    return Path(json.loads(done.stdout)["Dir"])
