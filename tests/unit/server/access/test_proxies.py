"""Whose word on a client's address is taken."""

from __future__ import annotations

import pytest

from niyanta.errors import ConfigurationError
from niyanta.server.access.proxies import Proxies

NAMED = Proxies("10.0.0.1, 10.1.0.0/16, 2001:db8::/64")


@pytest.mark.parametrize(
    ("peer", "forwarded", "source"),
    [
        ("10.0.0.1", "203.0.113.7", "203.0.113.7"),
        ("10.0.0.1", "198.51.100.1, 203.0.113.7", "203.0.113.7"),  # the first one is the client's own word
        ("10.0.0.1", "203.0.113.7, 10.1.2.3", "203.0.113.7"),  # through two proxies
        ("10.0.0.1", "10.1.9.9, 10.1.2.3", "10.1.9.9"),  # a client among the proxies
        ("10.0.0.1", "203.0.113.7:5123", "203.0.113.7"),
        ("2001:db8::5", "[2001:db8:1::7]:5123", "2001:db8:1::7"),
        ("::ffff:10.0.0.1", "203.0.113.7", "203.0.113.7"),
        ("10.0.0.1", "unknown", "10.0.0.1"),
        ("10.0.0.1", "203.0.113.7, nonsense, 10.1.2.3", "10.1.2.3"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", None, "10.0.0.1"),
        ("10.0.0.2", "203.0.113.7", "10.0.0.2"),  # not named
        ("", "203.0.113.7", ""),
    ],
)
def test_the_nearest_that_is_no_proxy_is_the_source(peer: str, forwarded: str | None, source: str) -> None:
    assert NAMED.source(peer, forwarded) == source


def test_nobody_is_believed_by_default() -> None:
    nobody = Proxies("")
    assert "127.0.0.1" not in nobody
    assert nobody.source("127.0.0.1", "203.0.113.7") == "127.0.0.1"


def test_a_long_list_costs_little() -> None:
    assert NAMED.source("10.0.0.1", ",".join(["10.1.2.3"] * 100_000)) == "10.1.2.3"


@pytest.mark.parametrize("named", ["proxy.example.com", "10.0.0.0/33", "*"])
def test_what_is_no_address_is_refused(named: str) -> None:
    with pytest.raises(ConfigurationError, match="addresses or networks, as in"):
        Proxies(named)
