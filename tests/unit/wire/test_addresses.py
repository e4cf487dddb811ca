"""What one setting says of where the broker is."""

from __future__ import annotations

import pytest

from niyanta.errors import ConfigurationError
from niyanta.wire.addresses import Addresses, BrokerTls


@pytest.mark.parametrize(
    ("urls", "expected"),
    [
        ("nats://host:4222", Addresses(("nats://host:4222",))),
        ("host", Addresses(("nats://host",))),
        ("nats://t%40ken@host:1", Addresses(("nats://host:1",), token="t@ken")),
        ("tls://me:p%3Aw@host", Addresses(("tls://host",), "me", "p:w", is_secured=True)),
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


@pytest.mark.parametrize(
    ("urls", "tls", "exposed"),
    [
        ("nats://127.0.0.1:4222,nats://[::1],localhost", BrokerTls(), []),
        ("nats://127.0.0.1,nats://b.example,c", BrokerTls(), ["b.example", "c"]),
        ("tls://b.example,nats://c", BrokerTls(), []),
        ("nats://b.example", BrokerTls(ca="ca.crt"), []),
    ],
)
def test_what_goes_over_a_network_in_the_clear_is_known(urls: str, tls: BrokerTls, exposed: list[str]) -> None:
    assert Addresses.parse(urls, tls).exposed == exposed


def test_files_for_tls_come_from_the_environment() -> None:
    environment = {"NIYANTA_NATS_TLS_CA": "ca", "NIYANTA_NATS_TLS_CERT": "cert", "NIYANTA_NATS_TLS_KEY": "key"}
    assert BrokerTls.by(environment) == BrokerTls("ca", "cert", "key")
    assert BrokerTls.by({}) == BrokerTls()
