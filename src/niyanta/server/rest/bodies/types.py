"""The JSON bodies of workload types."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from niyanta.server.rest.bodies.workloads import JsonObject

__all__ = ["WorkloadTypeBody", "WorkloadTypesAnswer"]


class WorkloadTypeBody(msgspec.Struct):
    """A workload type that can be submitted."""

    workload_type: str
    is_served: Annotated[bool, Meta(description="Whether a live worker serves it; else a submission waits for one.")]
    input_schemas: Annotated[
        list[JsonObject],
        Meta(description="JSON Schemas of the live handlers: an input must fit one of them. Empty: any will do."),
    ]
    config_schema: Annotated[
        JsonObject | None, Meta(description="JSON Schema of your config of the type: an input must fit it besides.")
    ]


class WorkloadTypesAnswer(msgspec.Struct):
    """What can be submitted at this moment, by name."""

    workload_types: list[WorkloadTypeBody]
