"""What somebody does who has one worker's credential, or nothing but the way to the broker. Nothing comes of it.

Run with ``-s`` it prints the tables.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import logging
import sys
import time
import zlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from nats.errors import Error as NatsError

from niyanta.domain.join_tokens import holder_of, new_incarnation
from niyanta.server.observability.logs import configure_logging
from niyanta.wire.frames import FRAMES_HEADER
from niyanta.wire.messages import (
    Assign,
    Assignment,
    AttemptRef,
    CancelAttempt,
    CheckpointRequest,
    Completed,
    Event,
    EventBatch,
    HandlerInfo,
    Heartbeat,
    Progressed,
    Register,
    Started,
)
from niyanta.wire.subjects import Subjects, inbox_of
from support.attacker import DENIED, SILENCE, Attacker
from support.closed import ClosedSystem, closed
from support.scripted_worker import ScriptedWorker
from support.system import beating

__all__ = ["closed"]

SECRET = "what only cust_b and its worker know"
REFUSED = (DENIED, SILENCE, "nobody there", "'accepted': False", "'ok': False", "'outcome': 'fenced'")
_encode = msgspec.msgpack.encode


@dataclass
class Scene:
    """One customer's workload runs on a worker; a stranger has another worker's credential."""

    system: ClosedSystem
    victim: ScriptedWorker
    ref: AttemptRef
    attacker: Attacker

    @property
    def mine(self) -> Subjects:
        return self.attacker.subjects

    @property
    def theirs(self) -> Subjects:
        return self.victim.subjects

    @property
    def incarnation(self) -> str:
        """One that the attacker may have."""
        return new_incarnation(self.attacker.ticket.credential, "0123456789abcdef")

    def register(self, worker_id: str = "evil-1", incarnation: str = "", **given: Any) -> Register:
        types = given.pop("types", ["count"])
        handlers = [HandlerInfo(kind) for kind in types]
        return Register(
            worker_id,
            incarnation or self.incarnation,
            given.pop("capacity", 1),
            given.pop("tags", {}),
            handlers,
            "evil",
            **given,
        )

    async def check(self) -> None:
        """Nothing was read, nothing moved: the victim has what it had, and nobody else anything."""
        assert (await self.victim.beat(self.ref)).ok
        assert self.victim.commands.empty()
        workload = await self.system.get(self.ref.workload_id, "cust_b")
        assert (workload["status"], workload["worker_id"], workload["progress_percent"]) == ("RUNNING", "w1", 0)
        assert not any(SECRET.encode() in heard for heard in self.attacker.heard)
        _, body, _ = await self.system.call("GET", "/admin/workers?status=HEALTHY", key="admin")
        assert [worker["worker_id"] for worker in body["workers"]] == ["w1"]


@pytest.fixture
async def scene(closed: ClosedSystem) -> AsyncIterator[Scene]:
    victim = await closed.worker("w1")
    token = await closed.token(worker_pattern="evil-*", workload_types=frozenset({"count"}))
    attacker = Attacker(closed.nats.url, "evil-1", token)
    await attacker.come_in()
    async with beating(victim):
        await closed.submit("cust_b", input_params={"secret": SECRET})
        assignment = await victim.next_assignment()
        await victim.report(assignment.ref, Started())
        await victim.checkpoint(assignment.ref, SECRET.encode())
        yield Scene(closed, victim, assignment.ref, attacker)
    await attacker.leave()


def show(title: str, outcomes: Mapping[str, str]) -> None:
    print(f"\n{title}")
    for what, outcome in outcomes.items():
        print(f"  {what:<58} {outcome[:100]}")


async def test_a_worker_s_credential_hears_nothing_of_others(scene: Scene) -> None:
    credential = holder_of(scene.victim.incarnation)
    subjects = {
        "everything": ">",
        "everything but the system's": "*.>",
        "everything of ours": "niyanta.v1.>",
        "the feed of changes": scene.mine.changed,
        "all commands": "niyanta.v1.worker.>",
        "another's commands": scene.theirs.commands("w1"),
        "another's commands by a wildcard": f"niyanta.v1.worker.*.{credential}",
        "its own name's under any credential": "niyanta.v1.worker.evil-1.*",
        "commands as an open broker has them": "niyanta.v1.worker.w1",
        "what workers say": "niyanta.v1.w.>",
        "what others report": "niyanta.v1.w.*.*.events",
        "all inboxes": "_INBOX.>",
        "inboxes by parts": "_INBOX.*.*.*",
        "another's inbox": f"{inbox_of(credential)}.>",
        "the broker's system": "$SYS.>",
        "who comes in": "$SYS.REQ.USER.AUTH",
    }
    outcomes = {what: await scene.attacker.listen(subject) for what, subject in subjects.items()}
    outcomes["a share of what workers report"] = await scene.attacker.listen(
        "niyanta.v1.w.*.*.events", "coordinators"
    )
    show("hears", outcomes)
    assert {what for what, outcome in outcomes.items() if outcome != DENIED} == set()
    await scene.victim.report(scene.ref, Progressed(0, SECRET))
    await scene.system.submit("cust_b", input_params={"secret": SECRET})
    await scene.victim.next_assignment()
    assert scene.attacker.heard == []


async def test_a_worker_s_credential_forges_nothing(scene: Scene) -> None:
    victim, mine, theirs = scene.victim, scene.mine, scene.theirs
    ask, own = scene.attacker.ask, scene.incarnation
    assign = Assign(10**15, victim.incarnation, [Assignment(AttemptRef("cust_a", "wl_x", 1), "count", b"{}")])
    done = Event(scene.ref, 99, 0, Completed(b"{}"))
    outcomes = {
        "an assignment of a huge epoch": await ask(theirs.commands("w1"), assign),
        "a cancel": await ask(theirs.commands("w1"), CancelAttempt(scene.ref, "forged")),
        "a change": await ask(mine.changed, b"x"),
        "registers as another, on its subject": await ask(theirs.register, scene.register("w1")),
        "registers as another, on its own subject": await ask(mine.register, scene.register("w1")),
        "registers with another's incarnation": await ask(
            mine.register, scene.register(incarnation=victim.incarnation)
        ),
        "takes another's place": await ask(mine.register, scene.register("w1", replaces=[victim.incarnation])),
        "registers without a sender": await ask("niyanta.v1.w.register", scene.register("w1")),
        "beats for another": await ask(mine.heartbeat, Heartbeat("w1", victim.incarnation, False, [])),
        "says another's good-bye": await ask(mine.heartbeat, Heartbeat("w1", victim.incarnation, True, [], True)),
        "the same on its subject": await ask(theirs.heartbeat, Heartbeat("w1", victim.incarnation, True, [], True)),
        "ends another's attempt": await ask(mine.events, EventBatch("w1", victim.incarnation, [done])),
        "ends it under its own name": await ask(mine.events, EventBatch("evil-1", own, [done])),
        "ends it on its subject": await ask(theirs.events, EventBatch("w1", victim.incarnation, [done])),
        "reads another's checkpoint": await ask(
            mine.checkpoint, CheckpointRequest("w1", victim.incarnation, scene.ref, 1)
        ),
        "reads it under its own name": await ask(mine.checkpoint, CheckpointRequest("evil-1", own, scene.ref, 1)),
        "speaks as the broker": await ask("$SYS.REQ.USER.AUTH", b"x"),
        "ends a connection": await ask("$SYS.REQ.SERVER.X.KICK", b'{"cid": 1}'),
        "answers into another's inbox": await ask(f"{inbox_of(holder_of(victim.incarnation))}.x", b"x"),
    }
    show("forges", outcomes)
    wrong = {what: outcome for what, outcome in outcomes.items() if not any(sign in outcome for sign in REFUSED)}
    # A batch about what it doesn't hold is answered as of an incarnation that isn't live.
    assert wrong == {}
    await scene.check()


async def test_a_coordinator_sends_no_reply_where_its_sender_may_not(scene: Scene) -> None:
    """It may send everywhere itself."""
    beat = _encode(Heartbeat("evil-1", scene.incarnation, False, []))
    spy: list[bytes] = []
    places = [scene.theirs.commands("w1"), scene.mine.changed, f"{inbox_of(holder_of(scene.victim.incarnation))}.x"]
    for place in places:
        await scene.system.broker.overhear(place, spy.append)
    for place in places:
        await scene.attacker.say(scene.mine.heartbeat, beat, reply=place)
        await scene.attacker.say(scene.mine.heartbeat, beat, reply=place, **{FRAMES_HEADER: "2"})
    assert "'ok': False" in await scene.attacker.ask(scene.mine.heartbeat, beat)  # all before it has been taken
    await scene.system.broker.overhear("niyanta.v1.nothing", spy.append)  # and all that was sent has come
    assert spy == []


async def test_a_worker_s_credential_is_no_more_than_its_token(scene: Scene) -> None:
    ask, register = scene.attacker.ask, scene.mine.register
    outcomes = {
        "2,001 types": await ask(register, scene.register(types=[f"t{n}" for n in range(2001)])),
        "a type that its token isn't for": await ask(register, scene.register(types=["count", "image"])),
        "a NUL in a type's name": await ask(register, scene.register(types=["count\0"])),
        "a line's end in a type's name": await ask(register, scene.register(types=["count\n"])),
        "a NUL in a tag": await ask(register, scene.register(tags={"a\0": "b"})),
        "10,000 tags": await ask(register, scene.register(tags={f"t{n}": "x" for n in range(10_000)})),
        "a capacity of 10^9": await ask(register, scene.register(capacity=10**9)),
        "an id that its token isn't for": await ask(register, scene.register("w2")),
        "an id with a wildcard": await ask(register, scene.register("evil-*")),
        "an incarnation without its credential": await ask(register, scene.register(incarnation="0" * 16)),
        "an incarnation with a wildcard": await ask(register, scene.register(incarnation=scene.incarnation + "*")),
    }
    show("claims", outcomes)
    assert all("'accepted': False" in outcome for outcome in outcomes.values())
    await scene.check()


async def test_broken_messages_harm_nobody(scene: Scene) -> None:
    mine, ask = scene.mine, scene.attacker.ask
    payloads = {
        "nothing": b"",
        "noise": bytes(range(256)) * 64,
        "100,000 levels": b"\x91" * 100_000,
        "levels within an event": _encode({"worker_id": "evil-1", "incarnation": "i", "events": []})[:-1]
        + b"\x91" * 100_000,
        "a list that says it has 2^32 entries": b"\xdd\xff\xff\xff\xff",
        "a text that says it has 4 GiB": b"\xdb\xff\xff\xff\xff",
        "a bomb": zlib.compress(b"\0" * 50_000_000),
        "half a message": _encode(scene.register())[:-9],
        "a huge number": _encode({"worker_id": "evil-1", "incarnation": "i", "capacity": 2**64 - 1}),
        "no Unicode": b"\x81\xa9worker_id\xa2\xff\xfe",
    }
    kinds = {kind: getattr(mine, kind) for kind in ("register", "heartbeat", "events", "checkpoint")}
    outcomes = {}
    for what, payload in payloads.items():
        for kind, subject in kinds.items():
            outcomes[f"{what}, as {kind}"] = await ask(subject, payload)
    for frames in ("2", "48", "49", "0", "-1", "1e3", "9" * 400, "", "x"):
        outcomes[f"{frames[:9]!r} frames"] = await ask(mine.events, b"x", **{FRAMES_HEADER: frames})
    show("sends", outcomes)
    await scene.check()


async def test_broken_messages_fill_no_log(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    root, written = logging.getLogger(), io.StringIO()
    before = root.handlers[:], root.level
    monkeypatch.setattr(sys, "stderr", written)
    configure_logging("INFO", json=True)
    try:
        for kind in ("register", "heartbeat", "events", "checkpoint"):
            for _ in range(300):
                await scene.attacker.ask(getattr(scene.mine, kind), b"\xc1")
    finally:
        root.handlers[:], _ = before
        root.setLevel(before[1])
    about_it = [line for line in written.getvalue().splitlines() if "evil-1" in line]
    show("logs", {"1,200 broken messages": f"{len(about_it)} lines"})
    assert 3 <= len(about_it) <= 150
    assert all(len(line) < 2_000 for line in about_it)
    await scene.check()


async def test_a_flood_slows_nobody_down(scene: Scene) -> None:
    """By one worker, of messages that are in order, as fast as it can."""
    beat = _encode(Heartbeat("evil-1", scene.incarnation, False, []))
    batch = _encode(EventBatch("evil-1", scene.incarnation, []))
    stop = False
    sent = 0

    async def flood() -> None:
        nonlocal sent
        while not stop:
            with contextlib.suppress(NatsError):  # it is cut off now and then, and comes back
                for _ in range(50):
                    await scene.attacker.nc.publish(
                        scene.mine.heartbeat, beat, reply=f"{scene.attacker.ticket.login.inbox}.x"
                    )
                    await scene.attacker.nc.publish(
                        scene.mine.events, batch, reply=f"{scene.attacker.ticket.login.inbox}.x"
                    )
                sent += 100
                await scene.attacker.nc.flush()
            await asyncio.sleep(0)

    flooding = asyncio.create_task(flood())
    waits: list[float] = []
    try:
        until = time.monotonic() + 4.0
        while time.monotonic() < until or len(waits) < 5:
            began = time.monotonic()
            workload_id = await scene.system.submit()
            assignment = await scene.victim.next_assignment()
            await scene.victim.report(assignment.ref, Started(), Completed(b"{}"))
            await scene.system.until(workload_id, "COMPLETED")
            waits.append(time.monotonic() - began)
    finally:
        stop = True
        with contextlib.suppress(asyncio.CancelledError):
            await flooding
    show("floods", {f"{sent} messages": f"{len(waits)} workloads meanwhile, the slowest took {max(waits):.2f} s"})
    assert sent >= 1_000  # then it is cut off, and has to come in anew
    async with asyncio.timeout(20):
        while not scene.attacker.nc.is_connected:
            await asyncio.sleep(0.05)
    await scene.check()
