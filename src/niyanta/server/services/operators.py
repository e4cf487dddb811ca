"""The record of what operators do: calls of the admin API and commands that change something, with outcomes.

What may change something is recorded before it is done: if that fails, it isn't done. When the end can't be recorded,
the action's outcome stays unknown, and the answer is what it is.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

from niyanta.domain.operator_actions import ActionOutcome, Doing
from niyanta.errors import ApiError, NiyantaError, ServiceUnavailableError
from niyanta.server.store.database import answered_within
from niyanta.server.store.operator_actions import ActionFilter, OperatorActionStore, StoredAction

__all__ = ["OperatorRecord"]

log = logging.getLogger(__name__)

_END_SECONDS = 5.0
"""For recording an outcome: where the database hangs, the answer has waited for that already."""

T = TypeVar("T")

_NOTHING: Mapping[str, object] = {}


class OperatorRecord:
    """Writes and shows operators' actions."""

    def __init__(self, store: OperatorActionStore) -> None:
        self._store = store

    async def over(self, doing: Doing, work: Callable[[], Awaitable[T]], facts: Mapping[str, object] = _NOTHING) -> T:
        """Do something and record it.

        Args:
            doing: What is about to be done, and by whom.
            work: Does it.
            facts: What was done in particular; read when it is over.

        Raises:
            ServiceUnavailableError: It couldn't be recorded, so it wasn't done, or isn't shown.
        """
        action_id = self._store.new_id()
        if doing.changes:
            await self._store.begin(action_id, doing)
        try:
            result = await work()
        except NiyantaError as error:
            code = error.code if isinstance(error, ApiError) else None
            is_refused = isinstance(error, ApiError) and error.http_status < 500
            await self._end(
                action_id, doing, ActionOutcome.REFUSED if is_refused else ActionOutcome.FAILED, code, facts
            )
            raise
        except Exception:
            await self._end(action_id, doing, ActionOutcome.FAILED, None, facts)
            raise
        await self._end(action_id, doing, ActionOutcome.SUCCEEDED, None, facts)
        return result

    async def _end(
        self, action_id: str, doing: Doing, outcome: ActionOutcome, code: str | None, facts: Mapping[str, object]
    ) -> None:
        try:
            async with answered_within(_END_SECONDS):
                await self._store.end(action_id, doing, outcome, code, facts)
        except ServiceUnavailableError:
            if not doing.changes:
                raise
            log.exception("operators.outcome_not_recorded", extra={"action_id": action_id, "action": doing.action})

    async def page(self, wanted: ActionFilter, most: int, before: str | None = None) -> list[StoredAction]:
        """Actions that fit, the newest first, before the one with an id."""
        return await self._store.page(wanted, most, before)
