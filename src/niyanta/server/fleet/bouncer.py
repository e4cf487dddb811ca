"""Puts workers out of the broker: whose join token has ended, who was removed, who floods it.

Such a worker is mute already, as each coordinator refuses what it says. Its connection would still be there, for a
quarter of an hour at the most, and hear what is sent to it. NATS ends a connection when its system account asks for
that, by the server's id and the connection's number there; both are told with each question of who may come in. A
worker of ours hears before that why it must go, and ends by itself.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import msgspec

from niyanta.domain.join_tokens import token_of
from niyanta.errors import ConfigurationError, ConnectionFailedError, ServiceUnavailableError
from niyanta.server.store.database import Database, Pool
from niyanta.server.store.workers import WorkerStore
from niyanta.wire.broker import Broker

__all__ = ["Bouncer", "BrokerConnection"]

log = logging.getLogger(__name__)

GRACE_SECONDS = 4.0
"""In which a worker learns why it must go: from the answer to a heartbeat or two."""
_LOOK_SECONDS = 1.0
_MOST_PLACES = 20_000
"""That are remembered, the newest; of others the credential runs out by itself."""
_MOST_WAITING = 1_000
_ANSWER_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class BrokerConnection:
    """Where a connection is."""

    server_id: str
    client_id: int
    """Its number at that server."""


class Bouncer:
    """Ends connections of workers.

    Args:
        system: The link to the broker's system account; opened when it is first needed.
        database: Says who was removed.
        clock: Monotonic seconds.
    """

    def __init__(self, system: Broker, database: Database, clock: Callable[[], float] = time.monotonic) -> None:
        self._system = system
        self._database = database
        self._workers = WorkerStore()
        self._clock = clock
        self._places: OrderedDict[tuple[str, str], BrokerConnection] = OrderedDict()
        self._ended: dict[str, float] = {}
        """Ids of tokens that have ended, and when their workers are to be out."""
        self._leaving: asyncio.Queue[tuple[str, str]] = asyncio.Queue(_MOST_WAITING)
        self.barred: frozenset[str] = frozenset()
        """Ids of workers that were removed a while ago."""

    def let_in(self, worker_id: str, credential: str, place: BrokerConnection) -> None:
        """A worker is about to come in."""
        self._places[worker_id, credential] = place
        self._places.move_to_end((worker_id, credential))
        if len(self._places) > _MOST_PLACES:
            self._places.popitem(last=False)

    def tokens_ended(self, token_ids: Iterable[str]) -> None:
        """Put the workers of some join tokens out, in a moment."""
        self._ended.update(dict.fromkeys(token_ids, self._clock() + GRACE_SECONDS))

    def put_out(self, worker_id: str, credential: str) -> None:
        """Put one out now; it may come in again."""
        if (worker_id, credential) in self._places and not self._leaving.full():
            self._leaving.put_nowait((worker_id, credential))

    async def run(self) -> None:
        """Look who must go, and see to it, until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._look())
                group.create_task(self._end())
        finally:
            await self._system.close()

    async def _look(self) -> None:
        while True:
            try:
                async with self._database.connection(Pool.VITAL) as conn:
                    barred = frozenset(await self._workers.removed(conn, GRACE_SECONDS))
            except ServiceUnavailableError as exc:
                log.info("bouncer.not_read", extra={"error": str(exc)})
                barred = self.barred
            now = self._clock()
            over = {token_id for token_id, at in self._ended.items() if at <= now}
            newly, self.barred = barred - self.barred, barred
            for worker_id, credential in list(self._places):
                if worker_id in newly or token_of(credential) in over:
                    self.put_out(worker_id, credential)
            for token_id in over:
                del self._ended[token_id]
            await asyncio.sleep(_LOOK_SECONDS)

    async def _end(self) -> None:
        opened = False
        while True:
            who = await self._leaving.get()
            place = self._places.pop(who, None)
            if place is None:
                continue
            try:
                if not opened:
                    await self._system.connect()
                    opened = True
                await self._system.request(
                    f"$SYS.REQ.SERVER.{place.server_id}.KICK",
                    msgspec.json.encode({"cid": place.client_id}),
                    timeout_seconds=_ANSWER_SECONDS,
                )
            except (ConnectionFailedError, ConfigurationError) as exc:
                log.warning("bouncer.not_put_out", extra={"worker_id": who[0], "error": str(exc)})
            else:
                log.warning("bouncer.put_out", extra={"worker_id": who[0]})
