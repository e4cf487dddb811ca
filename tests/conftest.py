"""Lets tests import `support`, and gives all of them the two engines."""

from __future__ import annotations

import sys
from pathlib import Path

from hypothesis import HealthCheck, settings

sys.path.insert(0, str(Path(__file__).parent))
# And `simulation`, `fuzz`, `chaos` and `mutants`, which are proven by tests as well.
sys.path.insert(1, str(Path(__file__).resolve().parents[1]))

# How long an example takes, or its making, says nothing on a machine that others use.
settings.register_profile("beside load", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("beside load")

# For the whole run, not for one folder: a test process starts one pair of engines, wherever its tests are from.
pytest_plugins = ["support.engines"]
