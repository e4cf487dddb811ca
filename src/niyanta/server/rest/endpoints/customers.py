"""The customer's own account."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from starlette.responses import Response

from niyanta.server.rest.bodies import account as bodies
from niyanta.server.rest.endpoints.workloads import WORKLOAD_TYPE
from niyanta.server.rest.frame.operation import Call, Operation
from niyanta.server.rest.frame.parameters import Choice, Day
from niyanta.server.rest.frame.responses import json_response, number, timestamp
from niyanta.server.services.customers import GROUPINGS, CustomerService
from niyanta.server.store.customers import Customer
from niyanta.server.store.statistics import RunSeconds, TimeFigures

__all__ = ["CustomerRoutes", "customer_body"]

_TAG = "Customer"

START_DATE = Day("start_date", "The first day, UTC.")
END_DATE = Day("end_date", "The last day, UTC, included. By hour at most 366 days, else 3660.")
GROUP_BY = Choice("group_by", "What to break the figures down by.", GROUPINGS, GROUPINGS[0])


class CustomerRoutes:
    """Limits, usage, statistics."""

    def __init__(self, customers: CustomerService) -> None:
        self._customers = customers

    @Operation(
        method="GET",
        path="/v1/customer",
        operation_id="getCustomer",
        summary="The customer's account, limits and live usage",
        tag=_TAG,
        answer=bodies.AccountAnswer,
    )
    async def info(self, call: Call) -> Response:
        """Limits and what is used of them."""
        customer, today = await self._customers.info(call.identity)
        found = customer_body(customer)
        usage = bodies.CustomerUsage(customer.running, customer.queued, today)
        return json_response(bodies.AccountAnswer(**msgspec.structs.asdict(found), usage=usage))

    @Operation(
        method="GET",
        path="/v1/customer/stats",
        operation_id="getCustomerStats",
        summary="What became of the workloads of a period",
        description="Counted by the time of creation; days without workloads are left out.",
        tag=_TAG,
        query=(START_DATE, END_DATE, GROUP_BY, WORKLOAD_TYPE),
        answer=bodies.StatisticsAnswer,
    )
    async def statistics(self, call: Call) -> Response:
        """By type, day or hour."""
        first, last = START_DATE.read(call.request), END_DATE.read(call.request)
        group_by = GROUP_BY.read(call.request) or GROUPINGS[0]
        workload_type = WORKLOAD_TYPE.read(call.request)
        found = await self._customers.statistics(call.identity, first, last, group_by, workload_type)
        summary = found.summary
        answer = bodies.StatisticsAnswer(
            first.isoformat(),
            last.isoformat(),
            bodies.StatisticsSummary(
                summary.total,
                summary.completed,
                summary.failed,
                summary.cancelled,
                round(summary.total_execution_hours, 4),
                _run_seconds(summary.run_seconds),
            ),
        )
        if found.by_type is not None:
            answer.by_workload_type = [
                bodies.TypeStatistics(
                    one.workload_type,
                    one.count,
                    _rounded(one.avg_duration_seconds),
                    _rounded(one.failure_rate, 4),
                    _run_seconds(one.run_seconds),
                )
                for one in found.by_type
            ]
        if found.by_time is not None and group_by == "day":
            answer.by_day = _periods(found.by_time)
        elif found.by_time is not None:
            answer.by_hour = _periods(found.by_time)
        return json_response(answer)


def customer_body(customer: Customer) -> bodies.CustomerAnswer:
    """One customer, as operators and the customer see it."""
    return bodies.CustomerAnswer(
        customer_id=customer.customer_id,
        name=customer.name,
        tier=customer.tier.value,
        status=customer.status,
        limits=bodies.CustomerLimits(
            customer.max_concurrent_workloads,
            customer.max_queue_depth,
            number(customer.rate_limit_per_sec),
            customer.burst,
        ),
        created_at=timestamp(customer.created_at),
    )


def _run_seconds(found: RunSeconds) -> bodies.RunSeconds:
    return bodies.RunSeconds(
        round(found.used_seconds, 3), round(found.redone_seconds, 3), round(found.lost_seconds, 3)
    )


def _periods(figures: Sequence[TimeFigures]) -> list[bodies.PeriodStatistics]:
    return [
        bodies.PeriodStatistics(
            timestamp(one.start),
            one.count,
            one.completed,
            one.failed,
            one.cancelled,
            _rounded(one.avg_duration_seconds),
        )
        for one in figures
    ]


def _rounded(number: float | None, digits: int = 3) -> float | None:
    return None if number is None else round(number, digits)
