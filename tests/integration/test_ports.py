"""A port of one process, and one that several share."""

from __future__ import annotations

import contextlib
import socket

import pytest

from niyanta.errors import ConfigurationError
from niyanta.server.ports import hold, join, listen

HOST = "127.0.0.1"


def port_of(found: socket.socket) -> int:
    return int(found.getsockname()[1])


def test_a_port_of_one_process_is_nobody_elses() -> None:
    with listen(HOST, 0) as first:
        for other in (listen, join):
            with pytest.raises(ConfigurationError, match=rf"cannot listen on {HOST}:{port_of(first)}: .*--port"):
                other(HOST, port_of(first))
        with pytest.raises(ConfigurationError, match=r"Choose another with --grpc-port, or 0"):
            hold(HOST, port_of(first), "--grpc-port")


def test_a_held_port_takes_no_connection_before_one_that_joined_listens() -> None:
    with hold(HOST, 0, "--port") as held, join(HOST, port_of(held)) as joined:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((HOST, port_of(held)), timeout=5)
        joined.listen()
        with socket.create_connection((HOST, port_of(held)), timeout=5):
            joined.setblocking(True)
            joined.settimeout(5)
            joined.accept()[0].close()


def test_connections_are_spread_over_those_that_joined() -> None:
    with hold(HOST, 0, "--port") as held, join(HOST, port_of(held)) as first, join(HOST, port_of(held)) as second:
        for joined in (first, second):
            joined.listen(100)
            joined.settimeout(0)
        with contextlib.ExitStack() as calls:
            for _ in range(60):
                calls.enter_context(socket.create_connection((HOST, port_of(held)), timeout=5))
            counts = [accepted(joined) for joined in (first, second)]
        assert sum(counts) == 60
        assert min(counts) > 0


def accepted(joined: socket.socket) -> int:
    count = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            joined.accept()[0].close()
            count += 1
    return count


def test_while_it_is_shared_nobody_comes_in_who_does_not_join() -> None:
    with hold(HOST, 0, "--port") as held, join(HOST, port_of(held)) as joined:
        joined.listen()
        with pytest.raises(ConfigurationError):
            listen(HOST, port_of(held))
        with pytest.raises(ConfigurationError):
            hold(HOST, port_of(held), "--port")
