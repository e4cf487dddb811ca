"""What an attempt may see of the machine outside of its own folder.

The system's programs and libraries, the interpreter, the app, a few devices; and what the worker's operator and the
app's author have added.
"""

from __future__ import annotations

import glob
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence

from niyanta.worker.box import landlock
from niyanta.worker.box.hiding import inside
from niyanta.worker.box.policy import Policy

__all__ = ["Opening", "openings", "scratch_parent"]

_SYSTEM = (
    *("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store", "/gnu/store", "/proc", "/sys"),
    *("/run/systemd/resolve", "/run/resolvconf", "/run/NetworkManager", "/run/opengl-driver", "/run/current-system"),
    *("/var/cache/fontconfig", "/var/lib/ca-certificates"),
)
_MIXED = ("/etc", "/opt")
"""Folders that hold secrets beside what everybody needs."""
_NETWORK = ("resolv.conf", "hosts", "host.conf", "hostname", "nsswitch.conf", "gai.conf", "services", "protocols")
_TRUST = (
    *("ssl/certs", "ssl/openssl.cnf", "ssl/cert.pem", "ca-certificates", "ca-certificates.conf", "crypto-policies"),
    *("pki/tls/certs", "pki/tls/cert.pem", "pki/tls/openssl.cnf", "pki/ca-trust"),
)
_PROGRAMS = (
    *("passwd", "group", "localtime", "timezone", "locale.alias", "locale.conf", "default/locale", "machine-id"),
    *("ld.so.cache", "ld.so.conf", "ld.so.conf.d", "alternatives", "os-release", "lsb-release", "debian_version"),
    *("mime.types", "magic", "fonts", "OpenCL", "vulkan", "glvnd", "openmpi", "inputrc", "terminfo", "R", "perl"),
    *("python3", "papersize", "java-17-openjdk", "java-21-openjdk", "ImageMagick-6", "ImageMagick-7"),
)
_OF_ETC = (*_NETWORK, *_TRUST, *_PROGRAMS)
"""What root's attempts may read of ``/etc``, as they own all that is there. Anybody else's may try all."""
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty", "ptmx", "pts", "dri", "kfd", "accel", "infiniband")
_DEVICE_PATTERNS = ("/dev/nvidia*", "/dev/dma_heap", "/dev/video[0-9]*")

Opening = tuple[str, int]
"""A path, and the rights to what lies there (`niyanta.worker.box.landlock`)."""


def openings(policy: Policy, apps: Sequence[str], covered: Iterable[str] = ()) -> Iterator[Opening]:
    """Everything that may be opened.

    Args:
        policy: Whose.
        apps: References to the app.
        covered: What is hidden already, so that folders around it may be opened as a whole.
    """
    # What isn't there needs no hiding, and a folder that is opened in parts takes no new files.
    hidden = [path for path in policy.hidden if path not in covered and os.path.lexists(path)]
    for path in _SYSTEM:
        yield path, landlock.READ
    mixed = _MIXED if os.geteuid() else tuple(f"/etc/{name}" for name in _OF_ETC)
    for path in mixed:
        yield path, landlock.READ
    for name in _DEVICES:
        yield f"/dev/{name}", landlock.USE_DEVICE
    for pattern in _DEVICE_PATTERNS:
        yield from ((path, landlock.USE_DEVICE) for path in glob.glob(pattern))
    yield "/dev/shm", landlock.SHARED_MEMORY  # noqa: S108 -- not written to here
    for path in (*_code(apps), *policy.reads):
        yield from ((part, landlock.READ) for part in _without(path, hidden))
    for path in policy.writes:
        yield from ((part, landlock.WRITE) for part in _without(path, hidden))


def _code(apps: Sequence[str]) -> Iterator[str]:
    """Where the interpreter, its libraries and the app lie."""
    yield from {sys.prefix, sys.exec_prefix, sys.base_prefix, os.path.dirname(os.__file__)}
    yield os.path.realpath(sys.executable)
    names = {reference.rpartition(":")[0] for reference in apps}
    files = {os.path.abspath(name) for name in names if name.endswith(".py")}
    folders = {os.path.abspath(path or ".") for path in sys.path} | {os.path.dirname(path) for path in files}
    loaded = {name.partition(".")[0] for name in (*sys.modules, *(names - files))}
    wide = _wide()
    for folder in sorted(folders):
        real = os.path.realpath(folder)
        if inside(wide, [real]):
            # Not all of somebody's home or of /tmp, because a script lies there: its own modules.
            yield from (path for name in loaded for path in (f"{folder}/{name}", f"{folder}/{name}.py"))
            yield from (path for path in files if os.path.dirname(path) == folder)
        else:
            yield real


def _wide() -> set[str]:
    """Folders that hold all kinds of things; what contains them does even more so."""
    places = ("/", os.path.expanduser("~"), os.environ.get("TMPDIR", "/tmp"), "/tmp", "/var/tmp")  # noqa: S108 -- compared only
    return {os.path.realpath(path) for path in places}


def _without(path: str, hidden: Sequence[str]) -> Iterator[str]:
    """A folder in parts, those that are hidden left out; the folder itself when none is in it."""
    real = os.path.realpath(path)
    if inside([real], hidden):
        return
    if not inside(hidden, [real]):
        yield real
        return
    try:
        names = os.listdir(real)
    except OSError:
        return
    for name in names:
        yield from _without(f"{real.rstrip('/')}/{name}", hidden)


def scratch_parent(policy: Policy) -> str | None:
    """Where to make a folder that isn't among what attempts may read or write anyway; None for the usual place."""
    opened = (*policy.reads, *policy.writes)
    places = (tempfile.gettempdir(), "/var/tmp", f"/run/user/{os.geteuid()}", "/run", "/dev/shm")  # noqa: S108
    for place in places:
        if not inside([os.path.realpath(place)], opened) and os.access(place, os.W_OK | os.X_OK):
            return place
    return None
