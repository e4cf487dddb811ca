"""A closed broker: who comes in, how long they stay, and what they may do there."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from niyanta.domain.join_tokens import Grant, id_of, spell_token
from niyanta.domain.workers import RegisterRefusal
from niyanta.embedded.engine import free_port
from niyanta.embedded.nats_server import program
from niyanta.errors import (
    BrokerRefusedError,
    ConfigurationError,
    ConnectionFailedError,
    ServiceUnavailableError,
)
from niyanta.server.fleet.broker_keys import BrokerKeys
from niyanta.server.fleet.nkeys import ACCOUNT, USER, KeyPair
from niyanta.server.store.join_tokens import JoinTokenStore
from niyanta.wire.broker import Broker
from niyanta.wire.broker_auth import allow_open_broker
from niyanta.wire.login import Login, WorkerPass
from niyanta.wire.messages import Completed, Started
from support.closed import ClosedSystem, closed, closed_system
from support.scripted_worker import ScriptedWorker
from support.system import beating

__all__ = ["closed"]


async def test_a_worker_comes_in_by_its_token_and_does_its_work(closed: ClosedSystem) -> None:
    worker = await closed.worker()
    async with beating(worker):
        workload_id = await closed.submit(input_params={"much": "x" * 700_000})
        assignment = await worker.next_assignment()  # in frames
        await worker.report(assignment.ref, Started())
        await worker.checkpoint(assignment.ref, b"y" * 2_000_000)  # in frames, too
        await worker.report(assignment.ref, Completed(b'{"done": true}'))
        await closed.until(workload_id, "COMPLETED")


async def test_a_credential_is_renewed_without_anybody_s_doing(database_url: str, tmp_path: Path) -> None:
    async with closed_system(database_url, tmp_path, worker_credential_seconds=3) as system:
        worker = await system.worker()
        async with asyncio.timeout(40):
            while worker.broker.interruptions < 2:
                await asyncio.sleep(0.05)
            while not worker.broker.connected:
                await asyncio.sleep(0.05)
        assert (await worker.register_again()).accepted


async def _refusal(closed: ClosedSystem, login: Login | None) -> BrokerRefusedError:
    broker = Broker(closed.nats.url, name="test", login=login)
    with pytest.raises(BrokerRefusedError) as refused:
        await broker.connect()
    return refused.value


async def test_who_is_not_let_in(closed: ClosedSystem) -> None:
    good, narrow, revoked = await closed.token(), await closed.token(worker_pattern="gpu-*"), await closed.token()
    _, expired = await closed.tokens.create("test", Grant(), datetime.now(UTC) + timedelta(seconds=0.3))
    await closed.tokens.revoke(id_of(revoked) or "")
    await asyncio.sleep(0.4)
    shown = {
        "a token that never was": WorkerPass.make(spell_token("0" * 12, "0" * 26), "w1").login,
        "another's secret part": WorkerPass.make(spell_token(id_of(good) or "", "0" * 26), "w1").login,
        "a revoked token": WorkerPass.make(revoked, "w1").login,
        "an expired token": WorkerPass.make(expired, "w1").login,
        "an id that the token isn't for": WorkerPass.make(narrow, "w1").login,
        "a token without a secret": Login("w1", good),
        "an id with a wildcard": WorkerPass.make(good, "*").login,
        "an id with a dot": WorkerPass.make(good, "a.b").login,
        "a megabyte": Login("w1", good + "." + "x" * 3000),
        "a key that isn't the coordinators'": _stranger().login,
        "nothing": None,
    }
    for what, login in shown.items():
        assert (await _refusal(closed, login)).at_once, what
    await closed.link("gpu-1", narrow)
    await closed.link("w1", good)


def _stranger() -> BrokerKeys:
    return BrokerKeys(*(KeyPair(owner, secrets.token_bytes(32)) for owner in (ACCOUNT, USER, USER)))


async def test_a_revoked_token_ends_its_workers_soon(closed: ClosedSystem) -> None:
    token = await closed.token()
    worker, other = await closed.worker("w1", token=token), await closed.worker("w2")
    assert (await worker.beat()).ok
    await closed.tokens.revoke(id_of(token) or "")
    async with asyncio.timeout(20):
        while (await worker.beat()).ok:
            await asyncio.sleep(0.05)
    reply = await worker.register_again()
    assert (reply.accepted, reply.reason) == (False, RegisterRefusal.INVALID)
    assert "revoked" in reply.message
    assert (await other.beat()).ok


async def cut_off(worker: ScriptedWorker, within_seconds: float) -> None:
    """Wait until the broker has ended the worker's connection."""
    async with asyncio.timeout(within_seconds):
        while worker.broker.connected and not worker.broker.interruptions:
            await asyncio.sleep(0.02)


