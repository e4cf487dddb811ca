"""Calls on workload configurations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from niyanta.client.models import ResourceLimits, WorkloadConfig
from niyanta.client.transport import Transport, quoted, without_none
from niyanta.client.values import refuse_lossy

__all__ = ["AsyncConfigs", "WorkloadType"]


class _Configs(msgspec.Struct):
    configs: list[WorkloadConfig]


class WorkloadType(msgspec.Struct, kw_only=True):
    """A workload type that can be submitted."""

    workload_type: str
    is_served: bool
    """Whether a live worker serves it."""
    input_schemas: list[dict[str, Any]]
    """JSON Schemas of the live handlers: an input must fit one of them; empty when any will do."""
    config_schema: dict[str, Any] | None
    """JSON Schema of your config of the type: an input must fit it besides."""


class _Types(msgspec.Struct):
    workload_types: list[WorkloadType]


class AsyncConfigs:
    """Calls on workload configurations."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def create(
        self,
        workload_type: str,
        *,
        description: str | None = None,
        config_json: dict[str, Any] | None = None,
        resource_limits: ResourceLimits | dict[str, Any] | None = None,
        checkpoint_interval_sec: int | None = None,
        max_retries: int | None = None,
        timeout_seconds: int | None = None,
        input_schema: dict[str, Any] | None = None,
    ) -> WorkloadConfig:
        """Set up a workload type.

        Args:
            workload_type: Its name; one config a type.
            description: For people.
            config_json: What handlers see as ``ctx.config``.
            resource_limits: ``cpu_cores``, ``memory_mb``, ``disk_mb`` of one attempt.
            checkpoint_interval_sec: How often a checkpoint is due, seconds.
            max_retries: Attempts that may fail by themselves before the workload does.
            timeout_seconds: Bound on one attempt's running time.
            input_schema: JSON Schema that each submission's ``input_params`` must fit.

        Raises:
            ConflictError: The type has a config already.
        """
        refuse_lossy(config_json, "config_json")
        body = without_none(
            workload_type=workload_type,
            description=description,
            config_json=config_json,
            resource_limits=resource_limits,
            checkpoint_interval_sec=checkpoint_interval_sec,
            max_retries=max_retries,
            timeout_seconds=timeout_seconds,
            input_schema=input_schema,
        )
        answer = await self._transport.call("POST", "/workload-configs", body)
        return msgspec.json.decode(answer, type=WorkloadConfig)

    async def types(self) -> list[WorkloadType]:
        """What can be submitted at this moment, by name: what live workers serve, and what has a config."""
        answer = await self._transport.call("GET", "/workload-types")
        return msgspec.json.decode(answer, type=_Types).workload_types

    async def list(self) -> Sequence[WorkloadConfig]:
        """All of the customer's configs."""
        return msgspec.json.decode(await self._transport.call("GET", "/workload-configs"), type=_Configs).configs

    async def get(self, config_id: str) -> WorkloadConfig:
        """One config."""
        answer = await self._transport.call("GET", f"/workload-configs/{quoted(config_id)}")
        return msgspec.json.decode(answer, type=WorkloadConfig)

    async def update(
        self,
        config_id: str,
        *,
        description: str | None = None,
        config_json: dict[str, Any] | None = None,
        resource_limits: ResourceLimits | dict[str, Any] | None = None,
        checkpoint_interval_sec: int | None = None,
        max_retries: int | None = None,
        timeout_seconds: int | None = None,
        input_schema: dict[str, Any] | None = None,
    ) -> WorkloadConfig:
        """Change the fields that are given; running workloads keep what they began with."""
        refuse_lossy(config_json, "config_json")
        body = without_none(
            description=description,
            config_json=config_json,
            resource_limits=resource_limits,
            checkpoint_interval_sec=checkpoint_interval_sec,
            max_retries=max_retries,
            timeout_seconds=timeout_seconds,
            input_schema=input_schema,
        )
        answer = await self._transport.call("PUT", f"/workload-configs/{quoted(config_id)}", body)
        return msgspec.json.decode(answer, type=WorkloadConfig)

    async def delete(self, config_id: str) -> None:
        """Remove a config.

        Raises:
            ConflictError: Workloads of its type exist.
        """
        await self._transport.call("DELETE", f"/workload-configs/{quoted(config_id)}")
