"""Configurations of workload types."""

from __future__ import annotations

import msgspec
from starlette.responses import Response

from niyanta.domain.customers import Scope
from niyanta.domain.limits import MAX_LONG_PAGE
from niyanta.errors import ConflictError, NotFoundError
from niyanta.server.rest.bodies import account as bodies
from niyanta.server.rest.bodies.workloads import Pagination
from niyanta.server.rest.endpoints.paging import CURSOR
from niyanta.server.rest.frame.operation import Call, Operation
from niyanta.server.rest.frame.parameters import Integer
from niyanta.server.rest.frame.responses import json_response, number, timestamp
from niyanta.server.services.configs import ConfigService, CreateConfigRequest, UpdateConfigRequest
from niyanta.server.services.cursors import Cursors
from niyanta.server.store.configs import WorkloadConfig

__all__ = ["ConfigRoutes"]

_ALL = "/v1/workload-configs"
_ONE = _ALL + "/{config_id}"
_TAG = "Workload Configs"

LIMIT = Integer("limit", "Results per page.", 1, MAX_LONG_PAGE, MAX_LONG_PAGE)


class ConfigRoutes:
    """Set up workload types."""

    def __init__(self, configs: ConfigService, cursors: Cursors) -> None:
        self._configs = configs
        self._cursors = cursors

    async def _exists(self, call: Call) -> None:
        await self._configs.get(call.identity, call.path_id("config_id"))

    @Operation(
        method="POST",
        path=_ALL,
        operation_id="createWorkloadConfig",
        summary="Set up a workload type",
        tag=_TAG,
        scope=Scope.CONFIGS_WRITE,
        body=CreateConfigRequest,
        answer=bodies.ConfigCreated,
        status=201,
        headers=("Location",),
        errors=(ConflictError,),
    )
    async def create(self, call: Call) -> Response:
        """201 with its id."""
        made = await self._configs.create(call.identity, call.body)
        answer = bodies.ConfigCreated(made.config_id, made.workload_type, timestamp(made.created_at))
        return json_response(answer, 201, {"Location": f"{_ALL}/{made.config_id}"})

    @Operation(
        method="GET",
        path=_ALL,
        operation_id="listWorkloadConfigs",
        summary="List configs",
        tag=_TAG,
        query=(LIMIT, CURSOR),
        answer=bodies.ConfigsAnswer,
    )
    async def list(self, call: Call) -> Response:
        """All on one page, unless there are very many."""
        listed = ("configs", call.identity.customer_id)
        cursor = CURSOR.read(call.request)
        after_id = self._cursors.read_id(cursor, *listed) if cursor is not None else ""
        limit = LIMIT.read(call.request) or 0
        found, has_more = await self._configs.page(call.identity, after_id=after_id, limit=limit)
        pagination = Pagination(has_more=has_more)
        if has_more:
            pagination.next_cursor = self._cursors.after_id(found[-1].config_id, *listed)
        return json_response(bodies.ConfigsAnswer([config_body(config) for config in found], pagination))

    @Operation(
        method="GET",
        path=_ONE,
        operation_id="getWorkloadConfig",
        summary="Get one config",
        tag=_TAG,
        answer=bodies.Config,
        errors=(NotFoundError,),
        exists=_exists,
    )
    async def get(self, call: Call) -> Response:
        """One, whole."""
        return json_response(config_body(await self._configs.get(call.identity, call.path_id("config_id"))))

    @Operation(
        method="PUT",
        path=_ONE,
        operation_id="updateWorkloadConfig",
        summary="Change what is given",
        description="Reaches workloads that are not assigned yet; the others keep what they had.",
        tag=_TAG,
        scope=Scope.CONFIGS_WRITE,
        body=UpdateConfigRequest,
        answer=bodies.Config,
        errors=(NotFoundError,),
        exists=_exists,
    )
    async def update(self, call: Call) -> Response:
        """The whole config as it is now."""
        updated = await self._configs.update(call.identity, call.path_id("config_id"), call.body)
        return json_response(config_body(updated))

    @Operation(
        method="DELETE",
        path=_ONE,
        operation_id="deleteWorkloadConfig",
        summary="Delete a config that no workload belongs to",
        tag=_TAG,
        scope=Scope.CONFIGS_WRITE,
        status=204,
        errors=(NotFoundError, ConflictError),
        exists=_exists,
    )
    async def delete(self, call: Call) -> Response:
        """204 once it is gone."""
        await self._configs.delete(call.identity, call.path_id("config_id"))
        return Response(status_code=204)


def config_body(config: WorkloadConfig) -> bodies.Config:
    """One config, whole."""
    return bodies.Config(
        config_id=config.config_id,
        workload_type=config.workload_type,
        description=config.description,
        config_json=msgspec.Raw(config.config_json.encode()),
        resource_limits=bodies.ResourceLimits(number(config.cpu_cores), config.memory_mb, config.disk_mb),
        checkpoint_interval_sec=config.checkpoint_interval_sec,
        max_retries=config.max_retries,
        timeout_seconds=config.timeout_seconds,
        input_schema=msgspec.Raw(config.input_schema.encode()) if config.input_schema is not None else None,
        created_at=timestamp(config.created_at),
        updated_at=timestamp(config.updated_at),
    )
