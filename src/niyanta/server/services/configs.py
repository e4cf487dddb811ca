"""What customers set up for their workload types."""

from __future__ import annotations

import asyncio
import secrets
import time
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from niyanta.domain.ids import WORKLOAD_TYPE_PATTERN, make_id
from niyanta.domain.json_schema import Schema, SchemaError, TooExpensiveError
from niyanta.domain.limits import (
    DEFAULT_CONFIG,
    MAX_CHECKPOINT_INTERVAL_SECONDS,
    MAX_CONFIG_BYTES,
    MAX_CPU_CORES,
    MAX_DESCRIPTION_LENGTH,
    MAX_DISK_MB,
    MAX_MEMORY_MB,
    MAX_RETRIES,
    MAX_SCHEMA_BYTES,
    MAX_TIMEOUT_SECONDS,
)
from niyanta.errors import InvalidInputError
from niyanta.server.moves.feed import ChangeFeed
from niyanta.server.store.configs import ConfigFields, ConfigStore, WorkloadConfig
from niyanta.server.store.customers import Identity
from niyanta.server.store.database import Database, retried

__all__ = ["ConfigService", "CreateConfigRequest", "ResourceLimitsRequest", "UpdateConfigRequest"]


class ResourceLimitsRequest(msgspec.Struct, forbid_unknown_fields=True):
    """What one attempt may use; what is left out keeps its value."""

    cpu_cores: (
        Annotated[float, Meta(gt=0, le=MAX_CPU_CORES, extra_json_schema={"default": DEFAULT_CONFIG.cpu_cores})] | None
    ) = None
    memory_mb: (
        Annotated[int, Meta(ge=1, le=MAX_MEMORY_MB, extra_json_schema={"default": DEFAULT_CONFIG.memory_mb})] | None
    ) = None
    disk_mb: (
        Annotated[int, Meta(ge=1, le=MAX_DISK_MB, extra_json_schema={"default": DEFAULT_CONFIG.disk_mb})] | None
    ) = None


_JsonSchema = Annotated[
    dict[str, Any],
    Meta(
        description="JSON Schema (2020-12) that each submission's input_params must fit; $ref within itself only.",
        extra_json_schema={"additionalProperties": True},
    ),
]
_ConfigJson = Annotated[
    dict[str, Any], Meta(description="What handlers see as their config.", extra_json_schema={"default": {}})
]
_Description = Annotated[str, Meta(max_length=MAX_DESCRIPTION_LENGTH)]
_Interval = Annotated[
    int,
    Meta(
        description="How often a checkpoint is due.",
        ge=1,
        le=MAX_CHECKPOINT_INTERVAL_SECONDS,
        extra_json_schema={"default": DEFAULT_CONFIG.checkpoint_interval_sec},
    ),
]
_Retries = Annotated[
    int,
    Meta(
        description="Attempts that may fail by themselves before the workload does.",
        ge=0,
        le=MAX_RETRIES,
        extra_json_schema={"default": DEFAULT_CONFIG.max_retries},
    ),
]
_Timeout = Annotated[int, Meta(description="Bounds one attempt's running time.", ge=1, le=MAX_TIMEOUT_SECONDS)]
_TypeName = Annotated[
    str,
    Meta(examples=["video_transcoding"], extra_json_schema={"pattern": f"^{WORKLOAD_TYPE_PATTERN.pattern}$"}),
]


class CreateConfigRequest(msgspec.Struct, forbid_unknown_fields=True):
    """A workload type to set up; what is left out has its default."""

    workload_type: _TypeName
    description: _Description | None = None
    config_json: _ConfigJson | None = None
    resource_limits: ResourceLimitsRequest | None = None
    checkpoint_interval_sec: _Interval | None = None
    max_retries: _Retries | None = None
    timeout_seconds: _Timeout | None = None
    input_schema: _JsonSchema | None = None


class UpdateConfigRequest(msgspec.Struct, forbid_unknown_fields=True):
    """What to change; what is left out, or null, stays."""

    workload_type: Annotated[str, Meta(description="Can't be changed; may be repeated.")] | None = None
    description: _Description | None = None
    config_json: _ConfigJson | None = None
    resource_limits: ResourceLimitsRequest | None = None
    checkpoint_interval_sec: _Interval | None = None
    max_retries: _Retries | None = None
    timeout_seconds: _Timeout | None = None
    input_schema: _JsonSchema | None = None


