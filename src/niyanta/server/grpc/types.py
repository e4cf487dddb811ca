"""ListWorkloadTypes: what can be submitted."""

from __future__ import annotations

import msgspec
from google.protobuf.struct_pb2 import Struct

from niyanta.domain.json_value import Json
from niyanta.server.grpc.methods import Method, MethodCall
from niyanta.server.grpc.values import put_details
from niyanta.server.services.types import TypeService
from niyanta.wire.v1 import workload_service_pb2 as pb

__all__ = ["TypeMethods"]


class TypeMethods:
    """What can be submitted."""

    def __init__(self, types: TypeService) -> None:
        self._types = types

    @Method(name="ListWorkloadTypes", request=pb.ListWorkloadTypesRequest, answer=pb.ListWorkloadTypesResponse)
    async def list(self, call: MethodCall[pb.ListWorkloadTypesRequest]) -> pb.ListWorkloadTypesResponse:
        """All types, by name."""
        answer = pb.ListWorkloadTypesResponse()
        for one in await self._types.types(call.identity):
            found = answer.workload_types.add(workload_type=one.workload_type, is_served=one.is_served)
            for schema in one.input_schemas:
                _put_schema(schema, found.input_schemas.add())
            if one.config_schema is not None:
                _put_schema(one.config_schema, found.config_schema)
        return answer


def _put_schema(schema: Json, into: Struct) -> None:
    """A schema may be true or false, too; a Struct says so by being empty, or by ``not``."""
    if isinstance(schema, bool):
        schema = {} if schema else {"not": {}}
    put_details(msgspec.json.encode(schema), into)
