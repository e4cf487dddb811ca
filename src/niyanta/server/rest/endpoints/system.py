"""How the whole system is, for operators."""

from __future__ import annotations

from datetime import UTC, datetime

from starlette.responses import Response

from niyanta.server.observability.gauges import Reading
from niyanta.server.rest.bodies import system as bodies
from niyanta.server.rest.frame.operation import Access, Call, Operation
from niyanta.server.rest.frame.responses import json_response, timestamp
from niyanta.server.services.system import Share, SystemService
from niyanta.version import __version__

__all__ = ["SystemRoutes"]

_TAG = "Admin"


class SystemRoutes:
    """For keys with the admin role."""

    def __init__(self, system: SystemService, coordinator_id: str) -> None:
        self._system = system
        self._coordinator_id = coordinator_id

    @Operation(
        method="GET",
        path="/v1/admin/system",
        operation_id="getSystem",
        summary="Who leads, how the engines are, and what waits",
        tag=_TAG,
        access=Access.ADMIN,
        answer=bodies.SystemAnswer,
    )
    async def state(self, call: Call) -> Response:
        """As this coordinator sees it."""
        return json_response(self._answer(await self._system.state()))

    @Operation(
        method="GET",
        path="/v1/admin/fairness",
        operation_id="getFairness",
        summary="Each customer's share of the slots against what it deserves",
        tag=_TAG,
        access=Access.ADMIN,
        answer=bodies.FairnessAnswer,
    )
    async def fairness(self, call: Call) -> Response:
        """Of those with something under way."""
        slots, shares = await self._system.shares()
        return json_response(bodies.FairnessAnswer(slots, [_share(share) for share in shares]))

    def _answer(self, found: Reading) -> bodies.SystemAnswer:
        upkeep_at = None if found.upkeep_at is None else datetime.fromtimestamp(found.upkeep_at, UTC)
        return bodies.SystemAnswer(
            coordinator_id=self._coordinator_id,
            version=__version__,
            watchers=found.watchers,
            leader=bodies.LeaderState(found.leader, found.epoch, found.lanes, timestamp(upkeep_at)),
            database=bodies.DatabaseState(
                found.database_connected,
                found.database_failures,
                [bodies.PoolState(name, use.in_use, use.open, use.most) for name, use in found.pools.items()],
            ),
            broker=bodies.BrokerState(found.broker_connected, found.broker_interruptions),
            workers=dict(found.workers),
            slots=found.capacity,
            queues=[
                bodies.QueueState(
                    tier, queued, found.running.get(tier, 0), round(found.oldest_seconds.get(tier, 0.0), 3)
                )
                for tier, queued in found.queued.items()
            ],
            partitions=[
                bodies.PartitionState(table, round(ahead)) for table, ahead in found.partitions_ahead_seconds.items()
            ],
        )


def _share(share: Share) -> bodies.CustomerShare:
    customer = share.customer
    return bodies.CustomerShare(
        customer_id=customer.customer_id,
        name=customer.name,
        tier=customer.tier.value,
        weight=customer.weight,
        running=customer.running,
        queued=customer.queued,
        max_concurrent_workloads=customer.max_concurrent_workloads,
        deserved=round(share.deserved, 2),
    )
