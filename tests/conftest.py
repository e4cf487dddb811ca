"""Lets tests import `support`, and gives all of them the two engines."""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

sys.path.insert(0, str(Path(__file__).parent))
# And `simulation`, `fuzz`, `chaos` and `mutants`, which are proven by tests as well.
sys.path.insert(1, str(Path(__file__).resolve().parents[1]))

# How long an example takes, or its making, says nothing on a machine that others use.
settings.register_profile("beside load", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("beside load")

# For the whole run, not for one folder: a test process starts one pair of engines, wherever its tests are from.
pytest_plugins = ["support.engines"]

_PLAIN = logging.makeLogRecord({}).__dict__.keys() | {"message", "asctime", "taskName"}


class _WithDetails(logging.Formatter):
    """Shows of a failed test's log what each line was about, not its event's name alone."""

    def format(self, record: logging.LogRecord) -> str:
        details = {name: value for name, value in record.__dict__.items() if name not in _PLAIN}
        return f"{self.formatTime(record)} {super().format(record)} {details or ''}".rstrip()


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    plugin = config.pluginmanager.get_plugin("logging-plugin")
    if plugin is not None:
        plugin.report_handler.setFormatter(_WithDetails("%(levelname)s %(name)s:%(lineno)d %(message)s"))


def pytest_runtest_teardown() -> None:
    """Take back what an AV1 encoder does as root: it makes its process a real-time one.

    All that this process starts from then on would be so, too, and hold up the others.
    """
    if sys.platform != "linux" or os.sched_getscheduler(0) == os.SCHED_OTHER:
        return
    for thread in os.listdir("/proc/self/task"):
        with contextlib.suppress(ProcessLookupError):
            os.sched_setscheduler(int(thread), os.SCHED_OTHER, os.sched_param(0))


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Collect without looking for garbage, and never look at what was collected again: each time takes half a second.

    What tests themselves leave behind is collected as ever.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the folders of long tests, which mostly wait: others compute meanwhile, as they can't at the end.

    One process gets all of them at first, and what it hasn't come to when others have nothing left is shared out.
    """
    items.sort(key=lambda item: not item.nodeid.startswith(("tests/chaos/", "tests/e2e/")))
