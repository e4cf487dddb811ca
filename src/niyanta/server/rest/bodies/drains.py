"""The JSON bodies of drains."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from niyanta.domain.draining import DrainOutcome
from niyanta.domain.workers import DrainMode
from niyanta.server.rest.bodies.admin import WorkerStatusName
from niyanta.server.rest.bodies.workloads import Timestamp, WorkloadStatus, one_of

__all__ = ["DrainAnswer", "DrainRequest", "DrainedWorkloadBody"]

_MODES = one_of(
    DrainMode,
    "`finish`: what the worker runs, finishes there. `move`: it goes on elsewhere, each from its next checkpoint; "
    "what no other live worker suits, or never saves a checkpoint, finishes.",
)


class DrainRequest(msgspec.Struct, forbid_unknown_fields=True):
    """The body of ``POST /admin/workers/{worker_id}/drain``."""

    mode: Annotated[str, _MODES] | None = None


class DrainedWorkloadBody(msgspec.Struct):
    """What has become of one workload that the worker had when it was drained, or got in that moment."""

    customer_id: str
    workload_id: str
    workload_type: str
    attempt: Annotated[int, Meta(description="The one that the worker had.")]
    outcome: Annotated[
        str,
        one_of(
            DrainOutcome,
            "`running`: still there, and finishes there. `moving`: still there until its next checkpoint. `waiting`: "
            "left, and waits for another worker. `moved`: left, and another worker has been given it. `paused`: by "
            "its customer. `finished`: it has ended.",
        ),
    ]
    reason: Annotated[str | None, Meta(description="Why it is still there, or how it left without a checkpoint.")]
    status: WorkloadStatus
    moved_to: Annotated[str | None, Meta(description="The worker that was given its next attempt.")]
    checkpoint_sequence: Annotated[
        int | None, Meta(description="The checkpoint that it went on from; of one that is still there the newest.")
    ]
    seconds_lost: Annotated[
        float, Meta(description="Running time that is done again elsewhere; 0 when it moved at a checkpoint.")
    ]


class DrainAnswer(msgspec.Struct):
    """The worker takes nothing new; how far the drain has come."""

    worker_id: str
    status: WorkerStatusName
    mode: Annotated[str, _MODES]
    given_by: Annotated[str, Meta(description="The API key that it was first given with.")]
    given_at: Timestamp
    remaining: Annotated[int, Meta(description="Workloads that it has still; 0: the machine can go.")]
    workloads: list[DrainedWorkloadBody]
