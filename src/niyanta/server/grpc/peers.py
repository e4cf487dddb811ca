"""The other end of a connection, as grpc names it, and the end of a connection by that name."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import socket
import stat
from collections.abc import Iterator
from urllib.parse import unquote

__all__ = ["cut_off", "each_socket", "source_address"]

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
    wanted = _plain(address.partition(":")[2].strip("[]")), int(peer_port)
    for found in each_socket(port):
        with contextlib.suppress(OSError):  # no longer connected
            other = found.getpeername()
            if (_plain(other[0]), other[1]) == wanted:
                found.shutdown(socket.SHUT_RDWR)
                return True
    return False


def each_socket(port: int, *, listening: bool = False) -> Iterator[socket.socket]:
    """This process's sockets of a port of its own, each by a second descriptor that is closed thereafter.

    Args:
        port: Theirs at this end.
        listening: Whether those are wanted that listen; otherwise those that are connected.
    """
    with contextlib.suppress(FileNotFoundError):  # no /proc
        for name in os.listdir(_OPEN):
            found = None
            with contextlib.suppress(OSError):  # closed meanwhile, or no socket
                if stat.S_ISSOCK(os.fstat(int(name)).st_mode):
                    found = _second(int(name))
            if found is not None:
                with found:
                    if _is_of(found, port, listening):
                        yield found


def _second(descriptor: int) -> socket.socket:
    own = os.dup(descriptor)
    try:
        return socket.socket(fileno=own)
    except OSError:
        os.close(own)
        raise


def _is_of(found: socket.socket, port: int, listening: bool) -> bool:
    if found.family not in (socket.AF_INET, socket.AF_INET6) or found.getsockname()[1] != port:
        return False
    return bool(found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)) == listening


def _plain(address: str) -> str:
    """An address in one spelling: those of IPv4 without what IPv6 puts before them."""
    found = ipaddress.ip_address(address)
    return str(getattr(found, "ipv4_mapped", None) or found)
