"""What every request needs of customers and workers, kept in memory and never older than about a second."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

import msgspec

from niyanta.domain.placement import WorkerView
from niyanta.errors import ServiceUnavailableError
from niyanta.server.coordinator.changes import ChangeFeed
from niyanta.server.store.customers import Customer, CustomerStore
from niyanta.server.store.database import Database
from niyanta.server.store.fleet import WorkerRow, WorkerStore
from niyanta.wire.messages import Changed

__all__ = ["Directory"]

log = logging.getLogger(__name__)

_REFRESH_SECONDS = 0.9


class Directory:
    """Customers, their limits and configured types; live workers and what they serve."""

    def __init__(self, database: Database, customers: CustomerStore, feed: ChangeFeed) -> None:
        self._database = database
        self._store = customers
        self._feed = feed
        self._workers = WorkerStore()
        self._customers: dict[str, Customer] = {}
        self._configured: dict[str, dict[str, str | None]] = {}
        self._supported: dict[str, dict[str, list[Any]]] = {}
        self._stale = asyncio.Event()
        self._refreshed_at = 0.0
        self.workers: list[WorkerRow] = []
        self._schemas: dict[str, dict[str, Any] | None] = {}
        feed.listeners.append(self._on_change)

    def _on_change(self, changed: Changed) -> None:
        if changed.fleet or changed.customers:
            for customer_id in changed.customers:
                self._configured.pop(customer_id, None)
                self._supported.pop(customer_id, None)
            self._stale.set()

    async def refresh(self) -> None:
        """Read everything anew."""
        self._refreshed_at = time.monotonic()
        customers = await self._store.all()
        async with self._database.connection("vital") as conn:
            workers = await self._workers.all(conn)
        self._customers = {customer.customer_id: customer for customer in customers}
        self._configured.clear()
        self._supported.clear()
        self.workers = [worker for worker in workers if worker.status != "DEAD"]
        self._schemas = {
            handler.workload_type: handler.input_schema for worker in self.workers for handler in worker.handlers
        }

    async def customer_changed(self, customer_id: str) -> None:
        """Tell every replica of a committed change of a customer or its keys; this one knows it on return."""
        self._feed.announce(customers=[customer_id])
        try:
            await self.refresh()
        except ServiceUnavailableError:
            log.warning("directory.not_refreshed")

    async def refresh_if_older(self, seconds: float) -> None:
        """Read everything anew unless that was done just now."""
        if time.monotonic() - self._refreshed_at > seconds:
            await self.refresh()

    async def run(self) -> None:
        """Stay fresh until cancelled."""
        while True:
            try:
                async with asyncio.timeout(_REFRESH_SECONDS):
                    await self._stale.wait()
            except TimeoutError:
                pass
            self._stale.clear()
            try:
                await self.refresh()
            except ServiceUnavailableError:
                log.warning("directory.not_refreshed")

    async def customer(self, customer_id: str) -> Customer:
        """A customer's limits; read from the database when it is new."""
        found = self._customers.get(customer_id)
        if found is None:
            found = self._customers[customer_id] = await self._store.get(customer_id)
        return found

    def known_customer(self, customer_id: str) -> Customer | None:
        """A customer's limits as last read."""
        return self._customers.get(customer_id)

    async def schemas(self, customer_id: str) -> dict[str, list[Any]]:
        """Supported workload types, each with the JSON Schemas that its input must fit."""
        found = self._supported.get(customer_id)
        if found is not None:
            return found
        configured = self._configured.get(customer_id)
        if configured is None:
            configured = self._configured[customer_id] = await self._store.configured_types(customer_id)
        found = {kind: [schema] if schema is not None else [] for kind, schema in self._schemas.items()}
        for kind, text in configured.items():
            found.setdefault(kind, [])
            if text is not None:
                found[kind].append(msgspec.json.decode(text))
        self._supported[customer_id] = found
        return found

    def views(self) -> list[WorkerView]:
        """The live workers without their load."""
        return [
            WorkerView(
                row.worker_id,
                row.incarnation,
                row.capacity,
                row.tags,
                frozenset(handler.workload_type for handler in row.handlers),
                row.status == "DRAINING",
            )
            for row in self.workers
        ]
