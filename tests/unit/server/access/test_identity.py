"""Authentication: what is remembered and for how long, and what strangers can make the database do."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime, tzinfo
from typing import Any, cast

import jwt
import pytest

from niyanta.domain.api_keys import ALPHABET, RANDOM_LENGTH, spell_key
from niyanta.domain.customers import CustomerStatus, Role
from niyanta.errors import RateLimitedError, UnauthorizedError
from niyanta.server.access.identity import Authenticator, Bounds
from niyanta.server.access.tokens import TokenVerifier
from niyanta.server.moves.feed import ChangeFeed
from niyanta.server.settings import CoordinatorSettings
from niyanta.server.store.customers import CustomerStore, Identity
from niyanta.server.store.sessions import SessionStore, SignIn, SubjectStanding, session_of
from niyanta.wire.broker import Broker
from niyanta.wire.changes import Changed
from niyanta.wire.subjects import Subjects

SECRET = "0123456789abcdef0123456789abcdef"


def a_key(customer_id: str = "cust_a") -> str:
    return spell_key(customer_id, "".join(secrets.choice(ALPHABET) for _ in range(RANDOM_LENGTH)))


class Keys:
    """Stands for the database: holds keys and counts the queries."""

    def __init__(self) -> None:
        self.identities: dict[str, Identity] = {}
        self.status: dict[str, CustomerStatus] = {"cust_a": CustomerStatus.ACTIVE}
        self.queries = 0
        self.ended_at: datetime | None = None

    async def identify(self, candidates: Sequence[str]) -> dict[str, Identity]:
        self.queries += 1
        found = {key: self.identities[key] for key in candidates if key in self.identities}
        await asyncio.sleep(0)
        return found

    async def standings(self, asked: Sequence[tuple[str, str]]) -> dict[str, SubjectStanding]:
        self.queries += 1
        await asyncio.sleep(0)
        found = {session_of(*who): who[0] for who in asked if who[0] in self.status}
        return {session: SubjectStanding(session, self.status[who], self.ended_at) for session, who in found.items()}

    async def note(self, used: Mapping[str, SignIn]) -> None:
        return None

    async def mark_used(self, key_ids: list[str]) -> None:
        return None


class Bench:
    """An authenticator, its keys, its feed, and a clock that a test moves."""

    def __init__(self, bounds: Bounds = Bounds()) -> None:  # noqa: B008 # frozen
        self.now = 1000.0
        self.keys = Keys()
        self.feed = ChangeFeed(Broker("", name="test"), Subjects("test"), "me")
        settings = CoordinatorSettings.from_environment(
            {}, database_url="x", nats_url="x", jwt_algorithm="HS256", jwt_secret=SECRET
        )
        customers, sessions = cast(CustomerStore, self.keys), cast(SessionStore, self.keys)
        self.authenticator = Authenticator(
            customers, sessions, TokenVerifier(settings), self.feed, lambda: self.now, bounds
        )

    def add(self) -> str:
        key = a_key()
        self.keys.identities[key] = Identity("cust_a", f"key_{len(self.keys.identities)}", Role.CUSTOMER)
        return key

    async def ask(self, credential: str, source: str = "10.0.0.1") -> Identity:
        return await self.authenticator.identify(f"Bearer {credential}", source)

    async def outcome(self, credential: str, source: str = "10.0.0.1") -> str:
        try:
            return (await self.ask(credential, source)).actor_id
        except (UnauthorizedError, RateLimitedError) as error:
            return error.code

    def changed(self, *customers: str) -> None:
        for listener in self.feed.listeners:
            listener(Changed("other", customers=list(customers)))


@contextlib.asynccontextmanager
async def a_bench(bounds: Bounds = Bounds()) -> AsyncIterator[Bench]:  # noqa: B008 # frozen
    found = Bench(bounds)
    task = asyncio.create_task(found.authenticator.run())
    try:
        yield found
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    async with a_bench() as found:
        yield found


async def test_a_good_key_is_asked_for_once_in_a_while(bench: Bench) -> None:
    key = bench.add()
    for _ in range(100):
        await bench.ask(key)
    assert bench.keys.queries == 1
    bench.now += 0.81
    await bench.ask(key)
    assert bench.keys.queries == 2


async def test_a_revoked_key_ends_at_once_when_the_feed_says_so_and_within_a_second_anyway(bench: Bench) -> None:
    told, untold = bench.add(), bench.add()
    for key in (told, untold):
        await bench.ask(key)
    bench.keys.identities.clear()
    assert await bench.outcome(told) == "key_0"
    bench.now += 0.01
    bench.changed("cust_other")
    assert await bench.outcome(told) == "key_0"
    bench.changed("cust_a")
    assert await bench.outcome(told) == "UNAUTHORIZED"
    bench.now += 0.99
    assert await bench.outcome(untold) == "UNAUTHORIZED"


async def test_a_look_that_began_before_the_change_is_not_remembered(bench: Bench) -> None:
    key = bench.add()
    asking = asyncio.create_task(bench.ask(key))
    while not bench.keys.queries:
        await asyncio.sleep(0)
    bench.keys.identities.clear()
    bench.changed("cust_a")
    bench.now += 0.01
    await asking
    assert await bench.outcome(key) == "UNAUTHORIZED"


async def test_ten_thousand_bad_keys_cost_a_handful_of_queries(bench: Bench) -> None:
    good = bench.add()
    await bench.ask(good)
    before = bench.keys.queries
    outcomes = await asyncio.gather(*(bench.outcome(a_key()) for _ in range(5_000)))
    outcomes += [await bench.outcome(a_key()) for _ in range(5_000)]
    assert set(outcomes) == {"UNAUTHORIZED", "RATE_LIMITED"}
    assert bench.keys.queries - before <= 5
    bench.now += 10  # a bucket that empties by one a second lets ten more through
    for _ in range(1_000):
        await bench.outcome(a_key())
    assert bench.keys.queries - before <= 16


async def test_a_key_that_was_good_is_never_locked_out_by_its_neighbours(bench: Bench) -> None:
    good = bench.add()
    await bench.ask(good)
    for _ in range(100):
        await bench.outcome(a_key())
    assert await bench.outcome(a_key()) == "RATE_LIMITED"
    bench.now += 0.9
    assert await bench.outcome(good) == "key_0"
    assert await bench.outcome(bench.add()) == "RATE_LIMITED"
    assert await bench.outcome(bench.add(), "10.0.0.2") == "key_2"


async def test_many_good_keys_from_one_address_are_no_failures(bench: Bench) -> None:
    keys = [bench.add() for _ in range(1_000)]
    outcomes = await asyncio.gather(*(bench.outcome(key) for key in keys))
    assert outcomes == [f"key_{number}" for number in range(1_000)]
    assert bench.keys.queries <= 6


async def test_the_same_bad_key_is_refused_from_memory_for_as_long_as_it_is_tried(bench: Bench) -> None:
    bad = a_key()
    assert {await bench.outcome(bad) for _ in range(1_000)} == {"UNAUTHORIZED"}
    assert bench.keys.queries == 1


async def test_addresses_of_one_ipv6_network_are_one_source(bench: Bench) -> None:
    for number in range(200):
        await bench.outcome(a_key(), f"2001:db8::{number:x}")
    assert await bench.outcome(a_key(), "2001:db8::ffff") == "RATE_LIMITED"
    assert await bench.outcome(a_key(), "2001:db8:0:1::1") == "UNAUTHORIZED"
    for _ in range(100):
        await bench.outcome(a_key(), "::ffff:10.1.1.1")
    assert await bench.outcome(a_key(), "10.1.1.1") == "RATE_LIMITED"
    assert await bench.outcome(a_key(), "::ffff:10.1.1.2") == "UNAUTHORIZED"


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Basic abc",
        "nyt_cust_a_abc",
        "Bearer nyt_cust_a_abc",
        "Bearer nyt_cust_a_" + "a" * 32,
        "Bearer " + "x" * 5000,
        "Bearer a.b.c",
        "Bearer \u00e4\u00f6.\u00fc.\u00df",
    ],
)
async def test_what_can_be_no_credential_costs_no_query(bench: Bench, header: str | None) -> None:
    for _ in range(100):
        with pytest.raises((UnauthorizedError, RateLimitedError)):
            await bench.authenticator.identify(header, "10.0.0.1")
    assert bench.keys.queries == 0


def token(**changes: Any) -> str:
    claims = {"sub": "user_1", "customer_id": "cust_a", "tier": "enterprise", "role": "admin"}
    return jwt.encode({**claims, "exp": int(time.time()) + 600, **changes}, SECRET, algorithm="HS256")


async def test_a_token_acts_for_its_customer_and_never_as_admin(bench: Bench) -> None:
    found = token()
    assert await bench.ask(found) == Identity("cust_a", "user_1", Role.CUSTOMER)
    for _ in range(100):
        await bench.ask(found)
    assert bench.keys.queries == 1
    assert await bench.outcome(token(customer_id="cust_nobody")) == "UNAUTHORIZED"


async def test_a_tokens_customer_is_looked_at_again_within_a_second(bench: Bench) -> None:
    found = token()
    assert not (await bench.ask(found)).suspended
    bench.keys.status["cust_a"] = CustomerStatus.SUSPENDED
    bench.now += 0.9
    assert (await bench.ask(found)).suspended
    bench.keys.status.clear()
    bench.now += 0.9
    assert await bench.outcome(found) == "UNAUTHORIZED"


async def test_a_token_that_was_good_ends_with_its_time(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    found = token()
    await bench.ask(found)
    late = time.time() + 661
    monkeypatch.setattr("niyanta.server.access.identity.time.time", lambda: late)

    class Late(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Late:
            return cls.fromtimestamp(late, tz)

    monkeypatch.setattr("jwt.api_jwt.datetime", Late)
    bench.now += 0.9
    assert await bench.outcome(found) == "UNAUTHORIZED"


async def test_a_warm_credential_costs_less_than_fifty_microseconds(bench: Bench) -> None:
    for credential in (bench.add(), token()):
        await bench.ask(credential)
        best = 1.0
        for _ in range(5):
            began = time.perf_counter()
            for _ in range(1_000):
                await bench.ask(credential)
            best = min(best, (time.perf_counter() - began) / 1_000)
        assert best < 50e-6


async def test_what_is_remembered_is_bounded() -> None:
    async with a_bench(Bounds(good=50, bad=50, sources=50)) as bench:
        for number in range(200):
            await bench.ask(bench.add())
            await bench.outcome(a_key(), f"10.0.{number}.1")
            bench.changed(f"cust_{number}")
            bench.now += 0.1
        remembered = bench.authenticator.remembered()
        assert remembered.pop("changes") <= 52
        assert remembered == {"good": 50, "bad": 50, "sources": 50}
