"""The demo's proof doesn't hold when anything is amiss."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from niyanta import Status
from niyanta.cli.history import HISTORY_COLUMNS, history_rows
from niyanta.cli.proof import Evidence, Kill, Video, claims
from niyanta.cli.table import render
from niyanta.client.models import AuditEvent, LogLine, Workload

_BEGIN = datetime(2025, 10, 27, 12, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return _BEGIN + timedelta(seconds=seconds)


def event(number: int, seconds: float, name: str, **details: Any) -> AuditEvent:
    return AuditEvent(number, f"workload.{name}", at(seconds), "worker", "worker-a", details)


def good() -> Evidence:
    """Sound and segments 0 to 2 on one worker, killed at 20 s, segments 3 and 4 on another."""
    audit = [
        event(1, 0, "created"),
        event(2, 1, "scheduled", worker_id="worker-a"),
        event(3, 2, "started", worker_id="worker-a"),
        *(event(3 + n, 3 + 4 * n, "checkpoint_created", checkpoint_sequence=n) for n in (1, 2, 3, 4)),
        event(8, 30, "redistributed", worker_id="worker-a", reason="worker_died"),
        event(9, 30.1, "scheduled", worker_id="worker-b"),
        event(10, 30.2, "started", worker_id="worker-b", checkpoint_sequence=4),
        event(11, 35, "checkpoint_created", checkpoint_sequence=5),
        event(12, 40, "checkpoint_created", checkpoint_sequence=6),
        event(13, 41, "completed"),
    ]
    begun = [(5, 0), (9, 1), (13, 2), (19.5, 3), (31, 3), (36, 4)]
    result = {"frames": 100, "segments": 5, "segments_encoded": 5, "sound": "copied"}
    return Evidence(
        Kill(at(20), "worker-a", 60, "Processing frame 60/100"),
        Workload(workload_id="wl_1", status=Status.COMPLETED, result_data=result),
        audit,
        [LogLine(at(seconds), "INFO", f"encoding segment {number}") for seconds, number in begun],
        Video(320, 180, 100, 4.0, 4.02),
        4.0,
        True,
    )


def failing(evidence: Evidence) -> set[str]:
    return {claim.what for claim in claims(evidence) if not claim.holds}


def test_what_is_in_order_holds() -> None:
    lines = {claim.what: claim.value for claim in claims(good())}
    assert failing(good()) == set()
    assert lines["loss noticed after"] == "10.0 s"
    assert lines["running again after"] == "10.2 s on worker-b"
    assert lines["work done again"] == "1.0 s, since checkpoint 4"
    assert lines["segments encoded twice after an acknowledged checkpoint"] == (
        "0 (0 to 2 before the loss, 3 to 4 after)"
    )


@pytest.mark.parametrize(
    ("changes", "fails"),
    [
        ({"kill": None}, "a worker was killed"),
        ({"output": None}, "output decodes from end to end"),
        ({"output": Video(320, 180, 99, 4.0, 4.0)}, "output decodes from end to end"),
        ({"output": Video(320, 180, 100, 4.0, None)}, "output decodes from end to end"),
        ({"output": Video(320, 180, 100, 3.5, 3.5)}, "output is as long as the input"),
        ({"output": Video(320, 180, 100, 4.0, 3.0)}, "output is as long as the input"),
        ({"workload": Workload(workload_id="wl_1", status=Status.FAILED)}, "completed"),
        (
            {"logs": [LogLine(at(31), "INFO", "encoding segment 2")]},
            "segments encoded twice after an acknowledged checkpoint",
        ),
        ({"logs": []}, "segments encoded twice after an acknowledged checkpoint"),
        ({"audit": good().audit[:7]}, "carried on by another worker"),
        ({"audit": [*good().audit[:5], *good().audit[6:]]}, "history without a gap"),
    ],
)
def test_what_is_amiss_is_found(changes: dict[str, Any], fails: str) -> None:
    fields = {name: getattr(good(), name) for name in Evidence.__dataclass_fields__}
    assert fails in failing(Evidence(**{**fields, **changes}))


@pytest.mark.parametrize(
    ("number", "change", "fails"),
    [
        (10, {"checkpoint_sequence": 3}, "resumed from checkpoint"),
        (10, {"worker_id": "worker-a"}, "running again after"),
    ],
)
def test_a_wrong_start_is_found(number: int, change: dict[str, Any], fails: str) -> None:
    fields = {name: getattr(good(), name) for name in Evidence.__dataclass_fields__}
    audit = [
        msgspec.structs.replace(e, details={**e.details, **change}) if e.event_id == number else e
        for e in fields["audit"]
    ]
    assert fails in failing(Evidence(**{**fields, "audit": audit}))


def test_the_trail_is_shown_with_runs_of_checkpoints_on_one_line() -> None:
    shown = render(HISTORY_COLUMNS, history_rows(good().audit), width=80)
    assert "checkpoint_created × 4" in shown
    assert "4–7" in shown
    assert "checkpoint 1 to 4" in " ".join(shown.split())
    assert "worker_died" in shown
    assert shown.count("checkpoint_created") == 3
