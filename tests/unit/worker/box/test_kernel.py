"""Calls that the kernel refuses are errors, by whichever way they are made."""

from __future__ import annotations

import errno

import pytest

from niyanta.worker.box.kernel import add_rule, syscall

REFUSALS = {errno.EBADF, errno.ENOSYS, errno.EOPNOTSUPP}
"""For what is no descriptor, by the kernel's version and settings."""


def test_a_rule_for_what_is_no_ruleset_is_refused() -> None:
    with pytest.raises(OSError, match="landlock_add_rule: ") as quick:
        add_rule(-1, 1, bytes(12))
    with pytest.raises(OSError, match="landlock_add_rule: ") as usual:
        syscall("landlock_add_rule", -1, 1, bytes(12), 0)
    assert quick.value.errno == usual.value.errno
    assert quick.value.errno in REFUSALS
