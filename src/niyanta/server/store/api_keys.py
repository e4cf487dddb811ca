"""API keys, and the tokens that are made of them, in PostgreSQL."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime

import asyncpg
import msgspec

from niyanta.domain import api_keys
from niyanta.domain.customers import SCOPES_OF, CustomerStatus, KeyStatus, Role, Scope
from niyanta.domain.limits import MAX_TOKENS_PER_KEY
from niyanta.errors import NotFoundError
from niyanta.server.store.database import Database, retried
from niyanta.server.store.queries import Queries, Row

__all__ = ["ApiKey", "ApiKeyStore", "Identity"]


def _new_key(customer_id: str, kind: str = "key") -> tuple[str, str]:
    """A key's or a token's id, and itself."""
    random_text = "".join(secrets.choice(api_keys.ALPHABET) for _ in range(api_keys.RANDOM_LENGTH))
    return f"{kind}_{secrets.token_hex(10)}", api_keys.spell_key(customer_id, random_text)


def _hash(api_key: str) -> bytes:
    """What is stored of an API key. A plain hash is enough: the key holds 134 random bits."""
    return hashlib.sha256(api_key.encode()).digest()


class Identity(msgspec.Struct, frozen=True):
    """Who a request comes from."""

    customer_id: str
    actor_id: str
    """The id of the API key, also with a token that was made of it, or a JSON Web Token's ``sub``."""
    role: Role
    suspended: bool = False
    scopes: frozenset[Scope] = SCOPES_OF[Role.CUSTOMER]
    """What the credential may be used for."""
    workload_id: str | None = None
    """The only workload that it is good for; None for all."""
    key_id: str | None = None
    """The API key, or the token that was made of one; None for a JSON Web Token."""
    is_token: bool = False
    """Whether it was made of a key: it makes no others."""


class ApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """What may be shown of an API key."""

    customer_id: str
    key_id: str
    name: str
    role: Role
    status: KeyStatus
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    """Within a minute."""
    last_used_from: str | None
    """Network address."""
    scopes: tuple[Scope, ...]
    """What it may be used for, in their order."""
    made_of: str | None
    """The key that a token was made of; None for a key."""
    workload_id: str | None
    """The only workload that a token is good for; None for all."""


class _LiveKey(msgspec.Struct, frozen=True, kw_only=True):
    key_sha256: bytes
    key_id: str
    role: Role
    scopes: list[str] | None
    made_of: str | None
    workload_id: str | None
    customer_id: str
    customer_status: CustomerStatus

    def identity(self) -> Identity:
        """Whom a request with this key comes from."""
        return Identity(
            self.customer_id,
            self.made_of or self.key_id,
            self.role,
            self.customer_status is CustomerStatus.SUSPENDED,
            frozenset(_scopes(self.role, self.scopes)),
            self.workload_id,
            self.key_id,
            self.made_of is not None,
        )


def _scopes(role: Role, kept: list[str] | None) -> tuple[Scope, ...]:
    """What a key may be used for. A word that only a newer release knows allows nothing here."""
    allowed = SCOPES_OF[role]
    return tuple(scope for scope in Scope if scope in allowed and (kept is None or scope in kept))


def _read_key(row: Row) -> ApiKey:
    role = Role(row["role"])
    return ApiKey(
        customer_id=row["customer_id"],
        key_id=row["key_id"],
        name=row["name"],
        role=role,
        status=KeyStatus(row["status"]),
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        revoked_at=row["revoked_at"],
        last_used_at=row["last_used_at"],
        last_used_from=row["last_used_from"],
        scopes=_scopes(role, row["scopes"]),
        made_of=row["made_of"],
        workload_id=row["workload_id"],
    )


_queries = Queries("api_keys.sql")
_create_key = _queries.sole("create_key", ApiKey, _read_key)
_lock_key = _queries.run("lock_key")
_succeed_key = _queries.one("succeed_key", ApiKey, _read_key)
_create_token = _queries.one("create_token", ApiKey, _read_key)
_live_tokens = _queries.many("live_tokens", ApiKey, _read_key)
_live_keys = _queries.many("live_keys", _LiveKey)
_keys_page = _queries.many("keys_page", ApiKey, _read_key)
_count_keys = _queries.sole("count_keys", int)
_revoke_key = _queries.one("revoke_key", str)
_token_is_there = _queries.sole("token_is_there", bool)
_revoke_token = _queries.one("revoke_token", str)
_forget_tokens = _queries.many("forget_tokens", str)
_mark_used = _queries.run("mark_used")


