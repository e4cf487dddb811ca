"""The sockets of a coordinator's ports: of one process alone, or of several that share them.

Several processes share a port by ``SO_REUSEPORT``: each has a listening socket of its own, and the kernel gives each
new connection to one of them. Their parent binds the port first, alone, so that a port in use is found out, and only
then lets others of its user join. It never listens, so it gets no connection (ADR 0038).
"""

from __future__ import annotations

import socket

from niyanta.errors import ConfigurationError

__all__ = ["BACKLOG", "hold", "join", "listen"]

BACKLOG = 2048
"""Connections that wait to be accepted."""


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens, for one process alone.

    Raises:
        ConfigurationError: It can't be had; says why, and what to do.
    """
    return _bound(host, port, "--port", listens=True)


def hold(host: str, port: int, option: str) -> socket.socket:
    """A port that is to be shared: nobody else's, also while none of those listens who share it.

    Args:
        host: Address or name.
        port: 0 for a free one.
        option: By which another one is chosen.

    Raises:
        ConfigurationError: It can't be had; says why, and what to do.
    """
    found = _bound(host, port, option)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    return found


def join(host: str, port: int) -> socket.socket:
    """A share of a port that the parent holds. It gets connections once it listens.

    Raises:
        ConfigurationError: It can't be had.
    """
    return _bound(host, port, "--port", is_shared=True)


def _bound(host: str, port: int, option: str, *, is_shared: bool = False, listens: bool = False) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Python's own loop sends at once only from sockets of a listener that was made for TCP by name: else each answer
    # of two parts waits for the client to confirm the first, 40 ms.
    found = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, is_shared)
        found.bind((host, port))
        if listens:
            found.listen(BACKLOG)
    except OSError as exc:
        found.close()
        raise ConfigurationError(
            f"cannot listen on {host}:{port}: {exc.strerror or exc}. Is another program on that port? "
            f"Choose another with {option}, or 0 for a free one."
        ) from exc
    found.setblocking(False)
    return found
