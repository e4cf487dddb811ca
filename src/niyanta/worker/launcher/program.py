"""The launcher as a program: ``python -m niyanta.worker.launcher FD SCRATCH RUNNER TEMPLATE POLICY``.

Arguments: the socket's descriptor, the scratch directory to remove at the end, and as JSON the command lines of
runner and template, and what they may reach.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
from dataclasses import replace

from niyanta.domain.workers import Wall
from niyanta.worker.box import probe
from niyanta.worker.box.kernel import prctl
from niyanta.worker.box.policy import Policy
from niyanta.worker.box.ports import close_ports
from niyanta.worker.box.rights import hide_memory
from niyanta.worker.launcher.cgroups import Cgroups
from niyanta.worker.launcher.channel import AgentChannel
from niyanta.worker.launcher.folders import remove_tree
from niyanta.worker.launcher.launcher import Launcher, Programs

__all__ = ["main"]

_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER, linux/prctl.h


def main() -> None:
    """Become the reaper of all descendants, and serve the agent."""
    hide_memory()
    with contextlib.suppress(OSError):
        prctl(_SUBREAPER, 1)
    agent = AgentChannel(socket.socket(fileno=int(sys.argv[1])))
    with contextlib.suppress(OSError):
        # An inline handler's library may have made the agent a real-time process. Attempts must not be: they would
        # starve the machine, and a cpu cgroup takes no such process.
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    cgroups = Cgroups(wanted=os.environ.get("NIYANTA_CGROUPS", "on") != "off")
    cgroups.drop_unusable()
    scratch = sys.argv[2]
    runner, template = (json.loads(words) for words in sys.argv[3:5])
    policy = _standing(replace(Policy.decode(sys.argv[5]), scratch=scratch), cgroups)
    shown = policy.pass_env
    programs = Programs(
        runner,
        [*template, policy.encode()] if template else [],
        {name: value for name, value in os.environ.items() if name in shown or not name.startswith("NIYANTA_")},
        policy,
    )
    Launcher(agent, programs, scratch, cgroups).run()
    remove_tree(scratch)


def _standing(policy: Policy, cgroups: Cgroups) -> Policy:
    """The policy with the walls that hold here."""
    if not policy.wanted:
        return replace(policy, walls=(Wall.USER,) if probe.has_users(policy.users) else ())
    closed = not policy.closed_ports
    if not closed and (directory := cgroups.unified) is not None:
        with contextlib.suppress(OSError):
            close_ports(str(directory), policy.closed_ports)
            closed = True
    return replace(policy, walls=probe.standing(cgroups.controllers, ports_closed=closed, users=policy.users))