async def test_a_revoked_token_s_connections_are_cut_and_none_comes_back(closed: ClosedSystem) -> None:
    token = await closed.token()
    worker, idle, other = [await closed.worker(name, token=token) for name in ("w1", "w2")] + [
        await closed.worker("w3")
    ]
    await closed.tokens.revoke(id_of(token) or "")
    for gone in (worker, idle):
        await cut_off(gone, 15)
    assert (await _refusal(closed, WorkerPass.make(token, "w1").login)).at_once
    assert other.broker.connected
    assert other.broker.interruptions == 0


async def test_a_removed_worker_s_connection_is_cut_and_comes_back_when_it_may(closed: ClosedSystem) -> None:
    token = await closed.token()
    worker, other = await closed.worker("w1", token=token), await closed.worker("w2", token=token)
    assert (await closed.call("DELETE", "/admin/workers/w1", key="admin"))[0] == 204
    await cut_off(worker, 15)
    assert (await _refusal(closed, WorkerPass.make(token, "w1").login)).at_once
    assert other.broker.connected
    assert other.broker.interruptions == 0
    assert (await closed.call("POST", "/admin/workers/w1/undrain", key="admin"))[0] == 200
    async with asyncio.timeout(15):
        while True:
            with contextlib.suppress(BrokerRefusedError):
                await closed.link("w1", token)
                break


async def test_a_worker_that_floods_is_cut_off(closed: ClosedSystem) -> None:
    flooding, other = await closed.worker("w1"), await closed.worker("w2")

    async def flood() -> None:
        while not flooding.broker.interruptions:
            with contextlib.suppress(ConnectionFailedError):
                for _ in range(200):
                    await flooding.broker.publish(flooding.subjects.heartbeat, b"x")
            await asyncio.sleep(0)

    async with asyncio.timeout(30):
        await flood()
        while not flooding.broker.connected:  # it may come back, and be cut off again
            await asyncio.sleep(0.02)
    assert other.broker.connected
    assert other.broker.interruptions == 0


async def test_a_message_that_is_larger_than_its_kind_is_dropped(closed: ClosedSystem) -> None:
    worker = await closed.worker()
    with pytest.raises(ConnectionFailedError):
        await worker.broker.request(worker.subjects.checkpoint, b"x" * 5_000, timeout_seconds=0.5)
    assert (await worker.beat()).ok


async def test_what_a_token_allows_is_checked_at_registration(closed: ClosedSystem) -> None:
    token = await closed.token(workload_types=frozenset({"count"}), tags={"gpu": "a100"})
    wrong: dict[str, dict[str, Any]] = {
        "a type": {"types": ["count", "other"]},
        "a tag": {"tags": {"zone": "eu"}},
        "a tag's value": {"tags": {"gpu": "h100"}},
    }
    for what, options in wrong.items():
        worker = await closed.comes("w1", token, **options)
        reply = await worker.register()
        assert (reply.accepted, reply.reason) == (False, RegisterRefusal.INVALID), what
        assert "join token" in reply.message
    assert (await (await closed.comes("w1", token, tags={"gpu": "a100"})).register()).accepted


async def test_workers_come_in_while_the_database_is_away(
    closed: ClosedSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = await closed.token()
    await closed.link("w1", token)

    async def away(_: object) -> None:
        raise ServiceUnavailableError("away")

    monkeypatch.setattr(JoinTokenStore, "live", away)
    await closed.link("w2", token)


async def test_an_open_broker_is_not_trusted(nats_url: str, closed: ClosedSystem) -> None:
    """Its coordinators would be anybody's, and so would be what workers show."""
    engine = await asyncio.create_subprocess_exec(program(), "-p", str(port := free_port()), "-a", "127.0.0.1")
    try:
        for login in (closed.broker_keys.login, WorkerPass.make(await closed.token(), "w1").login):
            broker = Broker(f"nats://127.0.0.1:{port}", name="test", login=login)
            async with asyncio.timeout(20):
                while True:
                    with contextlib.suppress(ConnectionFailedError):
                        with pytest.raises(ConfigurationError, match="lets everybody in"):
                            await broker.connect()
                        break
    finally:
        engine.terminate()
        await engine.wait()


@pytest.mark.parametrize("url", ["nats://10.0.0.1:4222", "nats://127.0.0.1:4222,nats://broker.example:4222"])
def test_an_open_broker_is_for_loopback(url: str) -> None:
    with pytest.raises(ConfigurationError, match="loopback"):
        allow_open_broker(url)


@pytest.mark.parametrize("url", ["nats://127.0.0.1:4222", "localhost:4222", "nats://t@[::1]:4222"])
def test_an_open_broker_warns_loudly(url: str, caplog: pytest.LogCaptureFixture) -> None:
    allow_open_broker(url)
    said = next(record for record in caplog.records if record.message == "broker.open")
    assert said.levelname == "WARNING"
    assert "every customer's inputs" in said.__dict__["danger"]
