"""An agent that is killed or frozen leaves nothing running, nothing limited and nothing on the disk."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from support.pace import pace

pytestmark = pytest.mark.chaos

STATION = Path(__file__).parents[1] / "support" / "station.py"


class Agent:
    """A process that runs one workload."""

    def __init__(self, tmp_path: Path, kind: str, **params: Any) -> None:
        self.scratch = tmp_path / "scratch"
        self.scratch.mkdir(exist_ok=True)
        self.pid_file = tmp_path / "pid"
        wanted = {"scratch": str(self.scratch), "pid_file": str(self.pid_file), **params}
        self.process = subprocess.Popen(
            [sys.executable, str(STATION), kind, json.dumps(wanted)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "running\n", self.process.communicate()[1]
        self.family = psutil.Process(self.process.pid).children(recursive=True)
        if self.pid_file.exists():
            self.family.append(psutil.Process(int(self.pid_file.read_text())))
        [self.launcher] = [p for p in alive(self.family) if "niyanta.worker.launcher" in p.cmdline()]

    def end(self) -> None:
        self.process.kill()
        for process in self.family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self.process.communicate()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Agent]]:
    agents: list[Agent] = []

    def start(kind: str, **params: Any) -> Agent:
        agents.append(Agent(tmp_path, kind, **params))
        return agents[-1]

    yield start
    for agent in agents:
        agent.end()


def groups_of(launcher: int) -> list[str]:
    found = []
    for path, names, _ in os.walk("/sys/fs/cgroup"):
        found += [f"{path}/{name}" for name in names if name.startswith(f"niyanta-{launcher}-")]
    return found


def alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    return [p for p in processes if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]


def within(seconds: float, condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


@pytest.mark.parametrize("cgroups", ["on", "off"])
def test_nothing_outlives_a_killed_agent(
    start: Callable[..., Agent], monkeypatch: pytest.MonkeyPatch, cgroups: str
) -> None:
    monkeypatch.setenv("NIYANTA_CGROUPS", cgroups)
    # Without cgroups a daemon that hides is ended at once, so only the other kind can be seen here.
    agent = start("daemonize", wait=True) if cgroups == "on" else start("stubborn")
    assert len(alive(agent.family)) >= 3
    os.kill(agent.process.pid, signal.SIGKILL)
    assert within(2, lambda: not alive(agent.family)), alive(agent.family)
    assert within(1, lambda: not groups_of(agent.launcher.pid))
    assert list(agent.scratch.iterdir()) == []


def test_a_frozen_agent_s_attempts_end_with_their_lease(start: Callable[..., Agent]) -> None:
    lease = 2.0 * pace()  # enough to look at the runners before it is over
    agent = start("exclusive", lease=lease)
    os.kill(agent.process.pid, signal.SIGSTOP)
    runners = [p for p in agent.family if p.name() == "niyanta-runner"]
    # Others may stand ready for the next attempt, and have the whole of the worker's lease.
    assert within(lease + 3, lambda: len(alive(runners)) < len(runners))
    assert alive([agent.launcher])
    os.kill(agent.process.pid, signal.SIGCONT)
    assert agent.process.stdout is not None
    assert agent.process.stdout.readline() == "Released(reason='the worker was cut off from the service')\n"


def test_an_agent_ends_what_its_killed_launcher_left(start: Callable[..., Agent]) -> None:
    agent = start("daemonize", wait=True)
    hidden_is_found = bool(groups_of(agent.launcher.pid))
    agent.launcher.kill()
    assert agent.process.stdout is not None
    said = agent.process.stdout.readline()
    assert "the workload's process ended without a result (signal SIGKILL)" in said
    # The daemon is in a session of its own: the next launcher finds it in the dead one's cgroups.
    survivors = agent.family if hidden_is_found else agent.family[:-1]
    assert within(5, lambda: not alive(survivors)), alive(survivors)
    assert within(1, lambda: not groups_of(agent.launcher.pid))


def test_a_start_cleans_up_after_a_machine_s_worth_of_kills(start: Callable[..., Agent], tmp_path: Path) -> None:
    first = start("daemonize", wait=True)
    if not groups_of(first.launcher.pid):
        pytest.skip("no writable cgroups here")
    os.kill(first.launcher.pid, signal.SIGSTOP)  # so that it can't act before it is killed, too
    os.kill(first.process.pid, signal.SIGKILL)
    first.launcher.kill()
    first.pid_file.unlink()
    start("tidy")
    assert within(2, lambda: not alive(first.family)), alive(first.family)
    assert groups_of(first.launcher.pid) == []
