"""What was built, from which commit, with which inputs: an in-toto statement with SLSA's provenance (version 1).

It is signed off when a key is named, by OpenSSH's signatures of files, which ``ssh-keygen -Y verify`` checks.
Source: https://slsa.dev/spec/v1.0/provenance, https://github.com/in-toto/attestation.
"""

from __future__ import annotations

import hashlib
import platform
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from supply.packages import ROOT

__all__ = ["NAMESPACE", "commit", "sign", "statement"]

NAMESPACE = "niyanta-provenance"
_INPUTS = ("requirements.lock", "pyproject.toml", "console/package-lock.json", "deploy/Containerfile")


def commit() -> tuple[str, str, bool]:
    """The commit that is checked out, its time, and whether anything differs from it; empty outside of a clone."""
    try:
        named, at = _git("log", "-1", "--format=%H %cI").split()
        return named, at, bool(_git("status", "--porcelain", "--untracked-files=no"))
    except (OSError, subprocess.CalledProcessError):
        return "", "1980-01-01T00:00:00Z", True


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def statement(built: Sequence[Path], extra_inputs: Sequence[Path] = ()) -> dict[str, Any]:
    """What is to be known of some files that were built."""
    named, at, differs = commit()
    inputs = [*(path for name in _INPUTS if (path := ROOT / name).is_file()), *extra_inputs]
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": path.name, "digest": {"sha256": _sha256(path)}} for path in sorted(built)],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": "urn:niyanta:make-package:v1",
                "externalParameters": {"verbs": ["package", "supply"]},
                "internalParameters": {"python": platform.python_version(), "machine": platform.machine()},
                "resolvedDependencies": [
                    {"name": "source", "digest": {"gitCommit": named}, "annotations": {"at": at, "differs": differs}},
                    *({"name": path.name, "digest": {"sha256": _sha256(path)}} for path in inputs),
                ],
            },
            "runDetails": {"builder": {"id": "urn:niyanta:makefile"}},
        },
    }


def sign(path: Path, key: Path) -> Path:
    """Sign a file with an SSH key; gives the signature's file."""
    signature = path.with_name(path.name + ".sig")
    signature.unlink(missing_ok=True)
    command = ["ssh-keygen", "-q", "-Y", "sign", "-f", str(key), "-n", NAMESPACE, str(path)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    return signature


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
