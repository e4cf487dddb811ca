"""How the whole system is, for operators: who leads, the engines, the queue, and who gets their share."""

from __future__ import annotations

from dataclasses import dataclass

from niyanta.domain.shares import Wish, deserved
from niyanta.server.observability.gauges import Reading
from niyanta.server.services.occupancy import Occupancy
from niyanta.server.services.vitals import Vitals
from niyanta.server.store.customers import Customer, CustomerStore

__all__ = ["Share", "SystemService"]

_MOST_CUSTOMERS = 1000
"""Those with the most under way are shown; the others' share is small."""


@dataclass(frozen=True, slots=True)
class Share:
    """What a customer has of the slots, and what it deserves at the same moment."""

    customer: Customer
    deserved: float


class SystemService:
    """Reads it when it is asked.

    Args:
        vitals: What metrics show, too.
        customers: Say what waits and runs.
        occupancy: The live workers.
    """

    def __init__(self, vitals: Vitals, customers: CustomerStore, occupancy: Occupancy) -> None:
        self._vitals = vitals
        self._customers = customers
        self._occupancy = occupancy

    async def state(self) -> Reading:
        """How it is now; without the database, what is known without it."""
        return await self._vitals.read()

    async def shares(self) -> tuple[int, list[Share]]:
        """All slots of live workers, and the share of each customer with something under way, the largest first."""
        busy = await self._customers.busy(_MOST_CUSTOMERS)
        slots = sum(view.capacity for view in await self._occupancy.views() if not view.draining)
        wanted = {
            one.customer_id: Wish(one.weight, min(one.max_concurrent_workloads, one.running + one.queued))
            for one in busy
        }
        due = deserved(slots, wanted)
        return slots, [Share(one, due[one.customer_id]) for one in busy]
