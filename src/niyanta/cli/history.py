"""The audit trail for people: a line for each move, in the colour of the state that it leads to.

Many checkpoints in a row share a line.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

from niyanta.cli.output import in_colour_of
from niyanta.cli.table import Column
from niyanta.client.models import AuditEvent

__all__ = ["HISTORY_COLUMNS", "history_rows"]

_SHOWN_AS_ONE = 3  # more checkpoints in a row share a line

HISTORY_COLUMNS = (
    Column("#", right=True),
    Column("after", right=True),
    Column("event"),
    Column("attempt", right=True),
    Column("by"),
    Column("details", folds=True),
)


def history_rows(audit: Sequence[AuditEvent]) -> Iterator[tuple[str, ...]]:
    """The whole trail, a row for each cell of `HISTORY_COLUMNS`."""
    begin = audit[0].timestamp if audit else None
    for run in _runs(audit):
        first, last = run[0], run[-1]
        yield (
            str(first.event_id) if len(run) == 1 else f"{first.event_id}–{last.event_id}",
            f"{(last.timestamp - begin).total_seconds():.1f} s" if begin else "",
            in_colour_of(
                first.details.get("to"),
                first.event_type.removeprefix("workload.") + (f" × {len(run)}" if len(run) > 1 else ""),
            ),
            str(first.details.get("attempt") or ""),
            str(first.details.get("worker_id") or last.actor_id),
            _details(first, last),
        )


def _runs(audit: Sequence[AuditEvent]) -> Iterator[list[AuditEvent]]:
    for _, same in itertools.groupby(audit, key=lambda event: event.event_type):
        run = list(same)
        if len(run) > _SHOWN_AS_ONE:
            yield run
        else:
            yield from ([event] for event in run)


def _details(first: AuditEvent, last: AuditEvent) -> str:
    parts: list[Any] = []
    sequences = [event.details.get("checkpoint_sequence") for event in (first, last)]
    if sequences[0]:
        parts.append(f"checkpoint {sequences[0]}" + (f" to {sequences[1]}" if sequences[1] != sequences[0] else ""))
    parts += [first.details[name] for name in ("reason", "error") if first.details.get(name)]
    return "; ".join(str(part) for part in parts)
