"""Where the broker is: one server, or several that form a cluster, as one setting names them."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import unquote, urlsplit, urlunsplit

from niyanta.errors import ConfigurationError

__all__ = ["Addresses", "BrokerTls", "is_loopback"]


@dataclass(frozen=True)
class BrokerTls:
    """Files in PEM for the connection to a broker that speaks TLS.

    Attributes:
        ca: Who may have signed the broker's certificate; the system's authorities when empty.
        cert: What is shown to a broker that asks for a certificate.
        key: Its key.
    """

    ca: str = ""
    cert: str = ""
    key: str = ""

    @classmethod
    def by(cls, environment: Mapping[str, str]) -> BrokerTls:
        """What ``NIYANTA_NATS_TLS_CA``, ``…_CERT`` and ``…_KEY`` say."""
        return cls(*(environment.get(f"NIYANTA_NATS_TLS_{name}", "") for name in ("CA", "CERT", "KEY")))


@dataclass(frozen=True)
class Addresses:
    """The servers of a broker, and the credentials that all of them take.

    Attributes:
        servers: URLs without credentials; at least one.
        user: Empty for none.
        password: Of the user.
        token: Instead of user and password; empty for none.
        tls: Files for TLS.
        is_secured: Whether they are spoken to by TLS only: an address begins with ``tls://``, or there are files.
    """

    servers: tuple[str, ...]
    user: str = ""
    password: str = ""
    token: str = ""
    tls: BrokerTls = BrokerTls()
    is_secured: bool = False

    @property
    def exposed(self) -> list[str]:
        """The hosts to which what is said goes in the clear, and over a network."""
        hosts = [urlsplit(server).hostname or "" for server in self.servers]
        return [] if self.is_secured else [host for host in hosts if not is_loopback(host)]

    @classmethod
    def parse(cls, urls: str, tls: BrokerTls = BrokerTls()) -> Addresses:
        """Read URLs separated by commas.

        The first credentials hold for all servers, those of which the others tell later among them: a server that
        joins the cluster is known by its address alone.

        Raises:
            ConfigurationError: There is no address, or one can't be read.
        """
        servers: list[str] = []
        login: tuple[str, str | None] | None = None
        is_secured = tls != BrokerTls()
        for url in filter(None, (part.strip() for part in urls.split(","))):
            try:
                place = urlsplit(url if "://" in url else f"nats://{url}")
                is_good = bool(place.hostname) and (place.port is None or place.port > 0)
            except ValueError:
                is_good = False
            if not is_good:
                raise ConfigurationError("an address of the broker can't be read; it looks like nats://host:4222")
            if login is None and place.username:
                login = unquote(place.username), None if place.password is None else unquote(place.password)
            is_secured = is_secured or place.scheme == "tls"
            servers.append(urlunsplit(place._replace(netloc=place.netloc.rpartition("@")[2])))
        if not servers:
            raise ConfigurationError("say where the broker is: nats://host:4222, or several such with commas between")
        found = cls(tuple(servers), tls=tls, is_secured=is_secured)
        if login is None:
            return found
        user, password = login
        return replace(found, token=user) if password is None else replace(found, user=user, password=password)


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, reached without a network."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
