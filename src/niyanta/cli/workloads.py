"""``niyanta submit``, ``list``, ``get``, ``watch`` and the like: a client over the API."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from niyanta.cli.output import api_command, coloured, echo_json, json_input, show_fields, show_table
from niyanta.cli.worker import parse_tags
from niyanta.client import Client
from niyanta.client.models import Update, Workload

__all__ = ["COMMANDS"]

COMMANDS: dict[str, click.Command] = {}
_BATCH = 1000


def _command(name: str) -> Callable[[Callable[..., Any]], click.Command]:
    def make(function: Callable[..., Any]) -> click.Command:
        COMMANDS[name] = api_command(name)(function)
        return COMMANDS[name]

    return make


def _follow(client: Client, workload_id: str, as_json: bool, *, logs: bool = False) -> int:
    """Watch until the end; gives the exit code."""
    show = _show_bar if not as_json and sys.stdout.isatty() else _show_lines
    last = show(client, workload_id, as_json, logs)
    if last is not None and last.error_message:
        click.echo(f"failed: {last.error_message}", err=True)
    return 0 if last is not None and last.status == "COMPLETED" else 1


def _show_lines(client: Client, workload_id: str, as_json: bool, logs: bool) -> Update | None:
    last = None
    for update in client.workloads.watch(workload_id, logs=logs):
        if as_json:
            echo_json(update)
        elif update.type == "log_line":
            click.echo(f"{update.level:<5} {update.message}")
        else:
            click.echo(f"{update.status} {update.progress_percent}% {update.message or ''}".rstrip())
        last = update if update.status is not None else last
    return last


def _show_bar(client: Client, workload_id: str, as_json: bool, logs: bool) -> Update | None:
    last = None
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f}%"))
    with Progress(*columns, TimeElapsedColumn(), TextColumn("{task.fields[message]}", markup=False)) as progress:
        bar = progress.add_task("…", total=100, message="")
        for update in client.workloads.watch(workload_id, logs=logs):
            if update.type == "log_line":
                progress.console.print(f"{update.level:<5} {update.message}", markup=False)
                continue
            last = update
            message = update.message or ""
            if update.status in ("PENDING", "REDISTRIBUTING"):
                message = client.workloads.get(workload_id).pending_reason or ""
            progress.update(
                bar, completed=update.progress_percent, description=coloured(update.status), message=message
            )
    return last


@_command("submit")
@click.argument("workload_type")
@click.option("--input", "input_", help="JSON, @file, or @- for standard input.")
@click.option("--priority", type=click.IntRange(0, 1000))
@click.option("--timeout", "timeout_seconds", type=click.IntRange(1), help="Seconds for one attempt.")
@click.option("--tag", multiple=True, help="key=value that the worker must have.")
@click.option("--idempotency-key")
@click.option("--wait", is_flag=True, help="Wait for the end; exit 0 when COMPLETED, else 1.")
def submit(
    client: Client,
    as_json: bool,
    workload_type: str,
    input_: str | None,
    priority: int | None,
    timeout_seconds: int | None,
    tag: tuple[str, ...],
    idempotency_key: str | None,
    wait: bool,
) -> int:
    """Submit a workload."""
    rules = {"hard_affinity": {"worker_tags": parse_tags(tag)}} if tag else None
    params = json_input(input_, "--input") or {}
    workload = client.workloads.submit(
        workload_type,
        params,
        priority=priority,
        affinity_rules=rules,
        timeout_seconds=timeout_seconds,
        idempotency_key=idempotency_key,
    )
    if not wait:
        show_fields(workload, as_json)
        return 0
    if not as_json:
        click.echo(workload.id)
    code = _follow(client, workload.id, as_json)
    if not as_json and code == 0:
        click.echo(json.dumps(client.workloads.get(workload.id).result_data))
    return code


@_command("submit-batch")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False, allow_dash=True))
def submit_batch(client: Client, as_json: bool, file: Path) -> int:
    """Submit many workloads: FILE (or -) has a JSON object a line, with workload_type, input_params and so on."""
    rejected = 0
    lines = (sys.stdin if str(file) == "-" else file.open(encoding="utf-8")).read().splitlines()
    items = [json_input(line, f"line {number}") or {} for number, line in enumerate(lines, 1) if line.strip()]
    for start in range(0, len(items), _BATCH):
        done = client.workloads.submit_batch(items[start : start + _BATCH])
        rejected += done.rejected
        for item in done.results:
            item.index += start
            if as_json:
                echo_json(item)
            elif item.error is not None:
                click.echo(f"{item.index}: {item.error.code}: {item.error.message}", err=True)
            else:
                click.echo(item.workload_id)
    return 1 if rejected else 0


@_command("list")
@click.option("--status")
@click.option("--type", "workload_type")
@click.option("--order-by", default="created_at", show_default=True)
@click.option("--order", type=click.Choice(["asc", "desc"]), default="desc", show_default=True)
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 100))
def list_(
    client: Client,
    as_json: bool,
    status: str | None,
    workload_type: str | None,
    order_by: str,
    order: str,
    limit: int,
) -> None:
    """List workloads, newest first."""
    page = client.workloads.list(
        status=status, workload_type=workload_type, order_by=order_by, order=order, limit=limit
    )
    if as_json:
        echo_json(page)
        return
    show_table(
        ("workload", "type", "status", "progress", "worker", "created"),
        (
            (
                w.id,
                w.workload_type,
                coloured(w.status),
                f"{w.progress_percent}%",
                w.worker_id,
                f"{w.created_at:%Y-%m-%d %H:%M:%S}" if w.created_at else "",
            )
            for w in page.workloads
        ),
    )


def _simple(name: str, doc: str, call: Callable[[Client, str], Workload]) -> None:
    def run(client: Client, as_json: bool, workload_id: str) -> None:
        show_fields(call(client, workload_id), as_json)

    run.__doc__ = doc
    _command(name)(click.argument("workload_id")(run))


_simple("get", "Show one workload.", lambda client, i: client.workloads.get(i))
_simple("pause", "Checkpoint and stop a workload.", lambda client, i: client.workloads.pause(i))
_simple("resume", "Go on from the last checkpoint.", lambda client, i: client.workloads.resume(i))


@_command("cancel")
@click.argument("workload_ids", nargs=-1, required=True)
@click.option("--reason")
def cancel(client: Client, as_json: bool, workload_ids: tuple[str, ...], reason: str | None) -> int:
    """Cancel workloads, at once and for good."""
    if len(workload_ids) == 1:
        show_fields(client.workloads.cancel(workload_ids[0], reason), as_json)
        return 0
    failed = 0
    for start in range(0, len(workload_ids), _BATCH):
        done = client.workloads.cancel_batch(workload_ids[start : start + _BATCH], reason=reason)
        failed += done.failed
        for item in done.results:
            if as_json:
                echo_json(item)
            else:
                click.echo(f"{item.workload_id} {item.error.message if item.error else item.status}")
    return 1 if failed else 0


@_command("watch")
@click.argument("workload_id")
@click.option("--logs", is_flag=True, help="Show its log lines as well.")
def watch(client: Client, as_json: bool, workload_id: str, logs: bool) -> int:
    """Follow a workload to its end."""
    return _follow(client, workload_id, as_json, logs=logs)


def _lines(rows: Iterable[Any], as_json: bool, text: Callable[[Any], str]) -> None:
    for row in rows:
        if as_json:
            echo_json(row)
        else:
            click.echo(text(row))


@_command("logs")
@click.argument("workload_id")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1, 1000))
def logs(client: Client, as_json: bool, workload_id: str, limit: int) -> None:
    """Show a workload's log."""
    rows = client.workloads.logs(workload_id, limit=limit)
    _lines(rows, as_json, lambda r: f"{r.timestamp:%H:%M:%S.%f} {r.level:<5} {r.message}")


@_command("audit")
@click.argument("workload_id")
def audit(client: Client, as_json: bool, workload_id: str) -> None:
    """Show a workload's history."""
    rows = client.workloads.audit(workload_id)
    _lines(
        rows,
        as_json,
        lambda r: (
            f"{r.event_id:>3} {r.timestamp:%H:%M:%S.%f} {r.event_type:<28} {r.actor_id} {json.dumps(r.details)}"
        ),
    )
