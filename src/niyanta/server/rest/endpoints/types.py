"""Workload types that can be submitted."""

from __future__ import annotations

import msgspec
from starlette.responses import Response

from niyanta.domain.json_value import Json
from niyanta.server.rest.bodies import types as bodies
from niyanta.server.rest.frame.operation import Call, Operation
from niyanta.server.rest.frame.responses import json_response
from niyanta.server.services.types import TypeService

__all__ = ["TypeRoutes"]


class TypeRoutes:
    """What can be submitted."""

    def __init__(self, types: TypeService) -> None:
        self._types = types

    @Operation(
        method="GET",
        path="/v1/workload-types",
        operation_id="listWorkloadTypes",
        summary="What can be submitted, with the JSON Schemas of the input",
        description="Types that a live worker serves, and those that you have a config of.",
        tag="Workload Configs",
        answer=bodies.WorkloadTypesAnswer,
    )
    async def list(self, call: Call) -> Response:
        """All types, by name."""
        found = await self._types.types(call.identity)
        types = [
            bodies.WorkloadTypeBody(
                workload_type=one.workload_type,
                is_served=one.is_served,
                input_schemas=[_raw(schema) for schema in one.input_schemas],
                config_schema=None if one.config_schema is None else _raw(one.config_schema),
            )
            for one in found
        ]
        return json_response(bodies.WorkloadTypesAnswer(types))


def _raw(schema: Json) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(schema))
