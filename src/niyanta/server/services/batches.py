"""Cancelling many workloads with one call."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from niyanta.domain.limits import MAX_BATCH, MAX_ID_LENGTH, MAX_REASON_LENGTH, MAX_TYPE_LENGTH
from niyanta.domain.workload import Status, WorkloadState
from niyanta.errors import ApiError, InvalidInputError, ServiceUnavailableError
from niyanta.server.services.matching import narrowed
from niyanta.server.services.requests import Labels, check_labels
from niyanta.server.services.workloads import WorkloadService
from niyanta.server.store.customers import Identity
from niyanta.server.store.database import Database, retried
from niyanta.server.store.list_query import ListQuery
from niyanta.server.store.listing import ListingStore

__all__ = ["BatchService", "CancelBatchRequest", "CancelFilter", "Cancellations"]

_CHUNK = 250
"""Workloads cancelled in one transaction: a longer one would hold its locks for too long."""
_CANCELLABLE = [status.value for status in Status if not status.is_terminal]


class CancelFilter(msgspec.Struct, forbid_unknown_fields=True):
    """Which workloads to cancel; all that is given must hold. Ended ones are never meant."""

    status: Annotated[str, Meta(extra_json_schema={"enum": _CANCELLABLE})] | None = None
    workload_type: Annotated[str, Meta(min_length=1, max_length=MAX_TYPE_LENGTH)] | None = None
    created_before: datetime | None = None
    created_after: datetime | None = None
    labels: Labels | UnsetType = UNSET


class CancelBatchRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Which workloads to cancel: by id or by filter, not both."""

    workload_ids: (
        Annotated[
            list[Annotated[str, Meta(max_length=MAX_ID_LENGTH)]],
            Meta(min_length=1, max_length=MAX_BATCH, description="One named twice is cancelled, and answered, once."),
        ]
        | None
    ) = None
    filter: CancelFilter | None = None
    reason: Annotated[str, Meta(max_length=MAX_REASON_LENGTH)] | None = None


@dataclass(frozen=True, slots=True)
class Cancellations:
    """What became of each workload, in order, and whether the filter means more than one call takes."""

    outcomes: list[tuple[str, WorkloadState | ApiError]]
    has_more: bool = False


class BatchService:
    """Use cases on many workloads of one customer."""

    def __init__(self, database: Database, workloads: WorkloadService) -> None:
        self._database = database
        self._workloads = workloads
        self._listing = ListingStore()

    async def cancel(self, identity: Identity, request: CancelBatchRequest) -> Cancellations:
        """Cancel up to 1000 workloads, at once and for good; workers are told. Each has its own outcome.

        With a filter the oldest come first; a workload that ends meanwhile by itself, or is no longer of the status
        that the filter names, has an INVALID_STATE outcome.

        Raises:
            InvalidInputError: Neither ids nor a filter, both, or a filter that says nothing.
            ServiceUnavailableError: The database is away, and nothing was cancelled.
        """
        if (request.workload_ids is None) == (request.filter is None):
            raise InvalidInputError(
                "Give exactly one of workload_ids and filter",
                details={"field": "workload_ids", "allowed": ["workload_ids", "filter"]},
            )
        only = None
        if request.filter is not None:
            ids = await self._matching(identity, request.filter)
            only = Status(request.filter.status) if request.filter.status is not None else None
        else:
            ids = list(dict.fromkeys(request.workload_ids or ()))
        has_more = len(ids) > MAX_BATCH
        del ids[MAX_BATCH:]
        outcomes: list[tuple[str, WorkloadState | ApiError]] = []
        for first in range(0, len(ids), _CHUNK):
            chunk = ids[first : first + _CHUNK]
            try:
                found = await self._workloads.cancel_together(identity, chunk, request.reason, only=only)
            except ServiceUnavailableError as error:
                if not outcomes:
                    raise
                found = dict.fromkeys(chunk, error)
            outcomes += [(workload_id, found[workload_id]) for workload_id in chunk]
        return Cancellations(outcomes, has_more)

    @retried
    async def _matching(self, identity: Identity, wanted: CancelFilter) -> list[str]:
        if not any(getattr(wanted, name) for name in wanted.__struct_fields__):
            names = list(wanted.__struct_fields__)
            raise InvalidInputError(
                f"filter needs at least one of: {', '.join(names)}", details={"field": "filter", "allowed": names}
            )
        if wanted.status is not None and wanted.status not in _CANCELLABLE:
            raise InvalidInputError(
                f"filter.status must be one of: {', '.join(_CANCELLABLE)}",
                details={"field": "filter.status", "allowed": _CANCELLABLE},
            )
        labels = wanted.labels or {}
        check_labels("filter.labels", labels)
        everything = narrowed(
            ListQuery(identity.customer_id, None, wanted.workload_type, descending=False, limit=MAX_BATCH + 1),
            labels=labels.items(),
            created_after=wanted.created_after,
            created_before=wanted.created_before,
        )
        found: list[str] = []
        async with (
            self._database.connection(customer_id=identity.customer_id) as conn,
            # One snapshot: what goes from one status to another meanwhile must not be missed, nor found twice.
            conn.transaction(isolation="repeatable_read", readonly=True),
        ):
            for status in [wanted.status] if wanted.status else _CANCELLABLE:
                ids, _ = await self._listing.first_ids(conn, replace(everything, status=status))
                found += ids
        return sorted(found)[: MAX_BATCH + 1]
