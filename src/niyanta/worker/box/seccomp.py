"""System calls that no workload needs, and by which one could get out of its box.

What is refused gives EPERM, as it does for any program without rights. ``clone3`` isn't known, so that the C library
takes ``clone``, whose flags can be looked at.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import os
import socket
import struct

from niyanta.worker.box.kernel import ARCHITECTURE, NUMBERS, syscall

__all__ = ["available", "refuse_calls"]

_REFUSED = (
    # other processes' memory, descriptors and state
    *("ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "process_mrelease"),
    *("pidfd_getfd", "kcmp", "move_pages", "migrate_pages", "perf_event_open", "userfaultfd"),
    # keys that all processes of a user share
    *("add_key", "request_key", "keyctl"),
    # another view of the file system, and ways around the one there is
    *("mount", "umount2", "move_mount", "open_tree", "open_tree_attr", "mount_setattr", "pivot_root", "chroot"),
    *("fsopen", "fsconfig", "fsmount", "fspick", "open_by_handle_at", "fanotify_init", "quotactl", "quotactl_fd"),
    *("unshare", "setns"),
    # ways to do what this filter doesn't see
    *("io_uring_setup", "io_uring_enter", "io_uring_register", "bpf"),
    # the machine itself
    *("kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module", "reboot", "swapon", "swapoff"),
    *("acct", "settimeofday", "clock_settime", "clock_adjtime", "sethostname", "setdomainname", "iopl", "ioperm"),
    "syslog",
)
_OBJECTS = (
    *("shmget", "shmat", "shmctl", "semget", "semop", "semtimedop", "semctl"),
    *("msgget", "msgsnd", "msgrcv", "msgctl", "mq_open", "mq_unlink"),
)
"""System V's and queues: a user's programs, and so all attempts, share them, where there is no view of one's own."""
_OF_A_PROCESS = ("prlimit64", "sched_setscheduler", "sched_setparam", "sched_setattr")
"""Set limits or turns of the process that comes first, which may be any of the user's. 0 is oneself.

``sched_setaffinity`` isn't here: libraries bind their threads to processors by the threads' numbers.
"""
_OF_A_KIND = {"setpriority": os.PRIO_PROCESS, "ioprio_set": 1}
"""The same of who comes second; the first says what that is: here a process."""
_FAMILIES = (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK)
_PROTOCOLS = (0, socket.IPPROTO_TCP, socket.IPPROTO_UDP, socket.IPPROTO_ICMP, socket.IPPROTO_ICMPV6)
"""Of the internet's. What isn't here is spoken by the kernel over TCP that no other wall sees, such as MPTCP."""
_NEW_NAMESPACES = 0x7E020000
"""Flags of ``clone``, linux/sched.h."""
_X32 = 0x40000000
_FAST_OPEN = 0x20000000
"""MSG_FASTOPEN: connects without ``connect``."""

# linux/bpf_common.h and linux/seccomp.h
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_SET_MODE_FILTER = 1
_SPEC_ALLOW = 4
"""Processes aren't slowed down against guesses at their own memory: they may read that anyway."""
_NR, _ARCH, _ARGUMENTS = 0, 4, 16


def available() -> bool:
    """Whether filters can be made for this machine."""
    return bool(NUMBERS)


class _Filter:
    """A program for the kernel's filter. Jumps go forward, to labels."""

    def __init__(self) -> None:
        self._rows: list[tuple[int, str, str, int]] = []
        self._labels: dict[str, int] = {}

    def load(self, offset: int) -> None:
        self._rows.append((_LOAD, "", "", offset))

    def jump(self, how: int, value: int, to: str = "", otherwise: str = "") -> None:
        self._rows.append((how, to, otherwise, value))

    def give(self, label: str, verdict: int) -> None:
        self._labels[label] = len(self._rows)
        self._rows.append((_RETURN, "", "", verdict))

    def label(self, label: str) -> None:
        self._labels[label] = len(self._rows)

    def encoded(self) -> bytes:
        parts = []
        for at, (code, to, otherwise, value) in enumerate(self._rows):
            jumps = [self._labels[name] - at - 1 if name else 0 for name in (to, otherwise)]
            parts.append(struct.pack("HBBI", code, *jumps, value & 0xFFFFFFFF))
        return b"".join(parts)


