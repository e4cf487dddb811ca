"""Calls of operators: workers, join tokens, customers and keys. They need a key with the admin role."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from datetime import datetime

import msgspec

from niyanta.client.arguments import TierLimits
from niyanta.client.drains import Drain
from niyanta.client.join_tokens import JoinToken
from niyanta.client.live import LiveEvent, follow_events
from niyanta.client.models import ApiKey, Customer, FleetWorker, Pagination, Token
from niyanta.client.operator_actions import OperatorAction
from niyanta.client.sessions import Session
from niyanta.client.system import Fairness, SystemState
from niyanta.client.transport import Transport, quoted, without_none

__all__ = ["AsyncAdmin"]


class _Workers(msgspec.Struct):
    workers: list[FleetWorker]
    pagination: Pagination | None = None


class _Customers(msgspec.Struct):
    customers: list[Customer]
    pagination: Pagination | None = None


class _Keys(msgspec.Struct):
    api_keys: list[ApiKey]
    pagination: Pagination | None = None


class _JoinTokens(msgspec.Struct):
    join_tokens: list[JoinToken]
    pagination: Pagination | None = None


class _Tokens(msgspec.Struct):
    tokens: list[Token]


class _Sessions(msgspec.Struct):
    sessions: list[Session]


class _Actions(msgspec.Struct):
    actions: list[OperatorAction]
    pagination: Pagination | None = None


class AsyncAdmin:
    """Calls of operators."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def events(self) -> AsyncIterator[LiveEvent]:
        """What happens to everybody's workloads and to the fleet from now on; as `AsyncWorkloads.events`."""
        async with aclosing(follow_events(self._transport, "/admin/events")) as events:
            async for event in events:
                yield event

    async def workers(self, *, status: str | None = None) -> Sequence[FleetWorker]:
        """The registered workers; ``status`` is ``HEALTHY``, ``DRAINING`` or ``DEAD``."""
        found: list[FleetWorker] = []
        cursor: str | None = None
        while True:
            answer = await self._transport.call(
                "GET", "/admin/workers", params=without_none(status=status, limit=100, cursor=cursor)
            )
            page = msgspec.json.decode(answer, type=_Workers)
            found += page.workers
            cursor = page.pagination.next_cursor if page.pagination else None
            if cursor is None:
                return found

    async def drain_worker(self, worker_id: str, *, mode: str | None = None) -> Drain:
        """Give it nothing new. Holds for its id, over restarts, until it is undrained.

        Args:
            worker_id: Which.
            mode: ``finish`` (when None): what it runs, finishes there. ``move``: it goes on elsewhere, each from its
                next checkpoint; what no other live worker suits, or never saves a checkpoint, finishes.
        """
        path = f"/admin/workers/{quoted(worker_id)}/drain"
        body = None if mode is None else {"mode": mode}
        return msgspec.json.decode(await self._transport.call("POST", path, body, safe_to_repeat=True), type=Drain)

    async def worker_drain(self, worker_id: str) -> Drain:
        """How far a worker's drain has come."""
        path = f"/admin/workers/{quoted(worker_id)}/drain"
        return msgspec.json.decode(await self._transport.call("GET", path), type=Drain)

    async def undrain_worker(self, worker_id: str) -> None:
        """End a drain or a removal: the worker's id may take workloads again."""
        await self._transport.call("POST", f"/admin/workers/{quoted(worker_id)}/undrain", safe_to_repeat=True)

    async def remove_worker(self, worker_id: str) -> None:
        """Take everything away from it, at once. Its id can't come back until it is undrained."""
        await self._transport.call("DELETE", f"/admin/workers/{quoted(worker_id)}")

    async def create_customer(
        self,
        name: str,
        *,
        customer_id: str | None = None,
        tier: str | None = None,
        limits: TierLimits | None = None,
    ) -> Customer:
        """Add a customer.

        Args:
            name: For people.
            customer_id: ``cust_…``; made when None.
            tier: ``free``, ``standard``, ``premium`` or ``enterprise``.
            limits: Where it gets others than its tier gives.
        """
        body = without_none(name=name, customer_id=customer_id, tier=tier, limits=limits)
        return msgspec.json.decode(await self._transport.call("POST", "/admin/customers", body), type=Customer)

    async def customers(self) -> AsyncIterator[Customer]:
        """All customers, page by page."""
        cursor: str | None = None
        while True:
            answer = await self._transport.call(
                "GET", "/admin/customers", params=without_none(limit=100, cursor=cursor)
            )
            page = msgspec.json.decode(answer, type=_Customers)
            for customer in page.customers:
                yield customer
            cursor = page.pagination.next_cursor if page.pagination else None
            if cursor is None:
                return

    async def get_customer(self, customer_id: str) -> Customer:
        """One customer."""
        answer = await self._transport.call("GET", f"/admin/customers/{quoted(customer_id)}")
        return msgspec.json.decode(answer, type=Customer)

    async def update_customer(
        self,
        customer_id: str,
        *,
        name: str | None = None,
        tier: str | None = None,
        limits: TierLimits | None = None,
        status: str | None = None,
    ) -> Customer:
        """Change what is given; ``status`` is ``active`` or ``suspended``. A limit of None is the tier's again."""
        body = without_none(name=name, tier=tier, limits=limits, status=status)
        answer = await self._transport.call(
            "PATCH", f"/admin/customers/{quoted(customer_id)}", body, safe_to_repeat=True
        )
        return msgspec.json.decode(answer, type=Customer)

    async def create_key(
        self,
        customer_id: str,
        name: str,
        *,
        role: str | None = None,
        expires_at: datetime | None = None,
        scopes: Sequence[str] | None = None,
    ) -> ApiKey:
        """Make an API key; its ``api_key`` is shown this once.

        Args:
            customer_id: Whose.
            name: For people.
            role: ``customer`` (when None) or ``admin``.
            expires_at: Never when None.
            scopes: Some of ``workloads:read``, ``workloads:write``, ``configs:write`` and ``admin``; when None, all
                that the role may do.
        """
        body = without_none(
            name=name,
            role=role,
            expires_at=expires_at.isoformat() if expires_at else None,
            scopes=None if scopes is None else list(scopes),
        )
        answer = await self._transport.call("POST", f"/admin/customers/{quoted(customer_id)}/api-keys", body)
        return msgspec.json.decode(answer, type=ApiKey)

    async def keys(self, customer_id: str) -> Sequence[ApiKey]:
        """A customer's keys."""
        found: list[ApiKey] = []
        cursor: str | None = None
        while True:
            answer = await self._transport.call(
                "GET",
                f"/admin/customers/{quoted(customer_id)}/api-keys",
                params=without_none(limit=100, cursor=cursor),
            )
            page = msgspec.json.decode(answer, type=_Keys)
            found += page.api_keys
            cursor = page.pagination.next_cursor if page.pagination else None
            if cursor is None:
                return found

    async def rotate_key(self, customer_id: str, key_id: str, *, overlap_seconds: int | None = None) -> ApiKey:
        """Make a key that takes the place of another; its ``api_key`` is shown this once.

        Args:
            customer_id: Whose.
            key_id: The other.
            overlap_seconds: How long the other stays good, up to 30 days; a day when None.
        """
        path = f"/admin/customers/{quoted(customer_id)}/api-keys/{quoted(key_id)}/rotate"
        answer = await self._transport.call("POST", path, without_none(overlap_seconds=overlap_seconds))
        return msgspec.json.decode(answer, type=ApiKey)

    async def tokens(self, customer_id: str) -> Sequence[Token]:
        """A customer's tokens that are good now, of all its keys, the newest first; a thousand at most."""
        path = f"/admin/customers/{quoted(customer_id)}/tokens"
        answer = await self._transport.call("GET", path, params={"limit": 1000})
        return msgspec.json.decode(answer, type=_Tokens).tokens

    async def revoke_key(self, customer_id: str, key_id: str) -> None:
        """End a key for ever, with all tokens made of it, or one token."""
        await self._transport.call("DELETE", f"/admin/customers/{quoted(customer_id)}/api-keys/{quoted(key_id)}")

    async def sessions(
        self,
        *,
        customer_id: str | None = None,
        kind: str | None = None,
        used_within_seconds: int | None = None,
        most: int = 1000,
    ) -> Sequence[Session]:
        """Who is in: credentials that are good now, those used last first.

        Args:
            customer_id: Only this customer's.
            kind: ``api_key``, ``api_token`` or ``json_web_token``; all when None.
            used_within_seconds: Only what was used so lately.
            most: How many, up to a thousand.
        """
        params = without_none(customer_id=customer_id, kind=kind, used_within_seconds=used_within_seconds, limit=most)
        answer = await self._transport.call("GET", "/admin/sessions", params=params)
        return msgspec.json.decode(answer, type=_Sessions).sessions

    async def revoke_session(self, session_id: str) -> None:
        """End a key with its tokens, a token, or all JSON Web Tokens that a subject was given so far."""
        await self._transport.call("DELETE", f"/admin/sessions/{quoted(session_id)}")

    async def create_join_token(
        self,
        name: str,
        *,
        worker_pattern: str | None = None,
        workload_types: Sequence[str] | None = None,
        tags: Mapping[str, str] | None = None,
        customers: Sequence[str] | None = None,
        expires_at: datetime | None = None,
    ) -> JoinToken:
        """Make a join token for workers; its ``join_token`` is shown this once. What isn't named isn't bounded."""
        body = without_none(
            name=name,
            worker_pattern=worker_pattern,
            workload_types=None if workload_types is None else list(workload_types),
            tags=None if tags is None else dict(tags),
            customers=None if customers is None else list(customers),
            expires_at=expires_at.isoformat() if expires_at else None,
        )
        return msgspec.json.decode(await self._transport.call("POST", "/admin/join-tokens", body), type=JoinToken)

    async def join_tokens(self) -> Sequence[JoinToken]:
        """All join tokens, the ended ones included."""
        found: list[JoinToken] = []
        cursor: str | None = None
        while True:
            answer = await self._transport.call(
                "GET", "/admin/join-tokens", params=without_none(limit=100, cursor=cursor)
            )
            page = msgspec.json.decode(answer, type=_JoinTokens)
            found += page.join_tokens
            cursor = page.pagination.next_cursor if page.pagination else None
            if cursor is None:
                return found

    async def revoke_join_token(self, token_id: str) -> None:
        """End a join token for ever; the workers that came in with it are out within seconds."""
        await self._transport.call("DELETE", f"/admin/join-tokens/{quoted(token_id)}")

    async def audit(
        self,
        *,
        actor_id: str | None = None,
        action: str | None = None,
        kind: str | None = None,
        target: str | None = None,
        outcome: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        most: int = 1000,
    ) -> Sequence[OperatorAction]:
        """What operators did, the newest first.

        Args:
            actor_id: Only what this key did.
            action: Only this operation, such as ``drainWorker``.
            kind: Only ``change``, what may have changed something, or only ``read``.
            target: Only what named or made the thing with this id.
            outcome: ``succeeded``, ``refused``, ``failed`` or ``unknown``.
            since: Only what was begun then or later.
            until: Only what was begun before.
            most: How many at the most.
        """
        wanted = without_none(
            actor_id=actor_id,
            action=action,
            kind=kind,
            target=target,
            outcome=outcome,
            since=since.isoformat() if since else None,
            until=until.isoformat() if until else None,
        )
        found: list[OperatorAction] = []
        cursor: str | None = None
        while len(found) < most:
            params = {**wanted, **without_none(limit=min(100, most - len(found)), cursor=cursor)}
            page = msgspec.json.decode(
                await self._transport.call("GET", "/admin/audit", params=params), type=_Actions
            )
            found += page.actions
            cursor = page.pagination.next_cursor if page.pagination else None
            if cursor is None:
                break
        return found

    async def system(self) -> SystemState:
        """Who leads, how many workers there are, and what waits, as the coordinator that answers sees it."""
        return msgspec.json.decode(await self._transport.call("GET", "/admin/system"), type=SystemState)

    async def fairness(self) -> Fairness:
        """Each customer's share of the slots against what it deserves, of those with something under way."""
        return msgspec.json.decode(await self._transport.call("GET", "/admin/fairness"), type=Fairness)
