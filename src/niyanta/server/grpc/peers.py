"""The other end of a connection, as grpc names it, and the end of a connection by that name."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import socket
from collections.abc import Callable, Iterator
from urllib.parse import unquote

__all__ = ["cut_off", "each_listener", "source_address"]

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
    for found in _second_of_each(lambda seen: _is_of(seen, port) and _other_end(seen) == wanted):
        with contextlib.suppress(OSError):  # no longer connected
            found.shutdown(socket.SHUT_RDWR)
            return True
    return False


def each_listener(port: int) -> Iterator[socket.socket]:
    """This process's sockets that listen on a port, each by a second descriptor that is closed thereafter."""
    yield from _second_of_each(
        lambda seen: bool(seen.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)) and _is_of(seen, port)
    )


def _second_of_each(is_wanted: Callable[[socket.socket], bool]) -> Iterator[socket.socket]:
    """Sockets among the open files. They may be thousands: a second descriptor is made only of what is wanted."""
    with contextlib.suppress(FileNotFoundError):  # no /proc
        for descriptor in map(int, os.listdir(_OPEN)):
            if not _is(descriptor, is_wanted):
                continue
            with contextlib.suppress(OSError), _second(descriptor) as found:  # closed meanwhile
                # Its number may be another file's by now.
                if _is(found.fileno(), is_wanted):
                    yield found


def _is(descriptor: int, is_wanted: Callable[[socket.socket], bool]) -> bool:
    with contextlib.suppress(OSError):  # no socket, closed meanwhile, or not connected
        # As one of IPv6, as addresses of both versions fit there.
        seen = socket.socket(socket.AF_INET6, socket.SOCK_STREAM, 0, fileno=descriptor)
        try:
            return is_wanted(seen)
        finally:
            seen.detach()
    return False


def _is_of(seen: socket.socket, port: int) -> bool:
    family = seen.getsockopt(socket.SOL_SOCKET, socket.SO_DOMAIN)
    return family in (socket.AF_INET, socket.AF_INET6) and seen.getsockname()[1] == port


def _other_end(seen: socket.socket) -> tuple[str, int]:
    other = seen.getpeername()
    return _plain(other[0]), other[1]


def _second(descriptor: int) -> socket.socket:
    own = os.dup(descriptor)
    try:
        return socket.socket(fileno=own)
    except OSError:
        os.close(own)
        raise


def _plain(address: str) -> str:
    """An address in one spelling: those of IPv4 without what IPv6 puts before them."""
    if ":" not in address:
        return address
    found = ipaddress.ip_address(address)
    return str(getattr(found, "ipv4_mapped", None) or found)
