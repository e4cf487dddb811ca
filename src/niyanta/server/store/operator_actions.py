"""What operators did, in PostgreSQL: audit events of a chain of their own."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from niyanta.domain.ids import make_id
from niyanta.domain.operator_actions import ActionKind, ActionOutcome, Doing
from niyanta.server.store.database import Database, retried
from niyanta.server.store.queries import Queries

__all__ = ["ActionFilter", "OperatorActionStore", "StoredAction"]

_PREFIX = "admin."
_encode = msgspec.json.Encoder(enc_hook=str).encode


class ActionFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which actions are asked for; None for all."""

    actor_id: str | None = None
    action: str | None = None
    kind: ActionKind | None = None
    target: str | None = None
    """Any of the ids that it names or made."""
    outcome: ActionOutcome | None = None
    since: datetime | None = None
    until: datetime | None = None


class StoredAction(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that an operator did, or tried to."""

    action_id: str
    action: str
    occurred_at: datetime
    actor_id: str
    protocol: str
    source: str
    request_id: str
    target: dict[str, str]
    outcome: ActionOutcome
    error_code: str | None
    facts: dict[str, Any]  # Any: JSON values, of this release or another
    """What was done in particular: fields that were changed, ids that were made."""


class _Row(msgspec.Struct, frozen=True, kw_only=True):
    action_id: str
    event_type: str
    occurred_at: datetime
    actor_id: str
    begun_json: str
    ended_json: str | None


class _Details(msgspec.Struct, frozen=True):
    protocol: str = ""
    source: str = ""
    request_id: str = ""
    target: dict[str, str] = {}
    outcome: ActionOutcome = ActionOutcome.UNKNOWN
    error_code: str | None = None
    facts: dict[str, Any] = {}  # Any: as above


_queries = Queries("operator_actions.sql")
_record = _queries.run("record")
_actions = _queries.many("actions", _Row)


class OperatorActionStore:
    """Writes and reads operators' actions."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def new_id(self) -> str:
        """An action's id; ids sort by time."""
        return make_id("act_", time.time_ns() // 1_000_000, random.getrandbits(80))

    async def begin(self, action_id: str, doing: Doing) -> None:
        """Record that an action is about to be done."""
        await self._write(action_id, 1, doing, _of(doing))

    async def end(
        self,
        action_id: str,
        doing: Doing,
        outcome: ActionOutcome,
        error_code: str | None,
        facts: Mapping[str, object],
    ) -> None:
        """Record what became of an action: after its beginning, or, when it changes nothing, at once."""
        ended: dict[str, object] = {"outcome": outcome, "error_code": error_code, "facts": facts}
        if doing.changes:
            await self._write(action_id, 2, doing, ended)
        else:
            await self._write(action_id, 1, doing, _of(doing) | ended)

    async def _write(self, action_id: str, event_id: int, doing: Doing, details: Mapping[str, object]) -> None:
        async with self._database.connection() as conn:
            await _record(
                conn,
                action_id=action_id,
                event_id=event_id,
                event_type=_PREFIX + doing.action,
                actor_id=doing.actor_id,
                details=_encode(details).decode(),
            )

    @retried
    async def page(self, wanted: ActionFilter, most: int, before: str | None = None) -> list[StoredAction]:
        """The newest ``most`` that fit, before one of them."""
        async with self._database.connection() as conn:
            rows = await _actions(
                conn,
                before=before,
                actor_id=wanted.actor_id,
                action=wanted.action,
                kind=wanted.kind,
                target=wanted.target,
                outcome=wanted.outcome,
                since=wanted.since,
                until=wanted.until,
                most=most,
            )
        return [_read(row) for row in rows]


def _of(doing: Doing) -> dict[str, object]:
    return {
        "protocol": doing.protocol,
        "source": doing.source,
        "request_id": doing.request_id,
        "target": doing.target,
    }


def _read(row: _Row) -> StoredAction:
    begun = msgspec.json.decode(row.begun_json, type=_Details)
    ended = begun if row.ended_json is None else msgspec.json.decode(row.ended_json, type=_Details)
    return StoredAction(
        action_id=row.action_id,
        action=row.event_type.removeprefix(_PREFIX),
        occurred_at=row.occurred_at,
        actor_id=row.actor_id,
        protocol=begun.protocol,
        source=begun.source,
        request_id=begun.request_id,
        target=begun.target,
        outcome=ended.outcome,
        error_code=ended.error_code,
        facts=ended.facts,
    )
