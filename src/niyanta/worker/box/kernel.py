"""The system calls that Python has no words for."""

from __future__ import annotations

import ctypes
import errno
import os
import platform

__all__ = ["ARCHITECTURE", "NUMBERS", "add_rule", "prctl", "syscall"]

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long

# Calls that came with Linux 5.1 and later have one number everywhere.
_COMMON = {
    **{"pidfd_send_signal": 424, "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427},
    **{"open_tree": 428, "move_mount": 429, "fsopen": 430, "fsconfig": 431, "fsmount": 432, "fspick": 433},
    **{"clone3": 435, "pidfd_getfd": 438, "process_madvise": 440, "mount_setattr": 442, "quotactl_fd": 443},
    **{"landlock_create_ruleset": 444, "landlock_add_rule": 445, "landlock_restrict_self": 446},
    **{"process_mrelease": 448, "open_tree_attr": 467},
}
_X86_64 = {
    **{"socket": 41, "sendto": 44, "sendmsg": 46, "clone": 56, "ptrace": 101, "syslog": 103, "capset": 126},
    **{"pivot_root": 155, "chroot": 161, "acct": 163, "settimeofday": 164, "mount": 165, "umount2": 166},
    **{"swapon": 167, "swapoff": 168, "reboot": 169, "sethostname": 170, "setdomainname": 171, "iopl": 172},
    **{"ioperm": 173, "init_module": 175, "delete_module": 176, "quotactl": 179, "clock_settime": 227},
    **{"kexec_load": 246, "add_key": 248, "request_key": 249, "keyctl": 250, "migrate_pages": 256, "unshare": 272},
    **{"move_pages": 279, "perf_event_open": 298, "fanotify_init": 300, "open_by_handle_at": 304},
    **{"clock_adjtime": 305, "sendmmsg": 307, "setns": 308, "process_vm_readv": 310, "process_vm_writev": 311},
    **{"kcmp": 312, "finit_module": 313, "seccomp": 317, "kexec_file_load": 320, "bpf": 321, "userfaultfd": 323},
    **{"setpriority": 141, "sched_setparam": 142, "sched_setscheduler": 144, "ioprio_set": 251, "prlimit64": 302},
    **{"sched_setattr": 314, "shmget": 29, "shmat": 30, "shmctl": 31, "semget": 64, "semop": 65, "semctl": 66},
    **{"msgget": 68, "msgsnd": 69, "msgrcv": 70, "msgctl": 71, "semtimedop": 220, "mq_open": 240, "mq_unlink": 241},
}
_AARCH64 = {
    **{"umount2": 39, "mount": 40, "pivot_root": 41, "chroot": 51, "quotactl": 60, "acct": 89, "capset": 91},
    **{"unshare": 97, "kexec_load": 104, "init_module": 105, "delete_module": 106, "clock_settime": 112},
    **{"syslog": 116, "ptrace": 117, "reboot": 142, "sethostname": 161, "setdomainname": 162, "settimeofday": 170},
    **{"socket": 198, "sendto": 206, "sendmsg": 211, "add_key": 217, "request_key": 218, "keyctl": 219},
    **{"clone": 220, "swapon": 224, "swapoff": 225, "migrate_pages": 238, "move_pages": 239},
    **{"perf_event_open": 241, "fanotify_init": 262, "open_by_handle_at": 265, "clock_adjtime": 266, "setns": 268},
    **{"sendmmsg": 269, "process_vm_readv": 270, "process_vm_writev": 271, "kcmp": 272, "finit_module": 273},
    **{"seccomp": 277, "bpf": 280, "userfaultfd": 282, "kexec_file_load": 294},
    **{"ioprio_set": 30, "sched_setparam": 118, "sched_setscheduler": 119, "setpriority": 140, "prlimit64": 261},
    **{"sched_setattr": 274, "mq_open": 180, "mq_unlink": 181, "msgget": 186, "msgctl": 187, "msgrcv": 188},
    **{"msgsnd": 189, "semget": 190, "semctl": 191, "semtimedop": 192, "semop": 193, "shmget": 194, "shmctl": 195},
    "shmat": 196,
}
_MACHINES = {"x86_64": (0xC000003E, _X86_64), "aarch64": (0xC00000B7, _AARCH64)}
"""By the name of the machine: its word in linux/audit.h, and the numbers of its calls."""

ARCHITECTURE, _own = _MACHINES.get(platform.machine(), (0, {}))
NUMBERS: dict[str, int] = {**_COMMON, **_own} if ARCHITECTURE else {}
"""Of the calls that are used or refused here; empty on machines that aren't known."""


def syscall(name: str, *arguments: int | bytes | None) -> int:
    """Make a system call.

    Raises:
        OSError: The kernel refuses, or doesn't know it.
    """
    number = NUMBERS.get(name)
    if number is None:
        raise OSError(errno.ENOSYS, f"{name} is not known on {platform.machine()}")
    words = [ctypes.c_long(word) if isinstance(word, int) else word for word in arguments]
    result: int = _libc.syscall(ctypes.c_long(number), *words)
    if result < 0:
        raise _refused(name)
    return result


def _refused(what: str) -> OSError:
    code = ctypes.get_errno()
    return OSError(code, f"{what}: {os.strerror(code)}")


_typed = ctypes.CFUNCTYPE(
    *(ctypes.c_long, ctypes.c_long, ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint), use_errno=True
)(("syscall", _libc))
_ADD_RULE = NUMBERS.get("landlock_add_rule", -1)


def add_rule(ruleset: int, kind: int, words: bytes) -> None:
    """``landlock_add_rule``: there are some eighty for each attempt, and types that are told once cost a third less.

    Raises:
        OSError: The kernel refuses, or doesn't know it.
    """
    if _typed(_ADD_RULE, ruleset, kind, words, 0) < 0:
        raise _refused("landlock_add_rule")


def prctl(option: int, *arguments: int) -> int:
    """Change what the kernel holds of this process.

    Raises:
        OSError: The kernel refuses.
    """
    words = [ctypes.c_ulong(word) for word in (*arguments, 0, 0, 0, 0)[:4]]
    result: int = _libc.prctl(ctypes.c_int(option), *words)
    if result < 0:
        raise _refused(f"prctl {option}")
    return result
