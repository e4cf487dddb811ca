"""Which trees of cgroups there are, and where we are in them."""

from __future__ import annotations

from pathlib import Path

import pytest

from niyanta.worker.launcher.cgroups import Hierarchy, hierarchies

HYBRID = """\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
34 31 0:31 / /sys/fs/cgroup/cpuset rw,relatime shared:7 - cgroup cgroup rw,cpuset
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
"""


def test_a_hybrid_machine() -> None:
    memberships = "8:pids:/\n4:memory:/app/x\n2:cpu,cpuacct:/\n3:cpuset:/\n0::/\n"
    unified, cpu, memory = hierarchies(HYBRID, memberships)
    top = Path("/sys/fs/cgroup")
    assert unified == Hierarchy(2, frozenset(), top / "unified", top / "unified")
    assert cpu == Hierarchy(1, frozenset({"cpu"}), top / "cpu,cpuacct", top / "cpu,cpuacct")
    assert memory == Hierarchy(1, frozenset({"memory"}), top / "memory", top / "memory/app/x")


@pytest.mark.parametrize(
    ("root", "path", "own"),
    [
        ("/", "/system.slice/w.service", "/sys/fs/cgroup/system.slice/w.service"),
        ("/docker/abc", "/docker/abc", "/sys/fs/cgroup"),
        ("/docker/abc", "/docker/abc/inner", "/sys/fs/cgroup/inner"),
        ("/../..", "/", "/sys/fs/cgroup"),
    ],
)
def test_version_2_and_containers(root: str, path: str, own: str) -> None:
    mount = f"30 23 0:26 {root} /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
    [only] = hierarchies(mount, f"0::{path}\n")
    assert only.version == 2
    assert only.own == Path(own)


def test_a_machine_without() -> None:
    assert hierarchies("25 1 8:1 / / rw - ext4 /dev/sda1 rw\n", "") == []
