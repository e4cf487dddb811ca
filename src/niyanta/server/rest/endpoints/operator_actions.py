"""The admin API for the record of what operators did."""

from __future__ import annotations

from starlette.responses import Response

from niyanta.domain.operator_actions import ActionKind, ActionOutcome
from niyanta.server.rest.bodies import operator_actions as bodies
from niyanta.server.rest.bodies.workloads import Pagination
from niyanta.server.rest.endpoints.paging import CURSOR, LIMIT
from niyanta.server.rest.frame.operation import Access, Call, Operation
from niyanta.server.rest.frame.parameters import Choice, Moment, Text
from niyanta.server.rest.frame.responses import json_response, timestamp
from niyanta.server.services.cursors import Cursors
from niyanta.server.services.operators import OperatorRecord
from niyanta.server.store.operator_actions import ActionFilter, StoredAction

__all__ = ["OperatorActionRoutes"]

ACTOR = Text("actor_id", "Only what this key did.")
ACTION = Text("action", "Only this operation, by its id in this document.")
KIND = Choice("kind", "Only what may have changed something, or only what was read.", tuple(ActionKind))
TARGET = Text("target", "Only what named or made the thing with this id: a customer, a key, a worker, a join token.")
OUTCOME = Choice("outcome", "Only what ended so.", tuple(ActionOutcome))
SINCE = Moment("since", "Only what was begun then or later.")
UNTIL = Moment("until", "Only what was begun before.")


class OperatorActionRoutes:
    """For keys with the admin role."""

    def __init__(self, record: OperatorRecord, cursors: Cursors) -> None:
        self._record = record
        self._cursors = cursors

    @Operation(
        method="GET",
        path="/v1/admin/audit",
        operation_id="listOperatorActions",
        summary="What operators did, the newest first",
        tag="Admin",
        access=Access.ADMIN,
        query=(ACTOR, ACTION, KIND, TARGET, OUTCOME, SINCE, UNTIL, LIMIT, CURSOR),
        answer=bodies.OperatorActionsAnswer,
        description="Every call of the admin API, over REST and gRPC, with a good admin key, and each command of "
        "`niyanta admin` that changes something; reading this list is one, too.",
    )
    async def list(self, call: Call) -> Response:
        """A page of them."""
        request = call.request
        kind, outcome = KIND.read(request), OUTCOME.read(request)
        wanted = ActionFilter(
            actor_id=ACTOR.read(request),
            action=ACTION.read(request),
            kind=None if kind is None else ActionKind(kind),
            target=TARGET.read(request),
            outcome=None if outcome is None else ActionOutcome(outcome),
            since=SINCE.read(request),
            until=UNTIL.read(request),
        )
        limit = LIMIT.read(request) or 0
        listed = ("operator-actions", *(str(getattr(wanted, name)) for name in wanted.__struct_fields__))
        cursor = CURSOR.read(request)
        before = None if cursor is None else self._cursors.read_id(cursor, *listed)
        found = await self._record.page(wanted, limit + 1, before)
        pagination = Pagination(has_more=len(found) > limit)
        if pagination.has_more:
            pagination.next_cursor = self._cursors.after_id(found[limit - 1].action_id, *listed)
        return json_response(bodies.OperatorActionsAnswer([_body(each) for each in found[:limit]], pagination))


def _body(found: StoredAction) -> bodies.OperatorActionBody:
    return bodies.OperatorActionBody(
        action_id=found.action_id,
        action=found.action,
        timestamp=timestamp(found.occurred_at),
        actor_id=found.actor_id,
        protocol=found.protocol,
        source=found.source,
        request_id=found.request_id,
        target=found.target,
        outcome=found.outcome,
        error_code=found.error_code,
        facts=found.facts,
    )
