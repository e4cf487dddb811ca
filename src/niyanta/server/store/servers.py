"""Where the database is: one PostgreSQL server, or several of which one takes writes and the others stand by.

The driver understands such URLs, too, but waits for one silent server as long as for all of them, so that a first
one that is frozen or cut off would hide the others.
"""

from __future__ import annotations

import ssl
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import asyncpg

from niyanta.errors import ConfigurationError

__all__ = ["Servers", "unreachable"]

_SECONDS_EACH = 2.0
_SECONDS_ALONE = 5.0
_ATTRIBUTE = "target_session_attrs"


def unreachable(exc: OSError) -> ConfigurationError:
    """Why no server can be reached, in words, and what to do."""
    if isinstance(exc, ssl.SSLCertVerificationError):
        return ConfigurationError(
            f"the database's certificate isn't trusted ({exc.verify_message}): is `sslrootcert` in its URL the file "
            "with its authority, and does the certificate name the host?"
        )
    if isinstance(exc, FileNotFoundError):
        return ConfigurationError(
            "cannot reach the database: a file that its URL names, as a socket or by sslrootcert, sslcert or sslkey, "
            "isn't there"
        )
    return ConfigurationError(
        f"cannot reach the database: {str(exc) or 'time-out'}. Is PostgreSQL running there, and is the URL right?"
    )


class Servers:
    """The servers that a URL names: ``postgresql://user:password@one:5432,other:5432/name``.

    Of several, one that takes writes is meant, unless ``target_session_attrs`` says otherwise.

    Args:
        url: As the setting has it.

    Raises:
        ConfigurationError: It can't be read.
    """

    def __init__(self, url: str) -> None:
        try:
            place = urlsplit(url)
            options = dict(parse_qsl(place.query, keep_blank_values=True))
            ports = [urlsplit(f"//{host}").port for host in place.netloc.rpartition("@")[2].split(",")]
        except ValueError:
            ports = None
        if ports is None or place.scheme not in ("postgresql", "postgres"):
            # What was found would tell parts of a password that isn't quoted as it should be.
            raise ConfigurationError(
                "the database URL can't be read; it looks like postgresql://user:password@host:5432/name, "
                "with what is special in a password as %XX"
            )
        login, at, hosts = place.netloc.rpartition("@")
        each = hosts.split(",")
        if len(each) > 1:
            options.setdefault(_ATTRIBUTE, "read-write")
        query = urlencode(options)
        self._urls = [urlunsplit(place._replace(netloc=f"{login}{at}{host}", query=query)) for host in each]
        self._first = 0
        """The one that was good last; after it has failed, the next."""

    async def connect(self, *_: Any, **options: Any) -> asyncpg.Connection[Any]:
        """Connect to the first that serves; signed like the driver's own function, whose address it replaces.

        Raises:
            OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError: What the last of them said.
        """
        count = len(self._urls)
        options["timeout"] = _SECONDS_ALONE if count == 1 else _SECONDS_EACH
        failure: Exception | None = None
        for number in [(self._first + step) % count for step in range(count)]:
            # Should it fail, or the caller lose patience, the next try begins with another.
            self._first = (number + 1) % count
            try:
                connection: asyncpg.Connection[Any] = await asyncpg.connect(self._urls[number], **options)
            except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as exc:
                failure = exc
                continue
            except asyncpg.InternalClientError as exc:  # it is a standby
                failure = OSError(str(exc))
                continue
            self._first = number
            return connection
        raise failure or OSError("no server is named")
