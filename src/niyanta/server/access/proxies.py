"""Who a request comes from when a proxy stands in between: its word is taken where an operator has named it, only."""

from __future__ import annotations

import ipaddress
from functools import lru_cache

from niyanta.errors import ConfigurationError

__all__ = ["Proxies", "network_of"]

_MOST_HOPS = 32


class Proxies:
    """The proxies that an operator has named.

    Args:
        named: Addresses and networks (``10.0.0.5, 10.1.0.0/16``), with commas between; empty for none.

    Raises:
        ConfigurationError: One can't be read.
    """

    def __init__(self, named: str) -> None:
        self._networks = [_network(word.strip()) for word in named.split(",") if word.strip()]
        self._is_named = lru_cache(4096)(self._is_in_a_network)

    def __bool__(self) -> bool:
        return bool(self._networks)

    def __contains__(self, address: str) -> bool:
        return bool(self._networks) and self._is_named(address)

    def _is_in_a_network(self, address: str) -> bool:
        try:
            found = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return False
        mapped = getattr(found, "ipv4_mapped", None)
        return any((mapped or found) in network for network in self._networks)

    def source(self, peer: str, forwarded_for: str | None) -> str:
        """The address of the client.

        Args:
            peer: Who is at the other end of the connection.
            forwarded_for: What ``X-Forwarded-For`` says; several headers joined by commas. Each proxy has added, at
                its end, whom it heard it from: so it is read from the end, as far as proxies that are named wrote it.
        """
        if not forwarded_for or peer not in self:
            return peer
        source = peer
        for word in reversed(forwarded_for.split(",")[-_MOST_HOPS:]):
            address = _address(word)
            if address is None:
                return source
            source = address
            if source not in self:
                return source
        return source


def network_of(address: str) -> str:
    """What is one source: an address; with IPv6 its /64 network, as whoever has one address has them all.

    Through a listener for both versions an address of IPv4 comes as one of IPv6. What is none stands for itself.
    """
    if ":" not in address:
        return address
    try:
        found = ipaddress.IPv6Address(address.partition("%")[0])
    except ValueError:
        return address
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(found), 64), strict=False).network_address)


def _address(word: str) -> str | None:
    """An address as proxies write it, some with a port; None for what is none."""
    word = word.strip()
    if word.startswith("["):
        word = word[1:].partition("]")[0]
    elif word.count(":") == 1:
        word = word.partition(":")[0]
    try:
        return str(ipaddress.ip_address(word))
    except ValueError:
        return None


def _network(word: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        return ipaddress.ip_network(word, strict=False)
    except ValueError as exc:
        raise ConfigurationError(
            f"behind_proxy names the proxies by their addresses or networks, as in 10.0.0.5,10.1.0.0/16, not '{word}'"
        ) from exc
