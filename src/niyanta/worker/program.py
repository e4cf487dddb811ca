"""Runs a worker as a program: settings, signals, the event loop."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import tempfile
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from niyanta.telemetry.process import Telemetry
from niyanta.wire.addresses import Addresses, BrokerTls
from niyanta.wire.broker import Broker
from niyanta.wire.broker_auth import warn_if_exposed
from niyanta.wire.objects import ObjectStore
from niyanta.wire.subjects import Subjects
from niyanta.worker.agent.agent import Agent
from niyanta.worker.agent.claim import WorkerClaim
from niyanta.worker.box.outside import scratch_parent
from niyanta.worker.box.policy import Policy, policy_by, users_in
from niyanta.worker.box.rights import hide_memory
from niyanta.worker.handlers.app import load_app
from niyanta.worker.joining import come_in, way_in

__all__ = ["run_worker"]

log = logging.getLogger(__name__)

_NATS_PORT = 4222


def run_worker(
    app: Sequence[str],
    *,
    nats_url: str | None = None,
    join_token: str | None = None,
    worker_id: str | None = None,
    capacity: int | None = None,
    tags: dict[str, str] | None = None,
    attempt_uids: str | None = None,
) -> None:
    """Run until SIGTERM or SIGINT, then drain; a second signal stops at once.

    Where neither argument nor environment says so, broker and join token are those of the nearest `niyanta dev`.

    Raises:
        ConfigurationError: The app or a setting can't work.
        ConnectionFailedError: The broker can't be reached, or refuses the join token.
    """
    hide_memory()
    spec = load_app(app).spec(id=worker_id or os.environ.get("NIYANTA_ID") or None, capacity=capacity, tags=tags)
    object_store = ObjectStore(where) if (where := os.environ.get("NIYANTA_OBJECT_STORE_URL")) else None
    prefix = os.environ.get("NIYANTA_SUBJECT_PREFIX", "niyanta.v1")
    url, ticket = way_in(spec.worker_id, nats_url, join_token, os.environ)
    tls = BrokerTls.by(os.environ)
    warn_if_exposed(Addresses.parse(url, tls))
    spec = replace(spec, reach=_reach(spec.reach, url, attempt_uids))
    telemetry = Telemetry("niyanta-worker", spec.worker_id, logger="niyanta", serves_handlers=True)
    subjects = Subjects(prefix, sender=ticket.sender if ticket else "")

    async def main() -> None:
        stop = asyncio.Event()
        this = asyncio.current_task()

        def stopped() -> None:
            if stop.is_set() and this is not None:
                this.cancel()
            stop.set()

        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stopped)
        watch_parent(stopped)
        broker = Broker(url, name=spec.worker_id, login=ticket.login if ticket else None, tls=tls)
        if not await come_in(broker, stop):
            return
        claim = WorkerClaim(spec.worker_id, f"{prefix} {url}")
        try:
            _rest_the_collector()
            with tempfile.TemporaryDirectory(prefix="niyanta-", dir=scratch_parent(policy_by(spec.reach))) as scratch:
                await Agent(spec, app, broker, subjects, Path(scratch), object_store, claim, telemetry).run(stop)
        finally:
            claim.release()
            await broker.close()

    try:
        with contextlib.closing(telemetry):
            _runner()(main())
    except asyncio.CancelledError:
        log.warning("worker.stopped_at_once")


def _rest_the_collector() -> None:
    """What has been loaded by now stays for good, and each look at all of it held attempts up for 16 ms."""
    gc.collect()
    gc.freeze()


def _reach(said: Policy, nats_urls: str, attempt_uids: str | None) -> Policy:
    return replace(said, closed_ports=tuple(ports_of(nats_urls)), users=users_in(attempt_uids or ""))


def ports_of(nats_urls: str) -> list[int]:
    """The broker's ports, by its addresses with commas between them."""
    found = []
    for url in nats_urls.split(","):
        with contextlib.suppress(ValueError):
            found.append(urlsplit(url.strip() if "://" in url else f"nats://{url.strip()}").port or _NATS_PORT)
    return found


def watch_parent(ended: Callable[[], None]) -> None:
    """Call back when the pipe named by ``NIYANTA_PARENT_FD`` closes: whoever started us is gone."""
    number = os.environ.pop("NIYANTA_PARENT_FD", "")
    if number.isdigit():
        loop = asyncio.get_running_loop()
        fd = int(number)

        def readable() -> None:
            if not os.read(fd, 64):
                loop.remove_reader(fd)
                ended()

        loop.add_reader(fd, readable)


def _runner() -> Callable[[Coroutine[Any, Any, None]], None]:
    try:
        import uvloop
    except ImportError:
        return asyncio.run
    return uvloop.run
