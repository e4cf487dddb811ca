"""Whether a broker looks often enough whether its clients are still there.

A server of NATS gives a client up that doesn't answer two of its pings; by default it pings every two minutes. Until
then what is sent to a queue group goes on to be handed to a member that is frozen or cut off. The server tells nobody
how often it pings, and pings only who says nothing by itself; so a link that says nothing listens for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging

from nats.errors import Error as NatsError

from niyanta.wire.addresses import Addresses
from niyanta.wire.link import NatsLink
from niyanta.wire.login import Login
from niyanta.wire.opening import CONNECT_SECONDS, credentials, failed

__all__ = ["SELDOM_SECONDS", "pings_within", "warn_of_rare_pings"]

log = logging.getLogger(__name__)

SELDOM_SECONDS = 15.0
"""Pings further apart are too rare."""
_SILENT_SECONDS = 3600


class _Listening(NatsLink):
    """Says nothing by itself, and notes the server's pings."""

    def __init__(self, login: Login | None, addresses: Addresses) -> None:
        super().__init__(login, addresses)
        self.pinged = asyncio.Semaphore(0)

    async def _process_ping(self) -> None:
        self.pinged.release()
        await super()._process_ping()


async def warn_of_rare_pings(
    addresses: Addresses, login: Login | None = None, seconds: float = SELDOM_SECONDS
) -> None:
    """Listen at each server that is named, and say which ones ping too rarely."""
    for server in addresses.servers:
        if not await pings_within(seconds, server, addresses, login):
            log.warning(
                "broker.pings_rarely",
                extra={"server": server, "seconds": seconds, "advice": "set ping_interval: 10s in its configuration"},
            )


async def pings_within(seconds: float, server: str, addresses: Addresses, login: Login | None = None) -> bool:
    """Whether two pings of a server are no further apart; true when it can't be told, as the link broke."""
    link = _Listening(login, addresses)
    try:
        await link.connect(
            servers=[server],
            allow_reconnect=False,
            max_reconnect_attempts=1,
            connect_timeout=CONNECT_SECONDS,
            ping_interval=_SILENT_SECONDS,
            error_cb=failed,
            **(link.credentials() or credentials(addresses)),
        )
        # The first comes soon after the start, whatever is set. The server takes its answer for a sign of life, and
        # so leaves out the next one.
        for patience in (max(5.0, seconds), 2 * seconds + 1):
            try:
                async with asyncio.timeout(patience):
                    await link.pinged.acquire()
            except TimeoutError:
                return not link.is_connected
    except (NatsError, OSError, TimeoutError) as exc:
        log.info("broker.pings_not_heard", extra={"server": server, "error": str(exc)})
    finally:
        with contextlib.suppress(NatsError, OSError):
            await link.close()
    return True
