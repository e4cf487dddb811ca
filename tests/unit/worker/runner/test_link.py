"""An attempt's way to its agent."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from support import nested_signals


@pytest.mark.parametrize("full", ["control", "output"])
def test_signals_that_report_while_the_handler_waits_to_report_do_not_nest(tmp_path: Path, full: str) -> None:
    command = [sys.executable, nested_signals.__file__, str(tmp_path), full]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    ticks, deepest = map(int, done.stdout.split())
    assert ticks >= nested_signals.TICKS
    # A machine that is slow may be late by a tick or two; a wait in each would nest nearly all.
    assert deepest <= 3
