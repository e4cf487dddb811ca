"""The other end of a connection, as grpc names it, and the end of a connection by that name."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import socket
import stat
from urllib.parse import unquote

__all__ = ["cut_off", "source_address"]

_OPEN = "/proc/self/fd"


def source_address(peer: str) -> str:
    """The address of a peer as grpc names it: ``ipv4:127.0.0.1:50412``, ``ipv6:%5B::1%5D:50412``."""
    _, _, place = unquote(peer).partition(":")
    return place.rpartition(":")[0].strip("[]")


def cut_off(peer: str, port: int) -> bool:
    """End a connection of this process, whatever it is doing.

    grpc has no call for it. So its socket is looked for among the open files, and shut down by a second descriptor:
    to grpc that is a caller that has gone, and the socket remains its own to close.

    Args:
        peer: As grpc names it.
        port: That it came in by.

    Returns:
        Whether it was there. Without ``/proc`` nothing is found.
    """
    address, _, peer_port = unquote(peer).rpartition(":")
    wanted = _plain(address.partition(":")[2].strip("[]")), int(peer_port), port
    with contextlib.suppress(FileNotFoundError):
        for name in os.listdir(_OPEN):
            with contextlib.suppress(OSError):  # closed meanwhile, or no socket that is connected
                if stat.S_ISSOCK(os.fstat(int(name)).st_mode) and _cut_if(int(name), wanted):
                    return True
    return False


def _cut_if(descriptor: int, wanted: tuple[str, int, int]) -> bool:
    """Shut down what the descriptor stands for when it is the one wanted."""
    own = os.dup(descriptor)
    try:
        found = socket.socket(fileno=own)
    except OSError:
        os.close(own)
        raise
    with found:
        if found.family not in (socket.AF_INET, socket.AF_INET6):
            return False
        other, here = found.getpeername(), found.getsockname()
        if (_plain(other[0]), other[1], here[1]) != wanted:
            return False
        found.shutdown(socket.SHUT_RDWR)
        return True


def _plain(address: str) -> str:
    """An address in one spelling: those of IPv4 without what IPv6 puts before them."""
    found = ipaddress.ip_address(address)
    return str(getattr(found, "ipv4_mapped", None) or found)
