"""A worker that does exactly what a test tells it, over the real broker."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import time
from typing import Any

import msgspec

from niyanta.domain.join_tokens import new_incarnation
from niyanta.errors import ConnectionFailedError
from niyanta.wire import messages
from niyanta.wire.broker import Broker
from niyanta.wire.messages import (
    Assign,
    Assignment,
    AttemptRef,
    BatchReply,
    Command,
    Event,
    EventBatch,
    EventReply,
    HandlerInfo,
    Heartbeat,
    HeartbeatReply,
    Register,
    RegisterReply,
    Speak,
)
from niyanta.wire.subjects import Subjects

_PATIENCE_SECONDS = 0.4

_encode = msgspec.msgpack.Encoder().encode


class ScriptedWorker:
    """Speaks the protocol; decides nothing."""

    def __init__(self, broker: Broker, subjects: Subjects, worker_id: str, **options: Any) -> None:
        self.broker = broker
        self.subjects = subjects
        self.worker_id = worker_id
        self.incarnation = new_incarnation(subjects.credential, secrets.token_hex(8))
        self.capacity: int = options.get("capacity", 10)
        self.tags: dict[str, str] = options.get("tags", {})
        self.types: list[str] = options.get("types", ["count"])
        self.exclusive: list[str] = options.get("exclusive", [])
        """Of the types those of which two attempts must never run at once."""
        self.schemas: dict[str, dict[str, Any]] = options.get("schemas", {})
        self.missing_walls: list[str] = options.get("missing_walls", [])
        self.takes_later = False
        self.clock_ahead_seconds = 0.0
        self.assignments: asyncio.Queue[Assignment] = asyncio.Queue()
        self.commands: asyncio.Queue[Any] = asyncio.Queue()
        self.answers: bool = options.get("answers", False)
        """Whether it speaks when it is asked; it beats only when a test lets it."""
        self.holds: list[AttemptRef] = []
        """What it says that it holds, when it speaks."""
        self._sequences: dict[AttemptRef, int] = {}
        self._given: set[AttemptRef] = set()

    async def register(self) -> RegisterReply:
        """Listen, and come to life."""
        await self.broker.serve(self.subjects.commands(self.worker_id), self._received)
        return await self.register_again()

    async def register_again(self) -> RegisterReply:
        message = Register(
            self.worker_id,
            self.incarnation,
            self.capacity,
            self.tags,
            [
                HandlerInfo(
                    kind,
                    exclusive=kind in self.exclusive,
                    input_schema=self.schemas.get(kind),
                    missing_walls=self.missing_walls,
                )
                for kind in self.types
            ],
            "test",
        )
        return msgspec.msgpack.decode(
            await self.broker.request(self.subjects.register, _encode(message), timeout_seconds=5), type=RegisterReply
        )

    async def _received(self, payload: bytes) -> bytes | None:
        command = msgspec.msgpack.decode(payload, type=Command)
        if isinstance(command, Speak):
            return _encode(Heartbeat(self.worker_id, self.incarnation, False, self.holds)) if self.answers else None
        if isinstance(command, Assign):
            for assignment in command.assignments:
                self.assignments.put_nowait(assignment)
        else:
            self.commands.put_nowait(command)
        return None

    async def next_assignment(self, timeout_seconds: float = 20.0) -> Assignment:
        """The next that it has not been given yet; coordinators push one again that they hear nothing of.

        Should that take long, it beats meanwhile, so that a busy machine isn't taken for a dead worker.
        """
        async with asyncio.timeout(timeout_seconds):
            while True:
                try:
                    async with asyncio.timeout(_PATIENCE_SECONDS):
                        assignment = await self.assignments.get()
                except TimeoutError:
                    await self.beat(*self.holds)
                    continue
                if assignment.ref not in self._given:
                    self._given.add(assignment.ref)
                    return assignment

    async def next_push(self, timeout_seconds: float = 20.0) -> Assignment:
        """The next assignment, be it one that was pushed before."""
        async with asyncio.timeout(timeout_seconds):
            return await self.assignments.get()

    async def next_command(self, timeout_seconds: float = 20.0) -> Any:
        async with asyncio.timeout(timeout_seconds):
            return await self.commands.get()

    def event(self, ref: AttemptRef, body: Any) -> Event:
        """The next event of an attempt."""
        self._sequences[ref] = self._sequences.get(ref, 0) + 1
        occurred_at_ms = int((time.time() + self.clock_ahead_seconds) * 1000)
        return Event(ref, self._sequences[ref], occurred_at_ms, body)

    async def _ask(self, subject: str, sent: bytes) -> bytes:
        """Ask again while nobody is there, as workers do: a coordinator that is held up leaves its group."""
        async with asyncio.timeout(10):
            while True:
                try:
                    return await self.broker.request(subject, sent, timeout_seconds=5)
                except ConnectionFailedError as exc:
                    if "nobody listens" not in str(exc):
                        raise
                await asyncio.sleep(0.05)

    async def send(self, *events: Event) -> list[EventReply]:
        """One batch; gives the replies, in the order of the attempts."""
        batch = EventBatch(self.worker_id, self.incarnation, list(events), self.takes_later)
        reply = msgspec.msgpack.decode(await self._ask(self.subjects.events, _encode(batch)), type=BatchReply)
        assert reply.ok
        return reply.replies

    async def report(self, ref: AttemptRef, *bodies: Any) -> EventReply:
        """Report about one attempt."""
        (reply,) = await self.send(*(self.event(ref, body) for body in bodies))
        return reply

    async def checkpoint(self, ref: AttemptRef, state: bytes) -> EventReply:
        return await self.report(ref, messages.CheckpointSaved(state, hashlib.sha256(state).digest()))

    async def beat(
        self,
        *attempts: AttemptRef,
        draining: bool = False,
        leaving: bool = False,
        lingering: int | None = None,
    ) -> HeartbeatReply:
        """One that is recorded: given again while the database is too slow, as workers do."""
        message = Heartbeat(self.worker_id, self.incarnation, draining, list(attempts), leaving, lingering=lingering)
        async with asyncio.timeout(20):
            while (reply := await self.beat_once(message)).hold:
                await asyncio.sleep(0.05)
        return reply

    async def beat_once(self, message: Heartbeat) -> HeartbeatReply:
        """A beat, and what is said to it at once."""
        return msgspec.msgpack.decode(await self._ask(self.subjects.heartbeat, _encode(message)), type=HeartbeatReply)

    async def fetch_checkpoint(self, ref: AttemptRef, sequence: int) -> messages.CheckpointReply:
        request = messages.CheckpointRequest(self.worker_id, self.incarnation, ref, sequence)
        return msgspec.msgpack.decode(
            await self.broker.request(self.subjects.checkpoint, _encode(request), timeout_seconds=5),
            type=messages.CheckpointReply,
        )
