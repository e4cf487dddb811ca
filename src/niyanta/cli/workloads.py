"""``niyanta submit``, ``list``, ``get``, ``watch`` and the like: a client over the API."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click
import msgspec
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from niyanta.cli.worker import parse_tags
from niyanta.client import Client
from niyanta.client.models import Workload

__all__ = ["COMMANDS"]

COMMANDS: dict[str, click.Command] = {}
_COLOURS = {
    "COMPLETED": "green",
    "FAILED": "red",
    "CANCELLED": "yellow",
    "RUNNING": "cyan",
    "PAUSED": "magenta",
    "REDISTRIBUTING": "yellow",
}


def _command(function: Callable[..., None]) -> click.Command:
    """A command with the options that all of these have."""
    name = function.__name__.rstrip("_")
    function = click.option("--json", "as_json", is_flag=True, help="JSON for programs.")(function)
    function = click.option("--api-key", envvar="NIYANTA_API_KEY", help="nyt_…")(function)
    function = click.option("--url", envvar="NIYANTA_URL", help="Where the service is.")(function)
    command = click.command(name)(function)
    COMMANDS[name] = command
    return command


def _plain(value: Any) -> Any:
    return msgspec.to_builtins(value)


def _echo_json(value: Any) -> None:
    click.echo(json.dumps(_plain(value)))


def _status(status: str) -> str:
    colour = _COLOURS.get(status)
    return f"[{colour}]{status}[/{colour}]" if colour else status


def _show(workload: Workload, as_json: bool) -> None:
    if as_json:
        _echo_json(workload)
        return
    table = Table(show_header=False, box=None)
    for name, value in _plain(workload).items():
        if value not in (None, {}, []):
            shown = _status(value) if name == "status" else json.dumps(value) if isinstance(value, dict) else value
            table.add_row(name, str(shown))
    Console().print(table)


def _follow(client: Client, workload_id: str, as_json: bool) -> int:
    """Watch until the end; gives the exit code."""
    last: Workload | None = None
    if as_json or not sys.stdout.isatty():
        for last in client.workloads.watch(workload_id):
            if as_json:
                _echo_json(last)
            else:
                click.echo(f"{last.status} {last.progress_percent}% {last.progress_message or ''}".rstrip())
    else:
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f}%"))
        with Progress(*columns, TimeElapsedColumn(), TextColumn("{task.fields[message]}")) as progress:
            bar = progress.add_task("…", total=100, message="")
            for last in client.workloads.watch(workload_id):
                message = last.progress_message or last.pending_reason or ""
                progress.update(
                    bar, completed=last.progress_percent, description=_status(last.status), message=message
                )
    if last is not None and last.error_message and last.status == "FAILED":
        click.echo(f"failed: {last.error_message}", err=True)
    return 0 if last is not None and last.status == "COMPLETED" else 1


def _input(text: str | None) -> dict[str, Any]:
    if text is None:
        return {}
    try:
        raw = Path(text[1:]).read_text() if text.startswith("@") and text != "@-" else text
        raw = sys.stdin.read() if text == "@-" else raw
        value = json.loads(raw)
    except (OSError, ValueError) as exc:
        raise click.BadParameter(f"not JSON: {exc}", param_hint="--input") from exc
    if not isinstance(value, dict):
        raise click.BadParameter("must be a JSON object", param_hint="--input")
    return value


@_command
@click.argument("workload_type")
@click.option("--input", "input_", help="JSON, @file or @- for standard input.")
@click.option("--priority", type=click.IntRange(0, 1000))
@click.option("--timeout", "timeout_seconds", type=click.IntRange(1), help="Seconds for one attempt.")
@click.option("--tag", multiple=True, help="key=value that the worker must have.")
@click.option("--idempotency-key")
@click.option("--wait", is_flag=True, help="Wait for the end; exit 0 when COMPLETED, else 1.")
def submit(
    workload_type: str,
    input_: str | None,
    priority: int | None,
    timeout_seconds: int | None,
    tag: tuple[str, ...],
    idempotency_key: str | None,
    wait: bool,
    url: str | None,
    api_key: str | None,
    as_json: bool,
) -> None:
    """Submit a workload."""
    rules = {"hard_affinity": {"worker_tags": parse_tags(tag)}} if tag else None
    with Client(api_key, url) as client:
        workload = client.workloads.submit(
            workload_type,
            _input(input_),
            priority=priority,
            timeout_seconds=timeout_seconds,
            affinity_rules=rules,
            idempotency_key=idempotency_key,
        )
        if not wait:
            _show(workload, as_json)
            return
        if not as_json:
            click.echo(workload.id)
        code = _follow(client, workload.id, as_json)
        if not as_json and code == 0:
            click.echo(json.dumps(client.workloads.get(workload.id).result_data))
    sys.exit(code)


@_command
@click.option("--status")
@click.option("--type", "workload_type")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 100))
def list_(
    status: str | None,
    workload_type: str | None,
    limit: int,
    url: str | None,
    api_key: str | None,
    as_json: bool,
) -> None:
    """List workloads, newest first."""
    with Client(api_key, url) as client:
        page = client.workloads.list(status=status, workload_type=workload_type, limit=limit)
    if as_json:
        _echo_json(page)
        return
    table = Table("workload", "type", "status", "progress", "worker", "created")
    for w in page.workloads:
        created = f"{w.created_at:%Y-%m-%d %H:%M:%S}" if w.created_at else ""
        table.add_row(w.id, w.workload_type, _status(w.status), f"{w.progress_percent}%", w.worker_id or "", created)
    Console().print(table)


def _simple(name: str, doc: str, call: Callable[[Client, str], Workload]) -> None:
    def run(workload_id: str, url: str | None, api_key: str | None, as_json: bool) -> None:
        with Client(api_key, url) as client:
            _show(call(client, workload_id), as_json)

    run.__name__, run.__doc__ = name, doc
    _command(click.argument("workload_id")(run))


_simple("get", "Show one workload.", lambda client, i: client.workloads.get(i))
_simple("pause", "Checkpoint and stop a workload.", lambda client, i: client.workloads.pause(i))
_simple("resume", "Go on from the last checkpoint.", lambda client, i: client.workloads.resume(i))


@_command
@click.argument("workload_id")
@click.option("--reason")
def cancel(workload_id: str, reason: str | None, url: str | None, api_key: str | None, as_json: bool) -> None:
    """Cancel a workload, at once and for good."""
    with Client(api_key, url) as client:
        _show(client.workloads.cancel(workload_id, reason), as_json)


@_command
@click.argument("workload_id")
def watch(workload_id: str, url: str | None, api_key: str | None, as_json: bool) -> None:
    """Follow a workload to its end."""
    with Client(api_key, url) as client:
        sys.exit(_follow(client, workload_id, as_json))


def _lines(rows: Iterable[Any], as_json: bool, text: Callable[[Any], str]) -> None:
    for row in rows:
        if as_json:
            _echo_json(row)
        else:
            click.echo(text(row))


@_command
@click.argument("workload_id")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1, 1000))
def logs(workload_id: str, limit: int, url: str | None, api_key: str | None, as_json: bool) -> None:
    """Show a workload's log."""
    with Client(api_key, url) as client:
        rows = client.workloads.logs(workload_id, limit=limit)
    _lines(rows, as_json, lambda r: f"{r.timestamp:%H:%M:%S.%f} {r.level:<5} {r.message}")


@_command
@click.argument("workload_id")
def audit(workload_id: str, url: str | None, api_key: str | None, as_json: bool) -> None:
    """Show a workload's history."""
    with Client(api_key, url) as client:
        rows = client.workloads.audit(workload_id)
    _lines(
        rows,
        as_json,
        lambda r: (
            f"{r.event_id:>3} {r.timestamp:%H:%M:%S.%f} {r.event_type:<28} {r.actor_id} {json.dumps(r.details)}"
        ),
    )