@functools.cache
def _program(*, fast_open: bool, own_objects: bool) -> bytes:
    made = _Filter()
    made.load(_ARCH)
    made.jump(_EQUAL, ARCHITECTURE, otherwise="refuse")
    made.load(_NR)
    made.jump(_AT_LEAST, _X32, to="refuse")
    made.jump(_EQUAL, NUMBERS["socket"], to="socket")
    made.jump(_EQUAL, NUMBERS["clone"], to="clone")
    made.jump(_EQUAL, NUMBERS["clone3"], to="unknown")
    if not fast_open:
        for name, to in (("sendto", "send"), ("sendmmsg", "send"), ("sendmsg", "send_message")):
            made.jump(_EQUAL, NUMBERS[name], to=to)
    for name in (*_REFUSED, *(() if own_objects else _OBJECTS)):
        if name in NUMBERS:
            made.jump(_EQUAL, NUMBERS[name], to="refuse")
    for name in (*_OF_A_PROCESS, *_OF_A_KIND):
        made.jump(_EQUAL, NUMBERS[name], to=name if name in _OF_A_KIND else "of a process")
    made.give("allow", _ALLOW)
    _only_oneself(made)
    if not fast_open:
        made.label("send_message")
        made.load(_ARGUMENTS + 8 * 2)
        made.jump(_ANY_BIT, _FAST_OPEN, to="refuse", otherwise="may")
        made.label("send")
        made.load(_ARGUMENTS + 8 * 3)
        made.jump(_ANY_BIT, _FAST_OPEN, to="refuse", otherwise="may")
    made.label("clone")
    made.load(_ARGUMENTS)
    made.jump(_ANY_BIT, _NEW_NAMESPACES, to="refuse", otherwise="may")
    made.label("socket")
    made.load(_ARGUMENTS)
    for family in _FAMILIES:
        made.jump(_EQUAL, family, to="protocol" if family in (socket.AF_INET, socket.AF_INET6) else "may")
    made.give("no family", _ERRNO | errno.EAFNOSUPPORT)
    made.label("protocol")
    made.load(_ARGUMENTS + 8 * 2)
    for protocol in _PROTOCOLS:
        made.jump(_EQUAL, protocol, to="may")
    made.give("no protocol", _ERRNO | errno.EPROTONOSUPPORT)
    made.give("may", _ALLOW)
    made.give("unknown", _ERRNO | errno.ENOSYS)
    made.give("refuse", _ERRNO | errno.EPERM)
    return made.encoded()


def _only_oneself(made: _Filter) -> None:
    """What may be done to the process that calls, and to no other."""
    for name, kind in _OF_A_KIND.items():
        made.label(name)
        made.load(_ARGUMENTS)
        made.jump(_EQUAL, kind, to="of which process", otherwise="refuse")
    made.label("of which process")
    made.load(_ARGUMENTS + 8)
    made.jump(_EQUAL, 0, to="may", otherwise="refuse")
    made.label("of a process")
    made.load(_ARGUMENTS)
    made.jump(_EQUAL, 0, to="may", otherwise="refuse")


def refuse_calls(*, fast_open: bool = True, own_objects: bool = False) -> None:
    """Refuse them to this thread and to all that it starts, for good.

    Args:
        fast_open: Whether a connection may be opened by sending.
        own_objects: Whether System V's objects are this process's own.

    Raises:
        OSError: The kernel refuses.
    """
    program = _program(fast_open=fast_open, own_objects=own_objects)
    held = ctypes.create_string_buffer(program, len(program))
    described = struct.pack("HxxxxxxQ", len(program) // 8, ctypes.addressof(held))
    syscall("seccomp", _SET_MODE_FILTER, _SPEC_ALLOW, described)
