"""The JSON bodies of failures."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from niyanta.domain.limits import MAX_FAILURE_SAMPLES
from niyanta.server.rest.bodies.workloads import Timestamp

__all__ = ["FailureBody", "FailuresAnswer"]


class FailureBody(msgspec.Struct, kw_only=True):
    """Workloads that FAILED with errors that are alike."""

    fingerprint: Annotated[str, Meta(description="Names them, for the list's fingerprint and for replays.")]
    message: Annotated[str, Meta(description="The error of the last one; its first 1,000 characters.")]
    pattern: Annotated[str, Meta(description="What the errors have in common: without numbers, ids and paths.")]
    count: Annotated[int, Meta(description="How many, also those that are forgotten by now.", ge=1)]
    first_seen_at: Timestamp
    last_seen_at: Timestamp
    workload_types: list[str]
    workload_ids: Annotated[
        list[str],
        Meta(
            description="Up to five of them, the newest first, whenever they failed.", max_length=MAX_FAILURE_SAMPLES
        ),
    ]


class FailuresAnswer(msgspec.Struct, kw_only=True):
    """Failures by fingerprint."""

    failures: list[FailureBody]
    has_more: Annotated[bool, Meta(description="There are more fingerprints: ask for a shorter time or one type.")]
    counted_since: Annotated[
        Timestamp | None,
        Meta(description="From when on failures were counted, where there are too many to look at all of them."),
    ]
