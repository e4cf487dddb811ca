"""What every request needs of customers and workers, kept in memory and never older than about a second."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from weakref import WeakValueDictionary

import msgspec

from niyanta.domain.json_schema import Schema, SchemaError
from niyanta.domain.json_value import Json
from niyanta.domain.placement import WorkerView, eligible
from niyanta.domain.workers import WorkerStatus
from niyanta.errors import ServiceUnavailableError
from niyanta.server.moves.feed import ChangeFeed
from niyanta.server.store.clock import DatabaseClock
from niyanta.server.store.customers import Customer, CustomerStore
from niyanta.server.store.database import Database, Pool, answered_within
from niyanta.server.store.states import affinity_from_json
from niyanta.server.store.workers import StoredWorker, WorkerStore
from niyanta.wire.changes import Changed

__all__ = ["Directory", "Intake"]

log = logging.getLogger(__name__)

_REFRESH_SECONDS = 0.9
_LOOKUP_SECONDS = 5.0
_LONGEST_TRANSACTION_SECONDS = 30.0
_MOST_PLACEABLE = 10_000
_MOST_COMPILED = 1000
"""JSON Schemas kept ready for use."""


@dataclass(frozen=True, slots=True)
class Intake:
    """What a workload type takes as its input."""

    forms: Mapping[str, tuple[Schema, ...]]
    """By form of the input the schema of the handlers that take it, unless only these themselves can check it. A
    submission must fit one of them; with none nobody serves the type."""
    own: tuple[Schema, ...] = ()
    """The schema of the customer's config, which a submission must fit besides."""

    @property
    def checks(self) -> bool:
        """Whether there is any schema to check."""
        return bool(self.own) or any(self.forms.values())


_UNSERVED = Intake({})


