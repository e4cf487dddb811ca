"""What a run leaves behind, as values that the checker reads. All times are seconds of the machine's monotonic clock.

A call whose answer was lost has an *unknown* outcome: what it asked for may have happened or not, and the checker
accepts both. Nothing in a history is corrected afterwards.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

__all__ = [
    "Call",
    "Fault",
    "History",
    "Move",
    "Row",
    "Sample",
    "Seen",
    "Trace",
    "Violation",
    "read_traces",
]


@dataclass(frozen=True, slots=True)
class Call:
    """One request of a client: when it was sent, when its answer came, and what that was."""

    customer_id: str
    operation: str
    """``submit``, ``get``, ``foreign``, ``cancel``, ``pause``, ``resume`` or ``probe``."""
    replica: int
    invoked: float
    returned: float
    outcome: str
    """``ok``, ``refused`` (for certain nothing happened) or ``unknown``."""
    http_status: int = 0
    """0 where no answer came."""
    code: str = ""
    """The error's code, or what the link said."""
    workload_id: str | None = None
    key: str | None = None
    """The idempotency key of a submission; also in its input as ``token``."""
    version: int | None = None
    status: str | None = None
    generation: int | None = None
    progress: int | None = None
    sequence: int | None = None
    """The checkpoint's."""


@dataclass(frozen=True, slots=True)
class Trace:
    """A line that a handler wrote about itself, with its own hands, beside all that the service knows."""

    workload_id: str
    attempt: int
    at: float
    what: str
    """``start``, ``step``, ``saved`` (a checkpoint was acknowledged), ``mishap`` or ``stop``."""
    worker_id: str
    pid: int
    step: int
    sequence: int = 0
    mishap: str = ""
    exclusive: bool = False


@dataclass(frozen=True, slots=True)
class Move:
    """An audit event as it is stored."""

    customer_id: str
    workload_id: str
    event_id: int
    event: str
    at: float
    source: str | None
    target: str | None
    attempt: int
    version: int
    worker_id: str | None = None
    sequence: int = 0
    reason: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """A workload as it is stored when all is over."""

    customer_id: str
    workload_id: str
    workload_type: str
    status: str
    version: int
    generation: int
    event_count: int
    checkpoint_sequence: int
    token: str | None = None
    mishap: str = ""


@dataclass(frozen=True, slots=True)
class Seen:
    """A message of one WebSocket; ``stream`` numbers the connections."""

    stream: int
    workload_id: str
    at: float
    opened: float
    type: str
    version: int | None
    status: str | None


@dataclass(frozen=True, slots=True)
class Sample:
    """What one snapshot of the database held of a customer or of a worker."""

    at: float
    subject: str
    held: int
    most_held: int
    untried: int = 0
    """Of a customer: queued and never assigned, so that they were all admitted one after another."""
    most_queued: int = 0
    counted_held: int | None = None
    """What the customer's own counters said in the same snapshot."""
    queued: int = 0
    counted_queued: int | None = None


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault that was injected, from its beginning to its end."""

    kind: str
    target: str
    began: float
    ended: float


@dataclass(frozen=True, slots=True)
class Violation:
    """A promise that was broken, with the least of the history that shows it."""

    promise: str
    says: str
    shown_by: list[Any]

    def as_json(self) -> dict[str, Any]:
        """As the report prints it."""
        shown = [asdict(each) if hasattr(each, "__dataclass_fields__") else each for each in self.shown_by]
        return {"promise": self.promise, "says": self.says, "history": shown}


@dataclass
class History:
    """Everything that was recorded in one run.

    Attributes:
        worker_lease_seconds: How long a worker may be silent.
        pace: How many times slower than an idle machine this one was; deadlines are stretched by it.
        ended: When the faults were over.
    """

    worker_lease_seconds: float = 10.0
    pace: float = 1.0
    ended: float = float("inf")
    calls: list[Call] = field(default_factory=list)
    traces: list[Trace] = field(default_factory=list)
    moves: list[Move] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    logged: dict[tuple[str, int], list[int]] = field(default_factory=dict)
    """Steps that the stored log tells of, in the order of its sequence, by workload and attempt."""

    def write(self, path: Path) -> None:
        """Keep it, one value a line, for whoever wants to know more than a report shows."""
        everything: list[Any] = [*self.calls, *self.traces, *self.moves, *self.rows, *self.seen, *self.faults]
        with path.open("w") as file:
            for each in everything:
                file.write(json.dumps({"record": type(each).__name__, **asdict(each)}) + "\n")

    def moves_by_workload(self) -> dict[str, list[Move]]:
        """The moves of each workload in the order of their numbers."""
        found: dict[str, list[Move]] = defaultdict(list)
        for move in sorted(self.moves, key=lambda move: (move.workload_id, move.event_id)):
            found[move.workload_id].append(move)
        return found

    def traces_by_attempt(self) -> dict[str, dict[int, list[Trace]]]:
        """The lines of each attempt of each workload in the order of time."""
        found: dict[str, dict[int, list[Trace]]] = defaultdict(lambda: defaultdict(list))
        for trace in sorted(self.traces, key=lambda trace: trace.at):
            found[trace.workload_id][trace.attempt].append(trace)
        return found


def read_traces(folder: Path) -> Iterable[Trace]:
    """What the handlers wrote; a line that its writer's death cut short is left out."""
    for path in folder.iterdir():
        for line in path.read_bytes().split(b"\n"):
            if line.endswith(b"}"):
                yield Trace(**json.loads(line))
