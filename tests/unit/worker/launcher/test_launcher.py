"""What the launcher decides by itself."""

from __future__ import annotations

import json
import socket
import time
from pathlib import Path

import pytest

from niyanta.domain.limits import GRACE_SECONDS
from niyanta.worker.launcher.cgroups import Cgroups, Group
from niyanta.worker.launcher.channel import AgentChannel
from niyanta.worker.launcher.forks import Forked
from niyanta.worker.launcher.launcher import Launcher, Programs, Slot
from niyanta.worker.launcher.orders import Orders
from niyanta.worker.launcher.pool import ProcessPool


def test_what_is_exclusive_has_no_longer_to_clean_up_than_its_lease_lasts_when_it_is_told_to_end() -> None:
    """A renewal that comes meanwhile is of another incarnation, or of what else the worker runs."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        launcher = Launcher(AgentChannel(ours), Programs([], [], {}), "", Cgroups(wanted=False))
        launcher.slots = {name: Slot(name, -1, None, exclusive=name == "only") for name in ("only", "other")}
        began = time.monotonic()
        launcher.obey({"do": "alive", "until": began + 60.0, "exclusive_until": began + 1.0})
        for name in launcher.slots:
            launcher.obey({"do": "kill", "slot": name})
        launcher.obey({"do": "alive", "until": began + 60.0, "exclusive_until": began + 7.0})
        took = time.monotonic() - began
        assert launcher.slots["only"].kill_at - began < 1.0 + took
        assert launcher.slots["other"].kill_at - began >= GRACE_SECONDS


def test_a_renewal_that_is_read_late_prolongs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The launcher has stood still for longer than the lease lasts, while what it runs hasn't."""
    orders: list[dict[str, object]] = []
    monkeypatch.setattr(Orders, "add", lambda _, **command: orders.append(command))
    pool = ProcessPool([], 0, tmp_path)
    pool.renew(60.0, 7.0)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        launcher = Launcher(AgentChannel(ours), Programs([], [], {}), "", Cgroups(wanted=False))
        launcher.slots = {"only": Slot("only", -1, OneMember(4711), exclusive=True)}
        now = time.monotonic
        monkeypatch.setattr(time, "monotonic", lambda: now() + 10.0)
        for order in orders:
            launcher.obey(order)
        assert launcher.exclusive_until < time.monotonic() < launcher.alive_until


class OneMember(Group):
    """A group that one process is in."""

    def __init__(self, pid: int) -> None:
        super().__init__([])
        self.pid = pid

    def members(self) -> set[int]:
        return {self.pid}


def test_an_attempt_that_is_faster_than_the_template_s_answer_is_alone_all_the_same() -> None:
    """Its process is in its group, has run the handler, and only the launcher doesn't know yet which it is."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        launcher = Launcher(AgentChannel(ours), Programs([], [], {}), "", Cgroups(wanted=False))
        launcher.slots = {"x": Slot("x", -1, OneMember(4711))}
        launcher.obey({"do": "alone", "slot": "x"})
        launcher.hear([Forked("x", 4711)])
        theirs.settimeout(20)
        told = [json.loads(line) for line in theirs.recv(65536).splitlines()]
    assert told == [
        {"event": "spawned", "slot": "x", "pid": 4711},
        {"event": "alone", "slot": "x", "alone": True},
    ]
