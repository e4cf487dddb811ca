"""Where the broker is: one server, or several that form a cluster, as one setting names them."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import unquote, urlsplit, urlunsplit

from niyanta.errors import ConfigurationError

__all__ = ["Addresses"]


@dataclass(frozen=True)
class Addresses:
    """The servers of a broker, and the credentials that all of them take.

    Attributes:
        servers: URLs without credentials; at least one.
        user: Empty for none.
        password: Of the user.
        token: Instead of user and password; empty for none.
    """

    servers: tuple[str, ...]
    user: str = ""
    password: str = ""
    token: str = ""

    @classmethod
    def parse(cls, urls: str) -> Addresses:
        """Read URLs separated by commas.

        The first credentials hold for all servers, those of which the others tell later among them: a server that
        joins the cluster is known by its address alone.

        Raises:
            ConfigurationError: There is no address, or one can't be read.
        """
        servers: list[str] = []
        login: tuple[str, str | None] | None = None
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
            servers.append(urlunsplit(place._replace(netloc=place.netloc.rpartition("@")[2])))
        if not servers:
            raise ConfigurationError("say where the broker is: nats://host:4222, or several such with commas between")
        if login is None:
            return cls(tuple(servers))
        user, password = login
        return cls(tuple(servers), token=user) if password is None else cls(tuple(servers), user, password)
