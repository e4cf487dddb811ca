"""How a worker finds the broker and gets in."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping

from niyanta.errors import BrokerRefusedError, ConfigurationError
from niyanta.wire.broker import Broker
from niyanta.wire.broker_auth import BrokerAuth, allow_open_broker
from niyanta.wire.login import WorkerPass
from niyanta.wire.nearby import dev_credentials
from niyanta.wire.secret_values import secret_value

__all__ = ["come_in", "way_in"]

log = logging.getLogger(__name__)

_REFUSALS = 3
"""In a row, given at once, that mean no: a coordinator that has just started may not know a token yet."""
_PAUSE_SECONDS = 0.3
_PATIENT_SECONDS = 10.0
"""How long it is nothing to worry about that no coordinator is there."""


def way_in(
    worker_id: str, nats_url: str | None, join_token: str | None, environment: Mapping[str, str]
) -> tuple[str, WorkerPass | None]:
    """Where the broker is, and what to show there; nothing where it is open.

    Args:
        worker_id: Who comes.
        nats_url: As given; None for what the environment or the nearest `niyanta dev` says.
        join_token: The same.
        environment: What it says.

    Raises:
        ConfigurationError: Something is missing or can't work.
    """
    url = nats_url or secret_value(environment, "NIYANTA_NATS_URL")
    token = join_token or secret_value(environment, "NIYANTA_JOIN_TOKEN")
    if not (url and token):
        found = dev_credentials()
        nearby = str(found.get("nats_url") or "")
        if url in ("", nearby):  # its token is for its own broker
            url, token = url or nearby, token or str(found.get("join_token") or "")
    if not url:
        raise ConfigurationError("say where NATS is: --nats-url or NIYANTA_NATS_URL")
    auth = environment.get("NIYANTA_BROKER_AUTH") or BrokerAuth.TOKEN
    if auth not in list(BrokerAuth):
        raise ConfigurationError(f"NIYANTA_BROKER_AUTH must be one of: {', '.join(BrokerAuth)}")
    if auth == BrokerAuth.NONE:
        allow_open_broker(url)
        return url, None
    if not token:
        raise ConfigurationError(
            "no join token: make one by `niyanta admin create-join-token`, "
            "and give it by NIYANTA_JOIN_TOKEN or --join-token"
        )
    return url, WorkerPass.make(token, worker_id)


async def come_in(broker: Broker, stop: asyncio.Event) -> bool:
    """Connect; while no coordinator is there to say yes, wait for one. False when the stop came first.

    Raises:
        ConnectionFailedError: The broker can't be reached.
        BrokerRefusedError: It is there, and so is a coordinator, which refuses the join token.
    """
    refusals, said = 0, logging.NOTSET
    began = time.monotonic()
    while not stop.is_set():
        try:
            await broker.connect()
        except BrokerRefusedError as exc:
            refusals = refusals + 1 if exc.at_once else 0
            if refusals >= _REFUSALS:
                raise BrokerRefusedError(
                    "the broker refuses the join token: "
                    "it is unknown, revoked or expired, or for workers with other ids",
                    at_once=True,
                ) from exc
            # Workers and coordinators that are started together find each other within seconds.
            level = logging.INFO if time.monotonic() - began < _PATIENT_SECONDS else logging.WARNING
            if not exc.at_once and level > said:
                log.log(level, "worker.waits: the broker lets nobody in, as no coordinator is there yet")
                said = level
        else:
            return True
        try:
            async with asyncio.timeout(_PAUSE_SECONDS):
                await stop.wait()
        except TimeoutError:
            pass
    return False
