"""Join tokens in memory: neither a late answer of the database nor a token that is new puts a worker out."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from niyanta.domain.api_keys import ALPHABET, RANDOM_LENGTH
from niyanta.domain.join_tokens import ID_LENGTH, Grant, credential_of, spell_token
from niyanta.server.fleet.doors import Doors, MessageKind, Sender
from niyanta.server.fleet.known_tokens import KnownTokens
from niyanta.server.store.join_tokens import JoinTokenStore, LiveToken, hash_of
from niyanta.wire.broker import Broker
from niyanta.wire.serving import Doorkeeper
from niyanta.wire.subjects import ANY_SENDER, Subjects

_ID = ALPHABET[0] * ID_LENGTH
_TOKEN = spell_token(_ID, ALPHABET[1] * RANDOM_LENGTH)
_LIVE = LiveToken(token_id=_ID, token_sha256=hash_of(_TOKEN), grant=Grant(), expires_at=None)


class Tokens:
    """Stands for the database: each reading sees what there is as it begins, and is answered when a test says so."""

    def __init__(self) -> None:
        self.there: list[LiveToken] = []
        self.is_slow = False
        self.answers: list[asyncio.Event] = []

    async def live(self) -> list[LiveToken]:
        seen = list(self.there)
        answer = asyncio.Event()
        self.answers.append(answer)
        if self.is_slow:
            await answer.wait()
        return seen


class Door:
    """Stands for the broker: keeps who lets messages in."""

    async def serve_guests(self, subject: str, doorkeeper: Doorkeeper, **_: Any) -> None:
        self.doorkeeper = doorkeeper


async def _turns() -> None:
    """Let everything go on that waits for nothing from outside."""
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.fixture
def store() -> Tokens:
    return Tokens()


@pytest.fixture
def known(store: Tokens) -> KnownTokens:
    return KnownTokens(cast(JoinTokenStore, store))


async def test_an_older_reading_that_is_answered_last_ends_no_token(store: Tokens, known: KnownTokens) -> None:
    ended: list[frozenset[str]] = []
    known.on_ended.append(ended.append)
    store.is_slow = True
    older = asyncio.create_task(known.look())
    await _turns()
    store.is_slow, store.there = False, [_LIVE]
    shown = asyncio.create_task(known.check(_TOKEN))
    await _turns()
    store.answers[0].set()
    assert await shown == _LIVE, "a reading that began before the token was made says nothing of it"
    await older
    assert await known.check(_TOKEN) == _LIVE
    assert ended == []


async def test_a_worker_is_heard_by_who_has_not_heard_of_its_token_yet(store: Tokens, known: KnownTokens) -> None:
    """Another replica has let it in, a moment after the token was made."""
    broker, subjects, heard = Door(), Subjects(sender=ANY_SENDER), []

    async def hear(_: bytes, sender: Sender) -> bytes | None:
        heard.append(sender.grant)
        return None

    await known.look()
    doors = Doors(cast(Broker, broker), subjects, known)
    await doors.open(MessageKind.REGISTER, hear)
    store.there = [_LIVE]
    spoken = Subjects(sender=f"w1.{credential_of(_ID, 's' * 16)}").register
    guest = broker.doorkeeper(spoken, 10)
    assert guest is not None
    await guest.answer(b"")
    store.there = []
    await known.look()
    await guest.answer(b"")
    assert heard == [_LIVE.grant, None]
