"""Why a workload stands where it does: what it waits for, its place and its prospects, where it runs, how it ended.

What is in memory tells most of it, about a second old. Of the database it asks, at the cost of an index each, the
workload, its place among its customer's own, who leads, and the last line of its history.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from niyanta.domain.customers import CustomerStatus
from niyanta.domain.explanation import (
    Reason,
    back_off_reason,
    leader_reason,
    limit_reason,
    placement_reason,
    smallest_change,
    suspension_reason,
    turn_reason,
)
from niyanta.domain.workload import Status
from niyanta.server.directory import Directory
from niyanta.server.services.estimator import Estimator, Prospect
from niyanta.server.services.occupancy import Occupancy
from niyanta.server.services.standing import standing_reason
from niyanta.server.store.audit_events import AuditStore, StoredAuditEvent
from niyanta.server.store.database import Database, retried
from niyanta.server.store.lease import LeaseStore, StoredLease
from niyanta.server.store.partitions import Lifetime
from niyanta.server.store.states import affinity_from_json
from niyanta.server.store.stored_workload import StoredWorkload

__all__ = ["Explainer", "Explanation"]


@dataclass(frozen=True, slots=True)
class Explanation:
    """All that is to be said."""

    workload: StoredWorkload
    reasons: list[Reason]
    """What keeps it waiting comes first; at least one."""
    prospect: Prospect | None
    """Of one that waits in the queue."""
    completion: tuple[datetime | None, datetime | None]
    """By when half of such running workloads complete, and by when nine of ten do."""

    @property
    def smallest_change(self) -> str | None:
        """The least that would move it; None when it has only to wait, or nothing has to change."""
        return smallest_change(self.reasons)


class Explainer:
    """Explains workloads of all customers."""

    def __init__(self, database: Database, directory: Directory, occupancy: Occupancy, estimator: Estimator) -> None:
        self._database = database
        self._directory = directory
        self._occupancy = occupancy
        self._estimator = estimator
        self._audit = AuditStore()
        self._lease = LeaseStore()

    async def explain(self, workload: StoredWorkload) -> Explanation:
        """All reasons, the place and the prospects of a workload in any state."""
        if not workload.status.is_queued:
            completion = (
                await self._estimator.completion(workload),
                await self._estimator.completion(workload, late=True),
            )
            last = await self._last_event(workload) if workload.status.is_terminal else None
            return Explanation(workload, [standing_reason(workload, last)], None, completion)
        reasons = await self._obstacles(workload)
        lease = await self._leads()
        if (reason := leader_reason(held=lease.held, seconds=-lease.left_seconds)) is not None:
            reasons.append(reason)
        prospect = None
        if workload.ready:
            prospect = await self._estimator.prospect(workload)
            if prospect.ahead or not reasons:
                reasons.append(turn_reason(prospect.ahead, is_bounded=prospect.is_bounded))
        return Explanation(workload, reasons, prospect, (None, None))

    async def pending_reason(self, workload: StoredWorkload) -> str | None:
        """Why a queued workload hasn't started, in short; None for any other."""
        if not workload.status.is_queued:
            return None
        reasons = await self._obstacles(workload)
        return (reasons[0] if reasons else turn_reason(0, is_bounded=False)).summary

    async def _obstacles(self, workload: StoredWorkload) -> list[Reason]:
        """What keeps a queued workload from its worker, as far as memory tells, the first that does first."""
        found: list[Reason | None] = []
        if workload.available_at is not None and not workload.ready:
            left = (workload.available_at - workload.db_now).total_seconds()
            taken_back = workload.status is Status.PENDING
            found.append(back_off_reason(left, workload.retry_count, workload.error_message, taken_back=taken_back))
        customer = await self._directory.customer(workload.customer_id)
        if customer.status is not CustomerStatus.ACTIVE:
            found.append(suspension_reason())
        rules = affinity_from_json(workload.affinity_rules, workload.misfits)
        views = [view for view in await self._occupancy.views() if view.serves(customer.customer_id)]
        found.append(placement_reason(views, workload.workload_type, rules))
        usage = await self._estimator.know(workload.customer_id)
        if usage is not None:
            found.append(limit_reason(usage.running, customer.max_concurrent_workloads))
        return [reason for reason in found if reason is not None]

    @retried
    async def _leads(self) -> StoredLease:
        async with self._database.connection() as conn:
            return await self._lease.current(conn)

    @retried
    async def _last_event(self, workload: StoredWorkload) -> StoredAuditEvent | None:
        async with self._database.connection(customer_id=workload.customer_id) as conn:
            found = await self._audit.page(
                conn,
                workload.customer_id,
                workload.workload_id,
                Lifetime.of(workload),
                after=workload.event_count - 1,
                most=1,
            )
        return found[0] if found else None
