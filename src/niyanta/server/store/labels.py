"""Labels in PostgreSQL (ADR 0033): what lists find workloads by, beside their status, type and time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from niyanta.domain.workload import Key
from niyanta.server.store.queries import Connection, Queries

__all__ = ["LabelStore"]

_queries = Queries("labels.sql")
_add_labels = _queries.run("add_labels")
_drop_labels = _queries.run("drop_labels")


class LabelStore:
    """Queries on labels. Every method takes the connection."""

    async def add(self, conn: Connection, labelled: Sequence[tuple[Key, Mapping[str, str]]]) -> None:
        """Keep the labels of new workloads, in the transaction that stores them."""
        rows = [(workload, label) for workload, labels in labelled for label in labels.items()]
        await _add_labels(
            conn,
            customer_ids=[workload[0] for workload, _ in rows],
            workload_ids=[workload[1] for workload, _ in rows],
            keys=[label[0] for _, label in rows],
            values=[label[1] for _, label in rows],
        )

    async def replace(self, conn: Connection, workload: Key, labels: Mapping[str, str]) -> None:
        """Give a workload these labels in place of those that it has, in the transaction that changes it."""
        await _drop_labels(conn, customer_id=workload[0], workload_id=workload[1])
        if labels:
            await self.add(conn, [(workload, labels)])
