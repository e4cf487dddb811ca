"""Simulated agents: many workers that register, beat and report, and run nothing.

Each has a link of its own, as a worker has, on which it hears the replies to itself. What it shows is a coordinator's
key, so that no token has to be made for each.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec

from niyanta.domain.join_tokens import credential_of, id_of, new_incarnation
from niyanta.errors import ConnectionFailedError
from niyanta.server.fleet.broker_keys import BrokerKeys
from niyanta.server.store.database import Database
from niyanta.wire.broker import Broker
from niyanta.wire.messages import (
    Assign,
    AttemptRef,
    BatchReply,
    Command,
    Event,
    EventBatch,
    HandlerInfo,
    Heartbeat,
    HeartbeatReply,
    Register,
    RegisterReply,
    Speak,
    Started,
)
from niyanta.wire.subjects import Subjects, inbox_of

__all__ = ["Agents"]

_encode = msgspec.msgpack.Encoder().encode
_REGISTER_SECONDS = 120.0
_MOST_STARTED = 500
"""In one batch."""


class _Agent:
    def __init__(self, worker_id: str, credential: str, capacity: int) -> None:
        self.worker_id = worker_id
        self.credential = credential
        self.subjects = Subjects(sender=f"{worker_id}.{credential}")
        self.incarnation = new_incarnation(credential, secrets.token_hex(8))
        self.capacity = capacity
        self.held: list[AttemptRef] = []
        self.new: list[AttemptRef] = []
        self.broker = Broker("", name=worker_id)

    def beat(self) -> Heartbeat:
        return Heartbeat(self.worker_id, self.incarnation, False, self.held)


class Agents:
    """A fleet of them.

    Args:
        credentials: Of a running system.
        workload_type: That all of them serve.
        count: How many.
        capacity: Of each.
    """

    def __init__(self, credentials: Mapping[str, str], workload_type: str, count: int, capacity: int) -> None:
        self._credentials = credentials
        self._workload_type = workload_type
        token = id_of(credentials["join_token"]) or ""
        names = [f"bench-{number:04}" for number in range(count)]
        self._agents = [_Agent(name, credential_of(token, name), capacity) for name in names]
        self._living: list[asyncio.Task[None]] = []
        self.unanswered = 0
        """Beats without an answer."""
        self.lost = 0
        """How often the service took one of them for dead."""

    @property
    def held(self) -> int:
        """Attempts that they run, as far as they say."""
        return sum(len(agent.held) for agent in self._agents)

    async def start(self) -> None:
        """Register all, and keep them alive."""
        database = await Database.open(self._credentials["database_url"])
        login = (await BrokerKeys.load(database)).login
        await database.close()
        interval = 2.0
        for agent in self._agents:
            own = replace(login, inbox=inbox_of(agent.credential))
            agent.broker = Broker(self._credentials["nats_url"], name=agent.worker_id, login=own)
            await agent.broker.connect()
            await agent.broker.serve(agent.subjects.commands(agent.worker_id), self._handler(agent))
            interval = await self._register(agent)
        self._living = [
            asyncio.create_task(self._live(agent, interval, interval * number / len(self._agents)))
            for number, agent in enumerate(self._agents)
        ]
        self._living.append(asyncio.create_task(self._report()))

    async def _register(self, agent: _Agent) -> float:
        """Come to life, as another incarnation; gives how often to beat, in seconds."""
        agent.incarnation, agent.held, agent.new = new_incarnation(agent.credential, secrets.token_hex(8)), [], []
        handlers = [HandlerInfo(self._workload_type)]
        message = Register(agent.worker_id, agent.incarnation, agent.capacity, {}, handlers, "bench")
        async with asyncio.timeout(_REGISTER_SECONDS):
            while True:
                try:
                    raw = await agent.broker.request(agent.subjects.register, _encode(message), timeout_seconds=20)
                    break
                except ConnectionFailedError:  # a coordinator takes none while its database is slow
                    await asyncio.sleep(0.5)
        reply = msgspec.msgpack.decode(raw, type=RegisterReply)
        if not reply.accepted:
            raise RuntimeError(f"a registration was refused: {reply.message}")
        return reply.heartbeat_interval_seconds

    def _handler(self, agent: _Agent) -> Any:
        async def received(payload: bytes) -> bytes | None:
            command = msgspec.msgpack.decode(payload, type=Command)
            if isinstance(command, Speak):
                return _encode(agent.beat())
            if isinstance(command, Assign):
                known = set(agent.held)
                fresh = [a.ref for a in command.assignments if a.ref not in known]
                agent.held += fresh
                agent.new += fresh
            return None

        return received

    async def _live(self, agent: _Agent, interval: float, offset: float) -> None:
        await asyncio.sleep(offset)  # not all at once
        while True:
            try:
                message = _encode(agent.beat())
                raw = await agent.broker.request(agent.subjects.heartbeat, message, timeout_seconds=interval)
                reply = msgspec.msgpack.decode(raw, type=HeartbeatReply)
                if not reply.ok and not reply.hold:
                    self.lost += 1
                    await self._register(agent)
            except ConnectionFailedError:
                self.unanswered += 1
            await asyncio.sleep(interval)

    async def _report(self) -> None:
        """Say of whatever has come that it has started."""
        while True:
            for agent in self._agents:
                told = agent.new[:_MOST_STARTED]
                if told and await self._started(agent, told):
                    del agent.new[: len(told)]
            await asyncio.sleep(0.05)

    async def _started(self, agent: _Agent, refs: Sequence[AttemptRef]) -> bool:
        """Whether it was taken; what wasn't is said again."""
        now = int(time.time() * 1000)
        batch = EventBatch(agent.worker_id, agent.incarnation, [Event(ref, 1, now, Started()) for ref in refs])
        try:
            raw = await agent.broker.request(agent.subjects.events, _encode(batch), timeout_seconds=30)
        except ConnectionFailedError:
            return False
        return msgspec.msgpack.decode(raw, type=BatchReply).ok

    async def stop(self) -> None:
        """Let them all vanish."""
        for living in self._living:
            living.cancel()
        await asyncio.gather(*self._living, return_exceptions=True)
        await asyncio.gather(*(agent.broker.close() for agent in self._agents))
