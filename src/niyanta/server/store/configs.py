"""Workload types' configurations in PostgreSQL."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any

import asyncpg
import msgspec

from niyanta.domain.limits import DEFAULT_CONFIG
from niyanta.errors import ConflictError, NotFoundError
from niyanta.server.store.queries import Connection, Queries

__all__ = ["ConfigFields", "ConfigStore", "WorkloadConfig"]


class ConfigFields(msgspec.Struct, frozen=True, kw_only=True):
    """What a request gives of a config; None: not given. Values have been checked."""

    description: str | None = None
    config_json: str | None = None
    """A JSON object, as text."""
    input_schema: str | None = None
    """A JSON Schema, as text."""
    cpu_cores: float | None = None
    memory_mb: int | None = None
    disk_mb: int | None = None
    checkpoint_interval_sec: int | None = None
    max_retries: int | None = None
    timeout_seconds: int | None = None
    """Bound on one attempt's running time."""


class WorkloadConfig(msgspec.Struct, frozen=True, kw_only=True):
    """A whole config."""

    customer_id: str
    config_id: str
    workload_type: str
    description: str
    config_json: str
    input_schema: str | None
    cpu_cores: float
    memory_mb: int
    disk_mb: int
    checkpoint_interval_sec: int
    max_retries: int
    timeout_seconds: int | None
    created_at: datetime
    updated_at: datetime


class _Use(msgspec.Struct, frozen=True, kw_only=True):
    in_use: bool
    workload_type: str


_DEFAULTS = {"description": "", **asdict(DEFAULT_CONFIG)}

_queries = Queries("configs.sql")
_create = _queries.sole("create", WorkloadConfig)
_all_configs = _queries.many("all_configs", WorkloadConfig)
_get = _queries.one("get", WorkloadConfig)
_update = _queries.one("update", WorkloadConfig)
_lock_submissions = _queries.many("lock_submissions", str)
_is_in_use = _queries.one("is_in_use", _Use)
_delete = _queries.run("delete")


def _given(fields: ConfigFields) -> dict[str, Any]:
    return msgspec.structs.asdict(fields)


class ConfigStore:
    """Queries on configs. A foreign config is as missing as one that never was."""

    async def create(
        self, conn: Connection, customer_id: str, config_id: str, workload_type: str, fields: ConfigFields
    ) -> WorkloadConfig:
        """Add a config, with defaults for what isn't given.

        Raises:
            ConflictError: The customer has a config for the type.
        """
        values = {name: _DEFAULTS.get(name) if value is None else value for name, value in _given(fields).items()}
        try:
            return await _create(
                conn, customer_id=customer_id, config_id=config_id, workload_type=workload_type, **values
            )
        except asyncpg.UniqueViolationError as exc:
            raise ConflictError(
                f"There is a config for workload type '{workload_type}' already; update that one",
                details={"field": "workload_type"},
            ) from exc

    async def page(
        self, conn: Connection, customer_id: str, *, after_id: str = "", most: int = 1000
    ) -> list[WorkloadConfig]:
        """Configs behind an id, oldest first."""
        return await _all_configs(conn, customer_id=customer_id, after_id=after_id, most=most)

    async def get(self, conn: Connection, customer_id: str, config_id: str) -> WorkloadConfig:
        """One config.

        Raises:
            NotFoundError: The customer has no such config.
        """
        config = await _get(conn, customer_id=customer_id, config_id=config_id)
        if config is None:
            raise _missing()
        return config

    async def update(
        self, conn: Connection, customer_id: str, config_id: str, fields: ConfigFields
    ) -> WorkloadConfig:
        """Change what is given, keep the rest; workloads assigned before keep what they had.

        Raises:
            NotFoundError: The customer has no such config.
        """
        config = await _update(conn, customer_id=customer_id, config_id=config_id, **_given(fields))
        if config is None:
            raise _missing()
        return config

    async def delete(self, conn: Connection, customer_id: str, config_id: str) -> None:
        """Delete a config that no workload belongs to. Needs a transaction.

        Submissions of the customer wait meanwhile: one that came before is seen here, one that comes after finds
        the config gone.

        Raises:
            NotFoundError: The customer has no such config.
            ConflictError: The customer has workloads of the type, ended ones included.
        """
        await _lock_submissions(conn, customer_id=customer_id)
        # In a statement of its own, so that it sees what was committed while this waited for the lock.
        use = await _is_in_use(conn, customer_id=customer_id, config_id=config_id)
        if use is None:
            raise _missing()
        if use.in_use:
            raise ConflictError(
                f"There are workloads of type '{use.workload_type}'; a config with workloads can't be deleted",
                details={"workload_type": use.workload_type},
            )
        await _delete(conn, customer_id=customer_id, config_id=config_id)


def _missing() -> NotFoundError:
    return NotFoundError("There is no such workload config")
