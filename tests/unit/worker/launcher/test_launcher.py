"""What the launcher decides by itself."""

from __future__ import annotations

import socket
import time

from niyanta.domain.limits import GRACE_SECONDS
from niyanta.worker.launcher.cgroups import Cgroups
from niyanta.worker.launcher.channel import AgentChannel
from niyanta.worker.launcher.launcher import Launcher, Slot


def test_what_is_exclusive_has_no_longer_to_clean_up_than_its_lease_lasts_when_it_is_told_to_end() -> None:
    """A renewal that comes meanwhile is of another incarnation, or of what else the worker runs."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        launcher = Launcher(AgentChannel(ours), [], [], [], Cgroups(wanted=False))
        launcher.slots = {name: Slot(name, -1, None, exclusive=name == "only") for name in ("only", "other")}
        began = time.monotonic()
        launcher.obey({"do": "alive", "seconds": 60.0, "exclusive_seconds": 1.0})
        for name in launcher.slots:
            launcher.obey({"do": "kill", "slot": name})
        launcher.obey({"do": "alive", "seconds": 60.0, "exclusive_seconds": 7.0})
        took = time.monotonic() - began
        assert launcher.slots["only"].kill_at - began < 1.0 + took
        assert launcher.slots["other"].kill_at - began >= GRACE_SECONDS
