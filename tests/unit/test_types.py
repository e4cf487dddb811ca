"""The types of the public names, as those who write against them see them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_public_names_have_the_types_that_they_say(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path), "tests/typed/public_names.py"]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
