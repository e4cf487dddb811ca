"""What our client of NATS changes of the other, the other has: in the oldest release that is supported, too."""

from __future__ import annotations

from nats.aio.client import Client

from niyanta.wire.link import NatsLink

_OWN = {"credentials"}


def test_each_method_that_is_overridden_is_there_to_be() -> None:
    overridden = {name for name, value in vars(NatsLink).items() if callable(value) or isinstance(value, property)}
    methods = {name for name in overridden - _OWN if not name.startswith("__")}
    assert {"_connect_to_server", "_connect_command", "_process_err", "flush", "ssl_context"} <= methods
    assert [name for name in sorted(methods) if not hasattr(Client, name)] == []
