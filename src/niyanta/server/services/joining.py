"""What operators do with join tokens."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta

from niyanta.domain.ids import CUSTOMER_ID_PATTERN, WORKLOAD_TYPE_PATTERN
from niyanta.domain.join_tokens import WORKER_PATTERN, Grant
from niyanta.domain.limits import (
    MAX_KEY_LIFE_DAYS,
    MAX_PATTERN_STARS,
    MAX_TAG_LENGTH,
    MAX_TAGS,
    MAX_TOKEN_CUSTOMERS,
    MAX_TOKEN_ENTRIES,
)
from niyanta.errors import InvalidInputError
from niyanta.server.services.administration import check_name
from niyanta.server.store.join_tokens import JoinTokenStore, StoredJoinToken

__all__ = ["JoinTokenService"]


class JoinTokenService:
    """Makes and ends join tokens; every check of what operators give is here."""

    def __init__(self, store: JoinTokenStore) -> None:
        self._store = store

    async def create(
        self,
        name: str,
        *,
        worker_pattern: str = "*",
        workload_types: Collection[str] = (),
        tags: Mapping[str, str] | None = None,
        customers: Collection[str] = (),
        expires_at: datetime | None = None,
    ) -> tuple[StoredJoinToken, str]:
        """Make a join token; gives what is stored of it, and the token, which can't be shown again.

        Args:
            name: For people.
            worker_pattern: What the ids of its workers look like; ``*`` stands for any characters.
            workload_types: All that they may serve; empty for every type.
            tags: All that they may have; empty for any.
            customers: The only ones whose workloads they get; empty for everybody's.
            expires_at: When it ends; never when None.

        Raises:
            InvalidInputError: Says what is allowed.
            ConflictError: There are too many live ones.
        """
        check_name(name)
        if not WORKER_PATTERN.fullmatch(worker_pattern) or worker_pattern.count("*") > MAX_PATTERN_STARS:
            raise InvalidInputError(
                f"worker_pattern must match {WORKER_PATTERN.pattern}, with at most {MAX_PATTERN_STARS} stars",
                details={"field": "worker_pattern", "pattern": WORKER_PATTERN.pattern},
            )
        _check_each("workload_types", workload_types, WORKLOAD_TYPE_PATTERN, MAX_TOKEN_ENTRIES)
        _check_each("customers", customers, CUSTOMER_ID_PATTERN, MAX_TOKEN_CUSTOMERS)
        _check_tags(tags or {})
        now = datetime.now(UTC)
        if expires_at is not None and not now < expires_at <= now + timedelta(days=MAX_KEY_LIFE_DAYS):
            raise InvalidInputError(
                "expires_at must be in the future, within a hundred years",
                details={"field": "expires_at", "after": now.isoformat(timespec="seconds")},
            )
        grant = Grant(worker_pattern, frozenset(workload_types), dict(tags or {}), frozenset(customers))
        return await self._store.create(name, grant, expires_at)

    async def page(self, most: int, *, skip: int = 0, after: str | None = None) -> tuple[list[StoredJoinToken], int]:
        """A page of the tokens, oldest first, and how many there are."""
        return await self._store.page(most, skip=skip, after=after)

    async def revoke(self, token_id: str) -> None:
        """End a token for ever; its workers are out within seconds. Twice is once.

        Raises:
            NotFoundError: No such token.
        """
        await self._store.revoke(token_id)


def _check_each(field: str, given: Collection[str], pattern: re.Pattern[str], most: int) -> None:
    wrong = next((each for each in given if not pattern.fullmatch(each)), None)
    if wrong is not None or len(given) > most:
        raise InvalidInputError(
            f"{field} must be at most {most}, each matching {pattern.pattern}",
            details={"field": field, "maximum": most, "pattern": pattern.pattern},
        )


def _check_tags(tags: Mapping[str, str]) -> None:
    good = all(
        1 <= len(name) <= MAX_TAG_LENGTH and len(value) <= MAX_TAG_LENGTH and "\0" not in name + value
        for name, value in tags.items()
    )
    if len(tags) > MAX_TAGS or not good:
        raise InvalidInputError(
            f"tags must be at most {MAX_TAGS}, names and values of at most {MAX_TAG_LENGTH} characters without NUL",
            details={"field": "tags", "maximum": MAX_TAGS, "max_length": MAX_TAG_LENGTH},
        )
