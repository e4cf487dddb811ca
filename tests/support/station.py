"""The worker's half of an attempt, without a service: real launcher, real processes, a record of what is reported.

``python tests/support/station.py KIND INPUT`` runs one workload and waits, for tests that kill or freeze the agent.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from niyanta.wire.messages import (
    Assignment,
    AttemptRef,
    CheckpointReply,
    CheckpointSaved,
    Completed,
    EventReply,
    Failed,
    LogLine,
    Outcome,
    Paused,
    Progressed,
    Refused,
    Released,
)
from niyanta.wire.objects import ObjectStore
from niyanta.wire.subjects import Subjects
from niyanta.worker.attempt.attempt import Attempt
from niyanta.worker.attempt.means import Means
from niyanta.worker.box.policy import Policy, policy_by
from niyanta.worker.handlers.app import load_app
from niyanta.worker.launcher.pool import ProcessPool
from niyanta.worker.outbox import Who

FOLDER = Path(__file__).parent / "apps"
APP = f"{FOLDER / 'misbehaving.py'}:worker"


class Record:
    """What one attempt has reported."""

    def __init__(self) -> None:
        self.events: list[Any] = []
        self._changed = asyncio.Event()

    def add(self, body: Any) -> None:
        self.events.append(body)
        self._changed.set()

    def of(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    def lines(self, level: str | None = None) -> list[str]:
        return [line.message for line in self.of(LogLine) if level in (None, line.level)]

    @property
    def end(self) -> Any:
        ends = self.of((Completed, Failed, Paused, Refused, Released))  # type: ignore[arg-type]
        assert len(ends) <= 1, ends
        return ends[0] if ends else None

    @property
    def result(self) -> Any:
        assert isinstance(self.end, Completed), self.end
        return msgspec.json.decode(self.end.result_json)

    async def until(self, kind: type[Any], seconds: float = 20.0) -> Any:
        """Wait for the first event of a kind."""
        async with asyncio.timeout(seconds):
            while not self.of(kind):
                self._changed.clear()
                await self._changed.wait()
        return self.of(kind)[0]


class Station:
    """What an attempt needs of its agent. Acknowledges checkpoints as the service would."""

    def __init__(
        self, pool: ProcessPool, scratch: Path, object_store: ObjectStore | None = None, app: str = APP
    ) -> None:
        self.pool = pool
        self.scratch = scratch
        service: Any = self
        self.means = Means(
            who=Who("w", "i"),
            broker=service,
            subjects=Subjects(),
            outbox=service,
            confirm=self.confirm,
            scratch=scratch,
            object_store=object_store,
            pool=pool,
        )
        self.handlers = load_app([app]).handlers
        self.attempts: dict[AttemptRef, tuple[Attempt, Record]] = {}
        self.checkpoints: dict[int, CheckpointSaved] = {}
        self.pausing = False
        self.line_bytes = 0

    async def confirm(self, ref: AttemptRef) -> None:
        """Every attempt is this worker's."""

    # as the outbox

    def has_room(self, ref: AttemptRef) -> bool:
        return self.line_bytes < 32 << 20

    def add(self, ref: AttemptRef, sequence: int, body: Any) -> None:
        msgspec.msgpack.encode(body)  # whatever is queued can be sent
        attempt, record = self.attempts[ref]
        record.add(body)
        if isinstance(body, LogLine):
            self.line_bytes += len(body.message)
        if isinstance(body, CheckpointSaved):
            number = len(self.checkpoints) + 1
            self.checkpoints[number] = body
            reply = EventReply(ref, Outcome.APPLIED, number, None, self.pausing)
            asyncio.get_running_loop().call_soon(attempt.checkpoint_answered, {sequence}, reply)

    # as the broker

    async def request(self, subject: str, payload: bytes, *, timeout_seconds: float) -> bytes:
        wanted = msgspec.msgpack.decode(payload)
        found = next((n for n in sorted(self.checkpoints, reverse=True) if n <= wanted["sequence"]), None)
        if found is None:
            return msgspec.msgpack.encode(CheckpointReply(False, "no good checkpoint is left"))
        saved = self.checkpoints[found]
        part = saved.data[wanted["offset"] : wanted["offset"] + 100_000]
        return msgspec.msgpack.encode(
            CheckpointReply(True, None, found, saved.encoding, part, saved.size_bytes, saved.sha256, saved.object_key)
        )

    # what tests do

    def start(
        self, kind: str, params: Any = None, *, customer: str = "cust", **options: Any
    ) -> tuple[Attempt, Record]:
        ref = AttemptRef(customer, f"wl_{len(self.attempts)}", 1)
        assignment = Assignment(ref, kind, msgspec.json.encode(params or {}), **options)
        attempt, record = Attempt(self.means, assignment, self.handlers[kind], lambda attempt: None), Record()
        self.attempts[ref] = (attempt, record)
        attempt.start()
        return attempt, record

    async def run(self, kind: str, params: Any = None, *, seconds: float = 30.0, **options: Any) -> Record:
        attempt, record = self.start(kind, params, **options)
        async with asyncio.timeout(seconds):
            await attempt.task
        return record

    async def run_all(self, runs: Sequence[tuple[str, Any]], *, seconds: float = 60.0) -> list[Record]:
        """Run them, four at a time."""
        room = asyncio.Semaphore(4)

        async def one(kind: str, params: Any) -> Record:
            async with room:
                return await self.run(kind, params, seconds=seconds)

        return await asyncio.gather(*(one(*run) for run in runs))

    async def run_kinds(self, kinds: Iterable[str]) -> list[Record]:
        """Run them without parameters, four at a time."""
        return await self.run_all([(kind, {}) for kind in kinds])


@contextlib.asynccontextmanager
async def station(
    scratch: Path,
    object_store: ObjectStore | None = None,
    *,
    app: str = APP,
    fork: bool = True,
    pass_env: Sequence[str] = (),
    most: int = 8,
    rest_seconds: float = 60.0,
    policy: Policy | None = None,
) -> AsyncIterator[Station]:
    """A station with its pool; nothing is left of it afterwards.

    Handlers may write beside the scratch directory too, unless a policy says otherwise: tests look there.
    """
    os.makedirs(scratch, exist_ok=True)
    policy = policy or policy_by(Policy(pass_env=tuple(pass_env), writes=(str(scratch.parent),)))
    pool = ProcessPool([app], 1, scratch, fork=fork, most=most, rest_seconds=rest_seconds, policy=policy)
    await pool.start()
    here = Station(pool, scratch, object_store, app)
    try:
        yield here
    finally:
        for attempt, _ in here.attempts.values():
            attempt.disown()
        await pool.close()
        await asyncio.gather(*(attempt.task for attempt, _ in here.attempts.values()))


async def _main() -> None:
    kind, params = sys.argv[1], json.loads(sys.argv[2])
    policy = policy_by(Policy(writes=(str(Path(params["scratch"]).parent),)))
    async with station(Path(tempfile.mkdtemp(dir=params["scratch"])), policy=policy) as here:
        attempt, record = here.start(kind, params)
        await record.until(Progressed)
        here.pool.renew(60.0, params.get("lease", 60.0))
        while here.pool.has_unsent:
            await asyncio.sleep(0.01)
        print("running", flush=True)
        await attempt.task
        print(record.end, flush=True)


if __name__ == "__main__":
    asyncio.run(_main())