class ConfigService:
    """Use cases on one customer's configs. A change is known to this replica at once, to the others in a second."""

    def __init__(self, database: Database, feed: ChangeFeed) -> None:
        self._database = database
        self._feed = feed
        self._store = ConfigStore()

    async def create(self, identity: Identity, request: CreateConfigRequest) -> WorkloadConfig:
        """Set up a workload type.

        Raises:
            InvalidInputError: Says which field is wrong and what is allowed.
            ConflictError: The type has a config.
        """
        if not WORKLOAD_TYPE_PATTERN.fullmatch(request.workload_type):
            raise InvalidInputError(
                "workload_type must have 1 to 100 letters, digits, '_', '.' or '-', and begin with a letter or digit",
                details={"field": "workload_type", "allowed": WORKLOAD_TYPE_PATTERN.pattern},
            )
        created = await self._store_new(identity.customer_id, request.workload_type, await _checked(request))
        self._feed.announce(customers=[identity.customer_id])
        return created

    @retried
    async def _store_new(self, customer_id: str, workload_type: str, fields: ConfigFields) -> WorkloadConfig:
        config_id = make_id("wlcfg_", time.time_ns() // 1_000_000, secrets.randbits(80))
        async with self._database.transaction(customer_id=customer_id) as conn:
            return await self._store.create(conn, customer_id, config_id, workload_type, fields)

    @retried
    async def page(self, identity: Identity, *, after_id: str, limit: int) -> tuple[list[WorkloadConfig], bool]:
        """Configs behind an id, oldest first, and whether there are more."""
        async with self._database.connection(customer_id=identity.customer_id) as conn:
            found = await self._store.page(conn, identity.customer_id, after_id=after_id, most=limit + 1)
        return found[:limit], len(found) > limit

    @retried
    async def get(self, identity: Identity, config_id: str) -> WorkloadConfig:
        """One config.

        Raises:
            NotFoundError: The customer has no such config.
        """
        async with self._database.connection(customer_id=identity.customer_id) as conn:
            return await self._store.get(conn, identity.customer_id, config_id)

    async def update(self, identity: Identity, config_id: str, request: UpdateConfigRequest) -> WorkloadConfig:
        """Change what is given. Workloads that were assigned before keep what they had.

        Raises:
            NotFoundError: The customer has no such config.
            InvalidInputError: Says which field is wrong and what is allowed.
        """
        present = await self.get(identity, config_id)
        if request.workload_type not in (None, present.workload_type):
            raise InvalidInputError(
                "workload_type can't be changed; create another config",
                details={"field": "workload_type", "allowed": [present.workload_type]},
            )
        updated = await self._store_changed(identity.customer_id, config_id, await _checked(request))
        self._feed.announce(customers=[identity.customer_id])
        return updated

    @retried
    async def _store_changed(self, customer_id: str, config_id: str, fields: ConfigFields) -> WorkloadConfig:
        async with self._database.connection(customer_id=customer_id) as conn:
            return await self._store.update(conn, customer_id, config_id, fields)

    @retried
    async def delete(self, identity: Identity, config_id: str) -> None:
        """Delete a config that no workload belongs to.

        Raises:
            NotFoundError: The customer has no such config.
            ConflictError: There are workloads of the type, ended ones included.
        """
        async with self._database.transaction(customer_id=identity.customer_id) as conn:
            await self._store.delete(conn, identity.customer_id, config_id)
        self._feed.announce(customers=[identity.customer_id])


async def _checked(request: CreateConfigRequest | UpdateConfigRequest) -> ConfigFields:
    config_json = _encoded(request.config_json, "config_json", MAX_CONFIG_BYTES)
    input_schema = _encoded(request.input_schema, "input_schema", MAX_SCHEMA_BYTES)
    if request.input_schema is not None:
        # In a thread: a schema with many patterns takes some tens of milliseconds.
        await asyncio.to_thread(_check_schema, request.input_schema)
    limits = request.resource_limits or ResourceLimitsRequest()
    return ConfigFields(
        description=request.description,
        config_json=config_json,
        input_schema=input_schema,
        cpu_cores=limits.cpu_cores,
        memory_mb=limits.memory_mb,
        disk_mb=limits.disk_mb,
        checkpoint_interval_sec=request.checkpoint_interval_sec,
        max_retries=request.max_retries,
        timeout_seconds=request.timeout_seconds,
    )


def _encoded(value: dict[str, Any] | None, field: str, most: int) -> str | None:
    if value is None:
        return None
    encoded = msgspec.json.encode(value)
    if len(encoded) > most:
        raise InvalidInputError(
            f"{field} has {len(encoded)} bytes as JSON; {most} are allowed",
            details={"field": field, "max_bytes": most},
        )
    return encoded.decode()


def _check_schema(source: dict[str, Any]) -> None:
    try:
        Schema(source).problems({})
    except SchemaError as exc:
        raise InvalidInputError(
            f"input_schema can't be used: {exc}",
            details={"field": "input_schema", "pointer": exc.pointer, "allowed": "JSON Schema 2020-12"},
        ) from exc
    except TooExpensiveError as exc:
        raise InvalidInputError(
            f"input_schema can't be used: {exc}",
            details={"field": "input_schema", "allowed": "references that come to an end"},
        ) from exc
