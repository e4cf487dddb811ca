"""Who is let into the broker, and what they may do there: the broker asks, coordinators answer.

NATS calls this an auth callout. Whoever connects and isn't a coordinator is asked about, and every coordinator
answers, as one of them may be frozen; the broker takes the first answer. A worker shows its id, its join token and a
secret of its own (`niyanta.domain.join_tokens`). It gets a credential for this one connection, by which it may
publish on its own subjects and hear its own commands and replies, and nothing else. The credential runs out after a
while. The broker then ends the connection, and the worker's client comes in anew by itself, as long as its token is
good.
"""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
import time
from datetime import datetime

import msgspec

from niyanta.domain.join_tokens import credential_of
from niyanta.server.fleet.bouncer import Bouncer, BrokerConnection
from niyanta.server.fleet.broker_keys import BROKER_ACCOUNT, BrokerKeys
from niyanta.server.fleet.known_tokens import KnownTokens
from niyanta.server.fleet.nkeys import SERVER, BadTokenError, read_token
from niyanta.wire.broker import Broker
from niyanta.wire.login import SECRET_SEPARATOR
from niyanta.wire.subjects import WORKER_ID_PATTERN, Subjects

__all__ = ["CALLOUT_SUBJECT", "Callout"]

log = logging.getLogger(__name__)

CALLOUT_SUBJECT = "$SYS.REQ.USER.AUTH"
_LEAST_SHARE = 0.75
"""Of the life that a credential may have: lives differ, so that a fleet doesn't come back all at once."""
_ANSWER_LIFE_NS = 60 * 10**9
"""How long a worker may answer what it has heard."""
_LEAST_SECRET = 16
_MOST_SHOWN = 512


class _ConnectOptions(msgspec.Struct):
    user: str = ""
    password: str = msgspec.field(name="pass", default="")


class _Server(msgspec.Struct):
    id: str


class _Client(msgspec.Struct):
    id: int = 0


class _Asked(msgspec.Struct):
    server_id: _Server
    user_nkey: str
    client_info: _Client = msgspec.field(default_factory=_Client)
    connect_opts: _ConnectOptions = msgspec.field(default_factory=_ConnectOptions)


class _RefusedError(Exception):
    """Says why; only our own log is told."""


class Callout:
    """Answers the broker.

    Args:
        broker: The link, as a coordinator.
        subjects: What workers are let speak on.
        keys: Sign the answers.
        tokens: Which are good.
        life_seconds: How long a worker's credential is good at the most.
        bouncer: Says who is barred, and is told who comes in.
    """

    def __init__(
        self,
        broker: Broker,
        subjects: Subjects,
        keys: BrokerKeys,
        tokens: KnownTokens,
        life_seconds: float,
        *,
        bouncer: Bouncer,
    ) -> None:
        self._bouncer = bouncer
        self._broker = broker
        self._subjects = subjects
        self._keys = keys
        self._tokens = tokens
        self._life_seconds = life_seconds

    async def start(self) -> None:
        """Begin to answer."""
        await self._broker.serve(CALLOUT_SUBJECT, self.receive)

    async def receive(self, payload: bytes) -> bytes | None:
        """Answer one question; None for what no broker asks."""
        try:
            claims = await asyncio.to_thread(read_token, payload, SERVER)
            asked = msgspec.convert(claims.get("nats"), _Asked)
        except (BadTokenError, msgspec.ValidationError) as exc:
            log.warning("callout.unreadable", extra={"error": str(exc)})
            return None
        try:
            answer = {"jwt": await self._admit(asked)}
        except _RefusedError as exc:
            log.warning("callout.refused", extra={"worker_id": asked.connect_opts.user[:80], "why": str(exc)})
            answer = {"error": "not let in"}
        nats = {**answer, "type": "authorization_response", "version": 2}
        return self._token(sub=asked.user_nkey, aud=asked.server_id.id, nats=nats).encode()

    async def _admit(self, asked: _Asked) -> str:
        """The worker's credential."""
        worker_id, shown = asked.connect_opts.user, asked.connect_opts.password
        token, _, secret = shown.partition(SECRET_SEPARATOR)
        if len(shown) > _MOST_SHOWN or not WORKER_ID_PATTERN.fullmatch(worker_id) or len(secret) < _LEAST_SECRET:
            raise _RefusedError("no worker shows itself so")
        found = await self._tokens.check(token)
        if found is None:
            raise _RefusedError("the join token isn't good")
        if not found.grant.admits(worker_id):
            raise _RefusedError(f"the join token is for workers named '{found.grant.worker_pattern}'")
        if worker_id in self._bouncer.barred:
            raise _RefusedError("an operator has removed the worker")
        credential = credential_of(found.token_id, secret)
        self._bouncer.let_in(worker_id, credential, BrokerConnection(asked.server_id.id, asked.client_info.id))
        publish, subscribe = self._subjects.allowed(worker_id, credential)
        permissions = {
            "pub": {"allow": publish},
            "sub": {"allow": subscribe},
            "resp": {"max": 1, "ttl": _ANSWER_LIFE_NS},
            "subs": -1,
            "data": -1,
            "payload": -1,
            "type": "user",
            "version": 2,
        }
        log.info("callout.let_in", extra={"worker_id": worker_id, "token_id": found.token_id})
        return self._token(
            sub=asked.user_nkey,
            aud=BROKER_ACCOUNT,
            name=worker_id,
            exp=int(time.time() + self._life(found.expires_at)),
            nats=permissions,
        )

    def _life(self, ends_at: datetime | None) -> float:
        """Seconds; at least one, as a credential's end is in whole seconds."""
        life = self._life_seconds * random.uniform(_LEAST_SHARE, 1.0)  # noqa: S311 -- no secret
        if ends_at is not None:
            life = min(life, ends_at.timestamp() - time.time())
        return max(1.0, life)

    def _token(self, **claims: object) -> str:
        return self._keys.issuer.token({"jti": secrets.token_hex(8), "iat": int(time.time()), **claims})
