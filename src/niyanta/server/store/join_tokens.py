"""Join tokens in PostgreSQL."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from datetime import datetime

import msgspec

from niyanta.domain import join_tokens as tokens
from niyanta.domain.api_keys import ALPHABET, RANDOM_LENGTH
from niyanta.domain.customers import KeyStatus
from niyanta.domain.join_tokens import Grant
from niyanta.domain.limits import MAX_JOIN_TOKENS
from niyanta.errors import ConflictError, NotFoundError
from niyanta.server.store.database import Database, Pool, retried
from niyanta.server.store.queries import Queries, Row

__all__ = ["JoinTokenStore", "LiveToken", "StoredJoinToken", "hash_of"]


class StoredJoinToken(msgspec.Struct, frozen=True, kw_only=True):
    """What may be shown of a join token."""

    token_id: str
    name: str
    worker_pattern: str
    workload_types: list[str]
    tags: dict[str, str]
    customers: list[str]
    status: KeyStatus
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


class LiveToken(msgspec.Struct, frozen=True, kw_only=True):
    """A token that is good at the moment."""

    token_id: str
    token_sha256: bytes
    grant: Grant
    expires_at: datetime | None


def _read_token(row: Row) -> StoredJoinToken:
    return StoredJoinToken(
        token_id=row["token_id"],
        name=row["name"],
        worker_pattern=row["worker_pattern"],
        workload_types=list(row["workload_types"]),
        tags=msgspec.json.decode(row["tags"], type=dict[str, str]),
        customers=list(row["customers"]),
        status=KeyStatus(row["status"]),
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        revoked_at=row["revoked_at"],
    )


def _read_live(row: Row) -> LiveToken:
    return LiveToken(
        token_id=row["token_id"],
        token_sha256=row["token_sha256"],
        grant=Grant(
            row["worker_pattern"],
            frozenset(row["workload_types"]),
            msgspec.json.decode(row["tags"], type=dict[str, str]),
            frozenset(row["customers"]),
        ),
        expires_at=row["expires_at"],
    )


_queries = Queries("join_tokens.sql")
_create_token = _queries.one("create_token", StoredJoinToken, _read_token)
_live_tokens = _queries.many("live_tokens", LiveToken, _read_live)
_tokens_page = _queries.many("tokens_page", StoredJoinToken, _read_token)
_count_tokens = _queries.sole("count_tokens", int)
_revoke_token = _queries.one("revoke_token", str)


def hash_of(token: str) -> bytes:
    """What is stored of a token. A plain hash is enough: it holds 134 random bits."""
    return hashlib.sha256(token.encode()).digest()


class JoinTokenStore:
    """Queries on join tokens, each a transaction of its own."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @retried
    async def create(
        self, name: str, grant: Grant, expires_at: datetime | None = None
    ) -> tuple[StoredJoinToken, str]:
        """Make a token.

        Returns:
            What is stored of it, and the token itself, which is stored nowhere and can't be shown again.

        Raises:
            ConflictError: There are too many live ones.
        """
        token_id, random_text = _random(tokens.ID_LENGTH), _random(RANDOM_LENGTH)
        token = tokens.spell_token(token_id, random_text)
        # So that a link that breaks says whether to try again: a second token would be somebody's to revoke.
        async with self._database.transaction() as conn:
            made = await _create_token(
                conn,
                token_id=token_id,
                token_sha256=hash_of(token),
                name=name,
                worker_pattern=grant.worker_pattern,
                workload_types=sorted(grant.workload_types),
                tags=_json(grant.tags),
                customers=sorted(grant.customers),
                expires_at=expires_at,
                most=MAX_JOIN_TOKENS,
            )
        if made is None:
            raise ConflictError(
                f"There are {MAX_JOIN_TOKENS} live join tokens: revoke some first",
                details={"maximum": MAX_JOIN_TOKENS},
            )
        return made, token

    @retried
    async def live(self) -> list[LiveToken]:
        """Every token that is good now."""
        async with self._database.connection(Pool.VITAL) as conn:
            return await _live_tokens(conn)

    @retried
    async def page(self, most: int, *, skip: int = 0, after: str | None = None) -> tuple[list[StoredJoinToken], int]:
        """At most ``most`` tokens, oldest first, from the one after ``after``; and how many there are."""
        async with self._database.connection() as conn:
            return await _tokens_page(conn, after=after, most=most, skip=skip), await _count_tokens(conn)

    @retried
    async def revoke(self, token_id: str) -> None:
        """End a token for ever. Twice is once.

        Raises:
            NotFoundError: No such token.
        """
        async with self._database.connection() as conn:
            if await _revoke_token(conn, token_id=token_id) is None:
                raise NotFoundError(f"There is no join token '{token_id}'")


def _random(length: int) -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(length))


def _json(tags: Mapping[str, str]) -> str:
    return msgspec.json.encode(dict(tags)).decode()
