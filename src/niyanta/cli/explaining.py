"""``niyanta explain``: why a workload waits, for people."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import click

from niyanta.cli.output import api_command, coloured, echo, echo_json
from niyanta.client import Client
from niyanta.client.explanations import Explanation, TimeEstimate
from niyanta.client.status import Status

__all__ = ["COMMANDS"]

_WAITS = (Status.PENDING, Status.REDISTRIBUTING)

COMMANDS: dict[str, click.Command] = {}


def _explain(client: Client, as_json: bool, workload_id: str) -> None:
    """Say why a workload waits and what would start it; or where it runs, or how it ended."""
    found = client.workloads.explain(workload_id)
    if as_json:
        echo_json(found)
        return
    for line in _lines(found):
        echo(line)


COMMANDS["explain"] = api_command("explain")(click.argument("workload_id")(_explain))


def _lines(found: Explanation) -> Iterator[str]:
    yield f"{found.workload_id} is {coloured(found.status)}"
    for reason in found.reasons:
        yield f"  • {reason.message}"
    if found.position is not None:
        place = f"{found.position.ahead:,} or more" if found.position.is_bounded else f"{found.position.ahead}"
        yield f"{_name('position')}{place} before it"
    now = found.explained_at
    yield from _estimate("starts", found.estimated_start, now)
    if found.accuracy is not None and found.estimated_start is not None:
        accuracy = found.accuracy
        yield (
            f"{_name('')}(the last {accuracy.samples} estimates: half came true within {accuracy.p50:.1f} times "
            f"what they said, nine of ten within {accuracy.p90:.1f} times)"
        )
    yield from _estimate("completes", found.estimated_completion, now)
    if found.smallest_change is not None:
        yield f"{_name('would start it' if found.status in _WAITS else 'would move it')}{found.smallest_change}"


def _name(text: str) -> str:
    return click.style(text.ljust(16), dim=True)


def _estimate(name: str, found: TimeEstimate | None, now: datetime) -> Iterator[str]:
    if found is None:
        return
    times = (("probably", found.p50), ("almost surely", found.p90))
    said = [f"{how} within {max(0.0, (at - now).total_seconds()):.0f} s" for how, at in times if at is not None]
    yield _name(name) + ", ".join(said)
