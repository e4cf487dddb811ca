"""How a command shows a workload that goes on: a live bar on a terminal, a line for each change elsewhere."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator

import click

from niyanta.cli.output import coloured, echo, echo_json, marked_up, moment
from niyanta.client import Client
from niyanta.client.live import LiveEvent
from niyanta.client.models import LogLine, Update
from niyanta.client.status import Status

__all__ = ["event_line", "follow", "follow_quietly", "log_text"]

_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""What could move the terminal's cursor or change its colours; a tab may stay."""


def follow(client: Client, workload_id: str, *, as_json: bool, logs: bool = False) -> int:
    """Show what happens until the end; gives the exit code: 0 when it is COMPLETED, else 1.

    Args:
        client: What asks.
        workload_id: Which.
        as_json: A JSON object a line for each change, and nothing else.
        logs: Also the log lines that it writes from now on.
    """
    updates = client.workloads.watch(workload_id, logs=logs)
    if as_json:
        shown = _as_json(updates)
    elif sys.stdout.isatty() and _has_rich():
        shown = _as_bar(updates, client)
    else:
        shown = _as_lines(updates)
    return _end_of(shown, say=not as_json)


def follow_quietly(client: Client, workload_id: str) -> int:
    """Wait until the end; gives the exit code, as `follow`."""
    return _end_of(client.workloads.watch(workload_id), say=False)


def _end_of(updates: Iterator[Update], *, say: bool) -> int:
    last: Update | None = None
    for update in updates:
        last = update if update.status is not None else last
    if say and last is not None and last.error_message:
        click.echo(f"failed: {last.error_message}", err=True)
    return 0 if last is not None and last.status is Status.COMPLETED else 1


def log_text(line: LogLine | Update, *, day: bool = False) -> str:
    """A log line for people; what a message has after a line break is indented, so that it can't pass for two."""
    message = _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", (line.message or "").replace("\r\n", "\n"))
    details = f" {json.dumps(line.details, ensure_ascii=False)}" if line.details else ""
    level = coloured(line.level) + " " * (5 - len(line.level or ""))
    at = click.style(moment(line.timestamp, day=day), dim=True)
    return f"{at} {level} {message}{details}".replace("\n", "\n    ")


def event_line(event: LiveEvent) -> str | None:
    """A live event for people; None for what they needn't know."""
    if event.type == "workload" and event.status is not None:
        done = f"{event.progress_percent or 0}%"
        message = _CONTROL.sub(" ", event.message or "")
        named = (event.workload_id, event.workload_type, coloured(event.status), done, event.worker_id, message)
        return " ".join([click.style(moment(event.timestamp), dim=True), *filter(None, named)])
    said = {
        "missed": f"(some events may be missing: {event.reason})",
        "fleet": "(workers came, went or were drained)",
        "customer": f"(the customer {event.customer_id} changed)",
    }
    return said.get(event.type)


def _as_json(updates: Iterator[Update]) -> Iterator[Update]:
    for update in updates:
        echo_json(update)
        yield update


def _as_lines(updates: Iterator[Update]) -> Iterator[Update]:
    for update in updates:
        if update.is_log_line:
            echo(log_text(update))
        else:
            echo(f"{coloured(update.status)} {update.progress_percent or 0}% {update.message or ''}".rstrip())
        yield update


def _has_rich() -> bool:
    try:
        import rich.progress  # noqa: F401
    except ModuleNotFoundError:
        return False
    return True


def _as_bar(updates: Iterator[Update], client: Client) -> Iterator[Update]:
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f}%"))
    with Progress(*columns, TimeElapsedColumn(), TextColumn("{task.fields[message]}", markup=False)) as progress:
        bar = progress.add_task("…", total=100, message="")
        for update in updates:
            if update.is_log_line:
                progress.console.print(click.unstyle(log_text(update)), markup=False, highlight=False)
            else:
                message = update.message or ""
                if update.status in (Status.PENDING, Status.REDISTRIBUTING):
                    message = client.workloads.get(update.workload_id).pending_reason or ""
                done = update.progress_percent or 0
                progress.update(bar, completed=done, description=marked_up(update.status), message=message)
            yield update
