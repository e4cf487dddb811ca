"""The JSON bodies of operators' actions."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from niyanta.domain.operator_actions import ActionOutcome, Protocol
from niyanta.server.rest.bodies.workloads import Pagination, Timestamp

__all__ = ["OperatorActionBody", "OperatorActionsAnswer"]


class OperatorActionBody(msgspec.Struct):
    """One thing that an operator did, or tried to."""

    action_id: Annotated[str, Meta(examples=["act_01k8k6z3v0w4f7x2m9t5q1r8ab"])]
    action: Annotated[str, Meta(description="The operation's id in this document.", examples=["drainWorker"])]
    timestamp: Timestamp
    actor_id: Annotated[
        str,
        Meta(description="The key; of a command in the database, the user and machine.", examples=["key_5f0c1d2e"]),
    ]
    protocol: Annotated[str, Meta(extra_json_schema={"enum": [each.value for each in Protocol]})]
    source: Annotated[str, Meta(description="The address that it came from; empty when unknown.")]
    request_id: str
    target: Annotated[dict[str, str], Meta(description="The ids that it named.", examples=[{"worker_id": "w-1"}])]
    outcome: Annotated[
        ActionOutcome,
        Meta(description="`unknown`: it was begun, and whoever did it ended before its end was recorded."),
    ]
    error_code: Annotated[str, Meta(description="Why it was refused or failed.")] | None
    facts: Annotated[
        dict[str, Any],  # Any: JSON values
        Meta(description="What was done in particular: fields that were changed, ids that were made."),
    ]


class OperatorActionsAnswer(msgspec.Struct):
    """A page of operators' actions, the newest first."""

    actions: list[OperatorActionBody]
    pagination: Pagination
