"""The client without ``await``. Made by ``make generate`` from the asynchronous one; not edited by hand."""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from typing import Any

from niyanta.client.admin import AsyncAdmin
from niyanta.client.asynchronous import AsyncClient
from niyanta.client.configs import AsyncConfigs
from niyanta.client.customer import AsyncAccount
from niyanta.client.loop import LoopThread
from niyanta.client.models import (
    ApiKey,
    AuditEvent,
    BatchCancelled,
    BatchSubmitted,
    Customer,
    FleetWorker,
    LogLine,
    Page,
    ResourceLimits,
    Statistics,
    Update,
    Workload,
    WorkloadConfig,
)
from niyanta.client.workloads import AsyncWorkloads

__all__ = ["Client"]


class Workloads:
    """Calls on workloads."""

    def __init__(self, loop: LoopThread, asynchronous: AsyncWorkloads) -> None:
        self._loop = loop
        self._asynchronous = asynchronous

    def submit(
        self,
        workload_type: str,
        input_params: dict[str, Any],
        *,
        priority: int | None = None,
        affinity_rules: dict[str, Any] | None = None,
        timeout_seconds: int | None = None,
        idempotency_key: str | None = None,
    ) -> Workload:
        """Submit a workload.

        Args:
            workload_type: One that a worker serves or that has a config.
            input_params: A JSON object.
            priority: 0 to 1000, higher first; 10 when None.
            affinity_rules: ``hard_affinity``, ``soft_affinity``, ``anti_affinity``.
            timeout_seconds: Bound on one attempt's running time.
            idempotency_key: Made when None, so that a repeated request never makes a second workload.
        """
        return self._loop.run(
            self._asynchronous.submit(
                workload_type,
                input_params,
                priority=priority,
                affinity_rules=affinity_rules,
                timeout_seconds=timeout_seconds,
                idempotency_key=idempotency_key,
            )
        )

    def submit_batch(
        self, workloads: Sequence[dict[str, Any]], *, idempotency_key: str | None = None
    ) -> BatchSubmitted:
        """Submit 1 to 1,000 workloads at once; each has an outcome of its own.

        Args:
            workloads: Dicts with the fields of `submit`: ``workload_type``, ``input_params`` and so on.
            idempotency_key: For the batch as a whole; made when None.
        """
        return self._loop.run(self._asynchronous.submit_batch(workloads, idempotency_key=idempotency_key))

    def get(self, workload_id: str, *, wait_seconds: int | None = None, version: int | None = None) -> Workload:
        """One workload; with ``wait_seconds`` once its version has passed ``version``, or the time is up."""
        return self._loop.run(self._asynchronous.get(workload_id, wait_seconds=wait_seconds, version=version))

    def list(
        self,
        *,
        status: str | None = None,
        workload_type: str | None = None,
        limit: int | None = None,
        offset: int | None = None,
        order_by: str | None = None,
        order: str | None = None,
        cursor: str | None = None,
    ) -> Page:
        """One page of workloads."""
        return self._loop.run(
            self._asynchronous.list(
                status=status,
                workload_type=workload_type,
                limit=limit,
                offset=offset,
                order_by=order_by,
                order=order,
                cursor=cursor,
            )
        )

    def iterate(
        self,
        *,
        status: str | None = None,
        workload_type: str | None = None,
        order_by: str | None = None,
        order: str | None = None,
    ) -> Iterator[Workload]:
        """All workloads that fit, page by page; newest first unless an order is given."""
        return self._loop.iterate(
            self._asynchronous.iterate(status=status, workload_type=workload_type, order_by=order_by, order=order)
        )

    def cancel(self, workload_id: str, reason: str | None = None) -> Workload:
        """Cancel, at once and for good."""
        return self._loop.run(self._asynchronous.cancel(workload_id, reason))

    def cancel_batch(
        self,
        workload_ids: Sequence[str] | None = None,
        *,
        filter: dict[str, Any] | None = None,
        reason: str | None = None,
    ) -> BatchCancelled:
        """Cancel up to 1,000 workloads at once.

        Args:
            workload_ids: Which; or
            filter: any of ``status``, ``workload_type``, ``created_before``, ``created_after``; oldest first.
            reason: For the history.
        """
        return self._loop.run(self._asynchronous.cancel_batch(workload_ids, filter=filter, reason=reason))

    def pause(self, workload_id: str) -> Workload:
        """Checkpoint and stop; returns when the checkpoint is safe and the processes are gone."""
        return self._loop.run(self._asynchronous.pause(workload_id))

    def resume(self, workload_id: str) -> Workload:
        """Go on from the last checkpoint."""
        return self._loop.run(self._asynchronous.resume(workload_id))

    def logs(
        self,
        workload_id: str,
        *,
        limit: int | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> Sequence[LogLine]:
        """Log lines after ``since`` up to ``until``, oldest first; 100 unless a ``limit`` (to 1,000) is given."""
        return self._loop.run(self._asynchronous.logs(workload_id, limit=limit, since=since, until=until))

    def audit(self, workload_id: str) -> Sequence[AuditEvent]:
        """The workload's whole history, in order."""
        return self._loop.run(self._asynchronous.audit(workload_id))

    def watch(self, workload_id: str, *, logs: bool = False) -> Iterator[Update]:
        """What happens to it, in order, ending with its terminal state.

        Args:
            workload_id: Which.
            logs: Whether to give the log lines as well that it writes from now on.
        """
        return self._loop.iterate(self._asynchronous.watch(workload_id, logs=logs))

    def wait_for_completion(self, workload_id: str, timeout: float | None = None) -> Workload:
        """Wait until it is COMPLETED.

        Raises:
            WorkloadFailedError, WorkloadCancelledError: It ended so; they carry the workload.
            WaitTimeoutError: Not terminal after ``timeout`` seconds; it goes on.
        """
        return self._loop.run(self._asynchronous.wait_for_completion(workload_id, timeout))


class Configs:
    """Calls on workload configurations."""

    def __init__(self, loop: LoopThread, asynchronous: AsyncConfigs) -> None:
        self._loop = loop
        self._asynchronous = asynchronous

    def create(
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
        return self._loop.run(
            self._asynchronous.create(
                workload_type,
                description=description,
                config_json=config_json,
                resource_limits=resource_limits,
                checkpoint_interval_sec=checkpoint_interval_sec,
                max_retries=max_retries,
                timeout_seconds=timeout_seconds,
                input_schema=input_schema,
            )
        )

    def list(self) -> Sequence[WorkloadConfig]:
        """All of the customer's configs."""
        return self._loop.run(self._asynchronous.list())

    def get(self, config_id: str) -> WorkloadConfig:
        """One config."""
        return self._loop.run(self._asynchronous.get(config_id))

    def update(
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
        return self._loop.run(
            self._asynchronous.update(
                config_id,
                description=description,
                config_json=config_json,
                resource_limits=resource_limits,
                checkpoint_interval_sec=checkpoint_interval_sec,
                max_retries=max_retries,
                timeout_seconds=timeout_seconds,
                input_schema=input_schema,
            )
        )

    def delete(self, config_id: str) -> None:
        """Remove a config.

        Raises:
            ConflictError: Workloads of its type exist.
        """
        self._loop.run(self._asynchronous.delete(config_id))


class Account:
    """Calls on the customer's own account."""

    def __init__(self, loop: LoopThread, asynchronous: AsyncAccount) -> None:
        self._loop = loop
        self._asynchronous = asynchronous

    def get(self) -> Customer:
        """The account with its limits and what it uses now."""
        return self._loop.run(self._asynchronous.get())

    def stats(self, start_date: date | str, end_date: date | str, *, group_by: str | None = None) -> Statistics:
        """What was used between two days.

        Args:
            start_date: First day (UTC), a date or ``YYYY-MM-DD``.
            end_date: Last day, included.
            group_by: ``workload_type`` (when None), ``day`` or ``hour``.
        """
        return self._loop.run(self._asynchronous.stats(start_date, end_date, group_by=group_by))


class Admin:
    """Calls of operators."""

    def __init__(self, loop: LoopThread, asynchronous: AsyncAdmin) -> None:
        self._loop = loop
        self._asynchronous = asynchronous

    def workers(self, *, status: str | None = None) -> Sequence[FleetWorker]:
        """The registered workers; ``status`` is ``HEALTHY``, ``DRAINING`` or ``DEAD``."""
        return self._loop.run(self._asynchronous.workers(status=status))

    def drain_worker(self, worker_id: str) -> None:
        """Give it nothing new; what it runs finishes."""
        self._loop.run(self._asynchronous.drain_worker(worker_id))

    def remove_worker(self, worker_id: str) -> None:
        """Take everything away from it, at once."""
        self._loop.run(self._asynchronous.remove_worker(worker_id))

    def create_customer(
        self,
        name: str,
        *,
        customer_id: str | None = None,
        tier: str | None = None,
        limits: dict[str, Any] | None = None,
    ) -> Customer:
        """Add a customer.

        Args:
            name: For people.
            customer_id: ``cust_…``; made when None.
            tier: ``free``, ``standard``, ``premium`` or ``enterprise``.
            limits: Any of ``max_concurrent_workloads``, ``max_queue_depth``, ``rate_limit_per_sec``, ``burst``.
        """
        return self._loop.run(
            self._asynchronous.create_customer(name, customer_id=customer_id, tier=tier, limits=limits)
        )

    def customers(self) -> Iterator[Customer]:
        """All customers, page by page."""
        return self._loop.iterate(self._asynchronous.customers())

    def get_customer(self, customer_id: str) -> Customer:
        """One customer."""
        return self._loop.run(self._asynchronous.get_customer(customer_id))

    def update_customer(
        self,
        customer_id: str,
        *,
        name: str | None = None,
        tier: str | None = None,
        limits: dict[str, Any] | None = None,
        status: str | None = None,
    ) -> Customer:
        """Change what is given; ``status`` is ``active`` or ``suspended``. A limit of None is the tier's again."""
        return self._loop.run(
            self._asynchronous.update_customer(customer_id, name=name, tier=tier, limits=limits, status=status)
        )

    def create_key(
        self, customer_id: str, name: str, *, role: str | None = None, expires_at: datetime | None = None
    ) -> ApiKey:
        """Make an API key; its ``api_key`` is shown this once. ``role`` is ``customer`` (when None) or ``admin``."""
        return self._loop.run(self._asynchronous.create_key(customer_id, name, role=role, expires_at=expires_at))

    def keys(self, customer_id: str) -> Sequence[ApiKey]:
        """A customer's keys."""
        return self._loop.run(self._asynchronous.keys(customer_id))

    def revoke_key(self, customer_id: str, key_id: str) -> None:
        """End a key for ever."""
        self._loop.run(self._asynchronous.revoke_key(customer_id, key_id))


def _close(loop: LoopThread, client: AsyncClient) -> None:
    loop.run(client.close())
    loop.stop()


class Client:
    """A connection to Niyanta; arguments and attributes as for `AsyncClient`."""

    def __init__(
        self,
        api_key: str | None = None,
        base_url: str | None = None,
        timeout: float = 30.0,
        max_retries: int = 4,
    ) -> None:
        client = AsyncClient(api_key, base_url, timeout, max_retries)
        loop = LoopThread()
        self.workloads = Workloads(loop, client.workloads)
        self.configs = Configs(loop, client.configs)
        self.customer = Account(loop, client.customer)
        self.admin = Admin(loop, client.admin)
        self._repr = repr(client).removeprefix("Async")
        self._finalizer = weakref.finalize(self, _close, loop, client)

    def close(self) -> None:
        """Close the connections. Idempotent."""
        self._finalizer()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return self._repr
