"""Whether the broker is closed, and where it may be open."""

from __future__ import annotations

import logging
from enum import StrEnum
from urllib.parse import urlsplit

from niyanta.errors import ConfigurationError
from niyanta.wire.addresses import Addresses, is_loopback

__all__ = ["BrokerAuth", "allow_open_broker", "warn_if_exposed"]

log = logging.getLogger(__name__)


class BrokerAuth(StrEnum):
    """How the broker knows who connects; ``NIYANTA_BROKER_AUTH`` of coordinators and workers."""

    TOKEN = "token"  # noqa: S105 -- a word
    """Workers come in with join tokens, and coordinators decide on each."""
    NONE = "none"
    """It doesn't: whoever reaches it may do everything. For tests and trials, on loopback."""


def allow_open_broker(urls: str) -> None:
    """Let a program use a broker that isn't closed, with a loud warning.

    Raises:
        ConfigurationError: One of the addresses isn't of this machine alone.
    """
    for server in Addresses.parse(urls).servers:
        host = urlsplit(server).hostname or ""
        if not is_loopback(host):
            raise ConfigurationError(
                f"NIYANTA_BROKER_AUTH=none is for a broker on this machine's loopback, not for {host}: whoever "
                "reaches such a broker reads every customer's inputs and can pass for any worker"
            )
    log.warning(
        "broker.open",
        extra={
            "because": "NIYANTA_BROKER_AUTH=none",
            "danger": "EVERY program on this machine can read every customer's inputs and pass for any worker: "
            "for tests and trials only",
        },
    )


def warn_if_exposed(addresses: Addresses) -> None:
    """Say loudly that what is said to the broker can be read on the way."""
    if hosts := addresses.exposed:
        log.warning(
            "traffic.in_the_clear",
            extra={
                "way": "broker",
                "where": ", ".join(hosts),
                "danger": "whoever is on the way reads inputs, results and join tokens",
                "advice": "give NATS a certificate, and begin its addresses with tls://",
            },
        )