class ApiKeyStore:
    """Queries on keys and tokens, each a transaction of its own."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @retried
    async def create_key(
        self,
        customer_id: str,
        name: str,
        role: str = Role.CUSTOMER,
        expires_at: datetime | None = None,
        scopes: Sequence[str] | None = None,
    ) -> tuple[ApiKey, str]:
        """Make an API key, for all that its role may do unless scopes are given.

        Returns:
            What is stored of the key, and the key itself, which is stored nowhere and can't be shown again.

        Raises:
            NotFoundError: No such customer.
        """
        key_id, api_key = _new_key(customer_id)
        async with self._database.transaction() as conn:
            try:
                made = await _create_key(
                    conn,
                    customer_id=customer_id,
                    key_id=key_id,
                    key_sha256=_hash(api_key),
                    name=name,
                    role=role,
                    scopes=scopes,
                    expires_at=expires_at,
                )
            except asyncpg.ForeignKeyViolationError as exc:
                raise NotFoundError(f"There is no customer '{customer_id}'") from exc
        return made, api_key

    @retried
    async def succeed_key(self, customer_id: str, key_id: str, overlap_seconds: float) -> tuple[ApiKey, str]:
        """Make a key that takes the place of an active one, which stays good for the overlap; gives the new one.

        Raises:
            NotFoundError: The customer has no such key that is active.
        """
        new_key_id, api_key = _new_key(customer_id)
        async with self._database.transaction() as conn:
            await _lock_key(conn, key_id=key_id)
            made = await _succeed_key(
                conn,
                customer_id=customer_id,
                key_id=key_id,
                overlap_seconds=overlap_seconds,
                new_key_id=new_key_id,
                new_key_sha256=_hash(api_key),
            )
        if made is None:
            raise NotFoundError(f"There is no active key '{key_id}'")
        return made, api_key

    @retried
    async def create_token(
        self, customer_id: str, key_id: str, scopes: Sequence[str], workload_id: str | None, life_seconds: float
    ) -> tuple[ApiKey, str] | None:
        """Make a token of an active key; None when it has as many as it may, or isn't active any more."""
        token_id, token = _new_key(customer_id, "tok")
        async with self._database.transaction() as conn:
            await _lock_key(conn, key_id=key_id)
            made = await _create_token(
                conn,
                customer_id=customer_id,
                key_id=key_id,
                token_id=token_id,
                token_sha256=_hash(token),
                scopes=scopes,
                workload_id=workload_id,
                life_seconds=life_seconds,
                most=MAX_TOKENS_PER_KEY,
            )
        return None if made is None else (made, token)

    @retried
    async def tokens(self, customer_id: str, most: int, key_id: str | None = None) -> list[ApiKey]:
        """A customer's tokens that are good now, the newest first; of one key, if it is given."""
        async with self._database.connection() as conn:
            return await _live_tokens(conn, customer_id=customer_id, key_id=key_id, most=most)

    @retried
    async def token_is_there(self, token_id: str, key_id: str) -> bool:
        """Whether a token was made of this key, ended or not."""
        async with self._database.connection() as conn:
            return await _token_is_there(conn, token_id=token_id, key_id=key_id)

    @retried
    async def revoke_token(self, token_id: str, key_id: str) -> None:
        """End a token that was made of a key. Twice is once.

        Raises:
            NotFoundError: No such token was made of it.
        """
        async with self._database.connection() as conn:
            if await _revoke_token(conn, token_id=token_id, key_id=key_id) is None:
                raise NotFoundError("There is no such token")

    @retried
    async def identify(self, candidates: Sequence[str]) -> dict[str, Identity]:
        """Whose keys or tokens these are; what is malformed, unknown, expired or revoked is left out."""
        claims = {key: claimed for key in candidates if (claimed := api_keys.customer_of(key)) is not None}
        if not claims:
            return {}
        by_hash = {_hash(key): key for key in claims}
        async with self._database.connection() as conn:
            live = await _live_keys(conn, hashes=list(by_hash))
        return {
            by_hash[key.key_sha256]: key.identity()
            for key in live
            if key.customer_id == claims[by_hash[key.key_sha256]]
        }

    @retried
    async def keys(
        self, customer_id: str, most: int, *, skip: int = 0, after: str | None = None
    ) -> tuple[list[ApiKey], int]:
        """At most ``most`` of a customer's keys, oldest first, from the one after ``after``; and how many it has."""
        async with self._database.connection() as conn:
            page = await _keys_page(conn, customer_id=customer_id, after=after, most=most, skip=skip)
            return page, await _count_keys(conn, customer_id=customer_id)

    @retried
    async def revoke_key(self, key_id: str, customer_id: str | None = None) -> str:
        """End a key for ever; gives its customer. Twice is once.

        Args:
            key_id: Which.
            customer_id: Whose it must be; anybody's when None.

        Raises:
            NotFoundError: No such key.
        """
        # A COMMIT whose answer is lost is no unknown outcome, as twice is once.
        async with self._database.connection() as conn, conn.transaction():
            await _lock_key(conn, key_id=key_id)
            owner = await _revoke_key(conn, key_id=key_id, customer_id=customer_id)
        if owner is None:
            raise NotFoundError(f"There is no key '{key_id}'")
        return owner

    @retried
    async def forget_tokens(self, most: int) -> int:
        """Delete at most so many tokens that ended a month ago; gives how many went."""
        async with self._database.connection() as conn:
            return len(await _forget_tokens(conn, most=most))

    @retried
    async def mark_used(self, sources: Mapping[str, str]) -> None:
        """Note that keys were used, by their id, and from which address."""
        async with self._database.connection() as conn:
            await _mark_used(conn, key_ids=list(sources), sources=list(sources.values()))
