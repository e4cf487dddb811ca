"""What one setting says of where the broker is."""

from __future__ import annotations

import pytest

from niyanta.errors import ConfigurationError
from niyanta.wire.addresses import Addresses


@pytest.mark.parametrize(
    ("urls", "expected"),
    [
        ("nats://host:4222", Addresses(("nats://host:4222",))),
        ("host", Addresses(("nats://host",))),
        ("nats://t%40ken@host:1", Addresses(("nats://host:1",), token="t@ken")),
        ("tls://me:p%3Aw@host", Addresses(("tls://host",), "me", "p:w")),
        ("nats://t@a:1, nats://t@b:2,c:3,", Addresses(("nats://a:1", "nats://b:2", "nats://c:3"), token="t")),
        ("nats://a:1,nats://me:pw@b:2", Addresses(("nats://a:1", "nats://b:2"), "me", "pw")),
        ("nats://[::1]:4222", Addresses(("nats://[::1]:4222",))),
    ],
)
def test_addresses_are_read(urls: str, expected: Addresses) -> None:
    assert Addresses.parse(urls) == expected


@pytest.mark.parametrize("urls", ["", " , ", "nats://", "nats://host:99999", "nats://host:port", "nats://[::1"])
def test_what_is_no_address_is_refused(urls: str) -> None:
    with pytest.raises(ConfigurationError, match="nats://host:4222"):
        Addresses.parse(urls)
