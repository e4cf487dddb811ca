"""A short run of `make chaos`: a whole system under faults of many classes keeps its promises."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.chaos

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.timeout(900)
def test_a_minute_of_chaos_breaks_no_promise(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "chaos", "--seed", "20", "--minutes", "1.2", "--smoke", "--excuse-known"]
    ran = subprocess.run(
        [*command, "--results", str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=False, timeout=840
    )
    assert ran.stdout, ran.stderr
    report = json.loads(ran.stdout)
    assert report["replay"] == 'make chaos SEED=20 MINUTES=1.2 CHAOS_ARGS="--smoke"'
    assert report["never_fired"] == [], ran.stdout
    assert report["violations"] == [], ran.stdout
    assert report["passed"]
    assert ran.returncode == 0
    assert report["ended"]["COMPLETED"] > 20
