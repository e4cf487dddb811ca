"""A program that has got hold of one worker's credential, and tries everything with it by the bare client."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import msgspec
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.errors import NoRespondersError

from niyanta.wire.link import NatsLink
from niyanta.wire.login import WorkerPass
from niyanta.wire.subjects import Subjects

__all__ = ["DENIED", "SILENCE", "Attacker"]

DENIED = "denied by the broker"
SILENCE = "no answer"
_SOON_SECONDS = 0.5


class Attacker:
    """Let in as a worker; `heard` is all that ever reached it."""

    def __init__(self, url: str, worker_id: str, token: str) -> None:
        self.ticket = WorkerPass.make(token, worker_id)
        self.subjects = Subjects(sender=self.ticket.sender)
        self.heard: list[bytes] = []
        self._url = url
        self._denied: set[str] = set()
        """Subjects that the broker has named when it refused something, in small letters as its errors come."""
        self._refused = asyncio.Event()
        self.nc = NatsLink(self.ticket.login)

    async def come_in(self) -> None:
        async def failed(error: Exception) -> None:
            if "permissions violation" in str(error).lower():
                self._denied.add(str(error).split('"')[1].lower())
                self._refused.set()

        await self.nc.connect(
            servers=[self._url],
            inbox_prefix=self.ticket.login.inbox,
            error_cb=failed,
            max_reconnect_attempts=-1,
            **self.nc.credentials(),
        )

    async def listen(self, subject: str, queue: str = "") -> str:
        """Try to subscribe."""

        async def hear(msg: Msg) -> None:
            self.heard.append(msg.data)

        await self.nc.subscribe(subject, queue=queue, cb=hear)
        await self.nc.flush()
        return DENIED if await self._is_denied(subject) else "listens"

    async def _is_denied(self, subject: str) -> bool:
        """Whether the broker has refused it; it says so soon."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_SOON_SECONDS):
                while subject.lower() not in self._denied:
                    self._refused.clear()
                    await self._refused.wait()
        return subject.lower() in self._denied

    async def say(self, subject: str, payload: bytes, reply: str = "", **headers: str) -> None:
        """Try to publish."""
        await self.nc.publish(subject, payload, reply=reply, headers=headers or None)
        await self.nc.flush()

    async def ask(self, subject: str, payload: Any, **headers: str) -> str:
        """Try to ask; gives what was answered, in one line."""
        message = payload if isinstance(payload, bytes) else msgspec.msgpack.encode(payload)
        try:
            reply = await self.nc.request(subject, message, timeout=_SOON_SECONDS, headers=headers or None)
        except (NatsError, TimeoutError) as exc:
            if await self._is_denied(subject):
                return DENIED
            return "nobody there" if isinstance(exc, NoRespondersError) else SILENCE
        self.heard.append(reply.data)
        try:
            return str(msgspec.msgpack.decode(reply.data))
        except msgspec.DecodeError:
            return repr(reply.data[:80])

    async def leave(self) -> None:
        async with asyncio.timeout(10):
            await self.nc.close()
