"""What a process may do at all: capabilities, programs with the right of others, its memory for others to look at."""

from __future__ import annotations

import contextlib
import os
import struct

from niyanta.worker.box.kernel import prctl, syscall

__all__ = ["become", "drop_capabilities", "give_up_privileges", "hide_memory", "show_memory"]

# linux/prctl.h
_SET_DUMPABLE = 4
_CAPBSET_DROP = 24
_SET_SECUREBITS = 28
_SET_NO_NEW_PRIVS = 38
_CAP_AMBIENT = 47
_CAP_AMBIENT_CLEAR_ALL = 4
_NO_ROOT_AND_LOCKED = 0b1111
"""SECBIT_NOROOT, SECBIT_NO_SETUID_FIXUP, and their locks: user 0 gets no capabilities for being it."""
_MOST_CAPABILITIES = 64
_CAPABILITY_VERSION_3 = 0x20080522


def hide_memory() -> None:
    """Let nobody but root read this process's memory, environment and descriptors, by ``/proc`` or as a debugger.

    Holds until a program is executed.
    """
    with contextlib.suppress(OSError):
        prctl(_SET_DUMPABLE, 0)


def show_memory() -> None:
    """Take `hide_memory` back, in a fork that holds nothing to be hidden: its own user may debug it."""
    with contextlib.suppress(OSError):
        prctl(_SET_DUMPABLE, 1)


def give_up_privileges() -> None:
    """See to it that no program that is executed from here on gets more rights than there are now.

    Capabilities that this process has itself stay until `drop_capabilities`.

    Raises:
        OSError: The kernel refuses.
    """
    prctl(_SET_NO_NEW_PRIVS, 1)
    with contextlib.suppress(OSError):
        prctl(_CAP_AMBIENT, _CAP_AMBIENT_CLEAR_ALL)
    # Those two need a capability. Without it nothing can be gained either.
    with contextlib.suppress(OSError):
        for number in range(_MOST_CAPABILITIES):
            prctl(_CAPBSET_DROP, number)
    with contextlib.suppress(OSError):
        prctl(_SET_SECUREBITS, _NO_ROOT_AND_LOCKED)


def become(user: int) -> None:
    """Take a user id, and the group id of the same number, for good; no other groups.

    Raises:
        OSError: This process may not.
    """
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)


def drop_capabilities() -> None:
    """Give up all capabilities, for good after `give_up_privileges`.

    Raises:
        OSError: The kernel refuses.
    """
    syscall("capset", struct.pack("Ii", _CAPABILITY_VERSION_3, 0), bytes(24))
