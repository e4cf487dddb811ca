"""What the launcher decides by itself."""

from __future__ import annotations

import json
import socket
import time

from niyanta.domain.limits import GRACE_SECONDS
from niyanta.worker.launcher.cgroups import Cgroups, Group
from niyanta.worker.launcher.channel import AgentChannel
from niyanta.worker.launcher.forks import Forked
from niyanta.worker.launcher.launcher import Launcher, Programs, Slot


def test_what_is_exclusive_has_no_longer_to_clean_up_than_its_lease_lasts_when_it_is_told_to_end() -> None:
    """A renewal that comes meanwhile is of another incarnation, or of what else the worker runs."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        launcher = Launcher(AgentChannel(ours), Programs([], [], {}), "", Cgroups(wanted=False))
        launcher.slots = {name: Slot(name, -1, None, exclusive=name == "only") for name in ("only", "other")}
        began = time.monotonic()
        launcher.obey({"do": "alive", "seconds": 60.0, "exclusive_seconds": 1.0})
        for name in launcher.slots:
            launcher.obey({"do": "kill", "slot": name})
        launcher.obey({"do": "alive", "seconds": 60.0, "exclusive_seconds": 7.0})
        took = time.monotonic() - began
        assert launcher.slots["only"].kill_at - began < 1.0 + took
        assert launcher.slots["other"].kill_at - began >= GRACE_SECONDS


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