class Directory:
    """Customers, their limits and configured types; live workers and what they serve.

    Attributes:
        clock: The database's, read with the rest.
        workers: Those that aren't dead, as last read.
    """

    def __init__(self, database: Database, customers: CustomerStore, feed: ChangeFeed) -> None:
        self._database = database
        self._store = customers
        self._feed = feed
        self.clock = DatabaseClock()
        self._workers = WorkerStore()
        self._customers: dict[str, Customer] = {}
        self._supported: dict[str, dict[str, Intake]] = {}
        self._lookups: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        """Held while it is read what a customer may submit."""
        self._compiled: dict[bytes, Schema | None] = {}
        self._idle: list[WorkerView] = []
        self._placeable: dict[tuple[str, int], bool] = {}
        self._favoured: frozenset[str] = frozenset()
        """Customers with workers that work for them, and not for everybody."""
        self._changes = 0
        self._changes_read = 0
        """Of these, how many had been told when the last reading began."""
        self._stale = asyncio.Event()
        self._reading = asyncio.Lock()
        """Held by whoever reads: of two at once the one that ends last needn't be the one that began last."""
        self._readings_begun = self._newest_reading = 0
        self._refreshed_at = 0.0
        self._read_at: float | None = None
        """When the last reading that succeeded began."""
        self.workers: list[StoredWorker] = []
        self._common: list[StoredWorker] = []
        """Those that work for everybody."""
        self._handlers: dict[str, Intake] = {}
        """The types that they serve."""
        feed.listeners.append(self._on_change)

    def _on_change(self, changed: Changed) -> None:
        if changed.fleet or changed.customers:
            self._changes += 1
            for customer_id in changed.customers:
                self._supported.pop(customer_id, None)
            self._stale.set()

    async def refresh(self) -> None:
        """Read the fleet, and of the customers those that have changed; what was committed before is there on return.

        Those who ask while somebody reads share the next reading.
        """
        asked = self._readings_begun
        async with self._reading:
            if self._newest_reading <= asked:
                await self._read()

    async def _read(self) -> None:
        self._readings_begun += 1
        self._refreshed_at = began = time.monotonic()
        changes = self._changes
        # A change bears the time at which it was made, and is seen when its transaction has ended.
        within = None if self._read_at is None else began - self._read_at + _LONGEST_TRANSACTION_SECONDS
        customers = await self._store.changed(within)
        async with self._database.connection(Pool.VITAL) as conn:
            workers = await self._workers.all(conn)
            await self.clock.read(conn)
        self._read_at, self._changes_read, self._newest_reading = began, changes, self._readings_begun
        self._customers.update((customer.customer_id, customer) for customer in customers)
        self._supported.clear()
        self.workers = [worker for worker in workers if worker.status is not WorkerStatus.DEAD]
        self._common = [worker for worker in self.workers if not worker.customers]
        self._favoured = frozenset().union(*(worker.customers for worker in self.workers))
        self._idle = self.views()
        self._placeable.clear()
        self._handlers = self._served(self._common)

    def workers_for(self, customer_id: str) -> list[StoredWorker]:
        """The live workers that work for a customer."""
        if customer_id not in self._favoured:
            return self._common
        return [worker for worker in self.workers if not worker.customers or customer_id in worker.customers]

    def _served(self, workers: Sequence[StoredWorker]) -> dict[str, Intake]:
        """The types that these serve. A drained worker's counts only where no other serves the type."""
        found: dict[str, dict[str, tuple[Schema, ...]]] = {}
        for is_draining in (False, True):
            others = set(found) if is_draining else set()
            for worker in workers:
                if (worker.status is WorkerStatus.DRAINING) is is_draining:
                    names = worker.forms
                    for handler in worker.handlers:
                        kind = handler.workload_type
                        if kind not in others:
                            found.setdefault(kind, {})[names[kind]] = self._compile(handler.input_schema)
        return {kind: Intake(forms) for kind, forms in found.items()}

    def served_for(self, customer_id: str) -> dict[str, Intake]:
        """What live workers take of a customer, by workload type. Not to be changed."""
        if customer_id not in self._favoured:
            return self._handlers
        return self._served(self.workers_for(customer_id))

    async def customer_changed(self, customer_id: str) -> None:
        """Tell every replica of a committed change of a customer or its keys; this one knows it on return."""
        self._feed.announce(customers=[customer_id])
        try:
            async with answered_within(_LOOKUP_SECONDS):
                await self.refresh()
        except ServiceUnavailableError:
            log.warning("directory.not_refreshed")

    async def refresh_if_older(self, seconds: float) -> None:
        """Read everything anew unless that was done just now, and nothing has changed since."""
        if time.monotonic() - self._refreshed_at > seconds or self._changes_read < self._changes:
            async with answered_within(_LOOKUP_SECONDS):
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
            read = await self._store.get(customer_id)
            found = self._customers.setdefault(customer_id, read)  # a refresh may have read a newer one meanwhile
        return found

    def known_customer(self, customer_id: str) -> Customer | None:
        """A customer's limits as last read. Its counts are those of that time."""
        return self._customers.get(customer_id)

    async def supported(self, customer_id: str) -> dict[str, Intake]:
        """Workload types that the customer may submit, each with what its input must be."""
        found = self._supported.get(customer_id)
        if found is None:
            lookup = self._lookups.setdefault(customer_id, asyncio.Lock())
            # The first reads for all who ask meanwhile.
            async with answered_within(_LOOKUP_SECONDS), lookup:
                found = self._supported.get(customer_id) or await self._read_supported(customer_id)
        return found

    async def _read_supported(self, customer_id: str) -> dict[str, Intake]:
        changes = self._changes
        configured = await self._store.configured_types(customer_id)
        found = dict(self.served_for(customer_id))  # not before: the fleet may have been read meanwhile
        for kind, text in configured.items():
            own = self._compile(None if text is None else msgspec.json.decode(text))
            found[kind] = replace(found.get(kind, _UNSERVED), own=own)
        if changes == self._changes:
            self._supported[customer_id] = found
        return found

    def _compile(self, source: Json) -> tuple[Schema, ...]:
        """A schema ready for use; none when there is none, or it is one that only the handler itself can check."""
        if source is None:
            return ()
        key = msgspec.json.encode(source)
        if key not in self._compiled:
            if len(self._compiled) >= _MOST_COMPILED:
                self._compiled.clear()
            try:
                self._compiled[key] = Schema(source)
            except SchemaError as exc:
                log.warning("directory.schema_not_used", extra={"error": str(exc)})
                self._compiled[key] = None
        schema = self._compiled[key]
        return () if schema is None else (schema,)

    def is_placeable(
        self,
        customer_id: str,
        placement_key: int,
        workload_type: str,
        affinity_json: str | None,
        misfits: str | None,
    ) -> bool:
        """Whether a live worker suits a placement class of a customer, leaving aside how busy it is."""
        key = customer_id if customer_id in self._favoured else "", placement_key
        found = self._placeable.get(key)
        if found is None:
            if len(self._placeable) >= _MOST_PLACEABLE:
                self._placeable.clear()
            rules = affinity_from_json(affinity_json, misfits)
            found = bool(eligible(self._idle, customer_id, workload_type, rules))
            self._placeable[key] = found
        return found

    def views(self) -> list[WorkerView]:
        """The live workers without their load."""
        return [
            WorkerView(
                worker_id=worker.worker_id,
                incarnation=worker.incarnation,
                capacity=worker.capacity,
                tags=worker.tags,
                types=frozenset(handler.workload_type for handler in worker.handlers),
                draining=worker.status is WorkerStatus.DRAINING,
                forms=worker.forms,
                customers=frozenset(worker.customers),
                since=worker.registered_at.timestamp(),
            )
            for worker in self.workers
        ]

    def runs_elsewhere(
        self, customer_id: str, worker_id: str, workload_type: str, affinity_json: str | None, misfits: str | None
    ) -> bool:
        """Whether another live worker suits a workload of the customer and takes new work, however busy it is."""
        others = (view for view in self._idle if view.worker_id != worker_id)
        return bool(eligible(others, customer_id, workload_type, affinity_from_json(affinity_json, misfits)))

    def takes_elsewhere(self, customer_id: str, workload_type: str, misfits: str) -> bool:
        """Whether a worker that works for the customer serves the type in a form that isn't among these."""
        intake = self.served_for(customer_id).get(workload_type)
        return intake is not None and not intake.forms.keys() <= set(misfits.split())
