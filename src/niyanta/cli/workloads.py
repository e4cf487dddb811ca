"""``niyanta submit``, ``list``, ``get``, ``watch`` and the like: a client over the API."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import click

from niyanta.cli.following import event_line, follow, follow_quietly
from niyanta.cli.history import HISTORY_COLUMNS, history_rows
from niyanta.cli.output import (
    api_command,
    coloured,
    echo,
    echo_json,
    json_input,
    json_object,
    read_text,
    show_fields,
    show_table,
)
from niyanta.cli.table import Column
from niyanta.cli.tags import parse_pairs, parse_tags
from niyanta.cli.times import age, parse_since
from niyanta.client import Client
from niyanta.client.arguments import AffinityRules, Submission
from niyanta.client.models import Page, Pagination, Workload
from niyanta.client.status import Status
from niyanta.domain.limits import DEFAULT_PRIORITY, MAX_BATCH, MAX_PRIORITY

__all__ = ["COMMANDS"]

COMMANDS: dict[str, click.Command] = {}
_LIST_COLUMNS = (
    Column("workload"),
    Column("type", folds=True),
    Column("status"),
    Column("done", right=True),
    Column("worker"),
    Column("age", right=True),
)


def _command(name: str) -> Callable[[Callable[..., Any]], click.Command]:
    def make(function: Callable[..., Any]) -> click.Command:
        COMMANDS[name] = api_command(name)(function)
        return COMMANDS[name]

    return make


@_command("submit")
@click.argument("workload_type")
@click.option("--input", "input_", help="JSON, @file, or @- for standard input.")
@click.option(
    "--priority", type=click.IntRange(0, MAX_PRIORITY), help=f"Higher goes first; {DEFAULT_PRIORITY} when not given."
)
@click.option("--timeout", "timeout_seconds", type=click.IntRange(1), help="Seconds for one attempt.")
@click.option("--tag", multiple=True, help="key=value that the worker must have.")
@click.option("--label", multiple=True, help="key=value for lists to find it by.")
@click.option("--idempotency-key", help="The same key never makes a second workload.")
@click.option("--traceparent", envvar="TRACEPARENT", help="The caller's span (W3C Trace Context). [TRACEPARENT]")
@click.option("--wait", is_flag=True, help="Wait for the end; exit 0 when COMPLETED, else 1.")
@click.option("--events", is_flag=True, help="With --wait --json: each change too, as a JSON object a line.")
def submit(
    client: Client,
    as_json: bool,
    workload_type: str,
    input_: str | None,
    priority: int | None,
    timeout_seconds: int | None,
    tag: tuple[str, ...],
    label: tuple[str, ...],
    idempotency_key: str | None,
    traceparent: str | None,
    wait: bool,
    events: bool,
) -> int:
    """Submit a workload."""
    if events and not (wait and as_json):
        raise click.UsageError("--events goes with --wait and --json")
    rules: AffinityRules | None = {"hard_affinity": {"worker_tags": parse_tags(tag)}} if tag else None
    params = json_input(input_, "--input") or {}
    workload = client.workloads.submit(
        workload_type,
        params,
        priority=priority,
        affinity_rules=rules,
        timeout_seconds=timeout_seconds,
        labels=parse_pairs(label, "--label") or None,
        idempotency_key=idempotency_key,
        traceparent=traceparent,
    )
    if not wait:
        show_fields(workload, as_json)
        return 0
    if not as_json:
        click.echo(workload.id)
    shown = events or not as_json
    code = follow(client, workload.id, as_json=as_json) if shown else follow_quietly(client, workload.id)
    final = client.workloads.get(workload.id)
    if as_json:
        echo_json(final)
    elif code == 0:
        click.echo(json.dumps(final.result_data))
    return code


@_command("submit-batch")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False, allow_dash=True))
def submit_batch(client: Client, as_json: bool, file: Path) -> int:
    """Submit many workloads: FILE (or -) has a JSON object a line, with workload_type, input_params and so on."""
    rejected = 0
    lines = read_text(str(file), "FILE").split("\n")  # other signs that end lines may stand in a JSON text
    given = [json_object(line, f"line {number}") for number, line in enumerate(lines, 1) if line.strip()]
    if not given:
        raise click.BadParameter("there is no workload in it", param_hint="FILE")
    items = cast("list[Submission]", given)  # what they hold is the service's to judge, one by one
    for start in range(0, len(items), MAX_BATCH):
        done = client.workloads.submit_batch(items[start : start + MAX_BATCH])
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
@click.option("--status", type=click.Choice(list(Status), case_sensitive=False), help="Only those in this state.")
@click.option("--type", "workload_type", help="Only those of this type.")
@click.option("--label", multiple=True, help="Only those with this key=value; of several, with all.")
@click.option("--since", help="Only those submitted since, as in 15m or 2025-10-27T12:00:00Z.")
@click.option("--until", help="Only those submitted before; as --since.")
@click.option("--q", help="Only those whose ids begin so.")
@click.option("--fingerprint", help="Only those that FAILED so; see niyanta failures.")
@click.option("--order-by", default="created_at", show_default=True, help="Or priority, status, progress_percent ….")
@click.option("--order", type=click.Choice(["asc", "desc"]), default="desc", show_default=True)
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1), help="How many at most.")
@click.option("--all", "everything", is_flag=True, help="All of them.")
def list_(
    client: Client,
    as_json: bool,
    status: str | None,
    workload_type: str | None,
    label: tuple[str, ...],
    since: str | None,
    until: str | None,
    q: str | None,
    fingerprint: str | None,
    order_by: str,
    order: str,
    limit: int,
    everything: bool,
) -> None:
    """List workloads, newest first."""
    now = datetime.now(UTC)
    found = client.workloads.iterate(
        status=status,
        workload_type=workload_type,
        labels=parse_pairs(label, "--label"),
        created_after=None if since is None else parse_since(since, now),
        created_before=None if until is None else parse_since(until, now, "--until"),
        q=q,
        fingerprint=fingerprint,
        order_by=order_by,
        order=order,
        limit=None if everything else limit + 1,
    )
    workloads = list(found)
    if more := not everything and len(workloads) > limit:
        workloads.pop()
    if as_json:
        echo_json(Page(workloads, Pagination(has_more=more)))
        return
    show_table(
        _LIST_COLUMNS,
        (
            (
                w.id,
                w.workload_type,
                coloured(w.status),
                "" if w.progress_percent is None else f"{w.progress_percent}%",
                w.worker_id,
                age(w.created_at, now),
            )
            for w in workloads
        ),
    )
    if more:
        click.echo(f"the first {limit}; --limit or --all shows more", err=True)


def _simple(name: str, doc: str, call: Callable[[Client, str], Workload]) -> None:
    def run(client: Client, as_json: bool, workload_id: str) -> None:
        show_fields(call(client, workload_id), as_json)

    run.__doc__ = doc
    _command(name)(click.argument("workload_id")(run))


_simple("get", "Show one workload.", lambda client, i: client.workloads.get(i))
_simple("pause", "Checkpoint and stop a workload.", lambda client, i: client.workloads.pause(i))


@_command("resume")
@click.argument("workload_id")
@click.option("--from-checkpoint", type=click.IntRange(1), help="Another than the last, by its sequence.")
def resume(client: Client, as_json: bool, workload_id: str, from_checkpoint: int | None) -> None:
    """Go on from the last checkpoint, or from another."""
    show_fields(client.workloads.resume(workload_id, from_checkpoint=from_checkpoint), as_json)


@_command("cancel")
@click.argument("workload_ids", nargs=-1, required=True)
@click.option("--reason", help="For the history.")
def cancel(client: Client, as_json: bool, workload_ids: tuple[str, ...], reason: str | None) -> int:
    """Cancel workloads, at once and for good."""
    if len(workload_ids) == 1:
        show_fields(client.workloads.cancel(workload_ids[0], reason), as_json)
        return 0
    failed = 0
    for start in range(0, len(workload_ids), MAX_BATCH):
        done = client.workloads.cancel_batch(workload_ids[start : start + MAX_BATCH], reason=reason)
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
    """Follow a workload to its end; exit 0 when COMPLETED, else 1."""
    return follow(client, workload_id, as_json=as_json, logs=logs)


@_command("events")
@click.option("--everybody", is_flag=True, help="Of all customers, and what happens to the fleet; for operators.")
def events(client: Client, as_json: bool, everybody: bool) -> None:
    """Follow all workloads live, without end; with --json an object a line."""
    for event in client.admin.events() if everybody else client.workloads.events():
        if as_json:
            echo_json(event)
        elif (line := event_line(event)) is not None:
            echo(line)


@_command("audit")
@click.argument("workload_id")
def audit(client: Client, as_json: bool, workload_id: str) -> None:
    """Show a workload's history; with --json every event, one a line."""
    events = client.workloads.audit(workload_id)
    if as_json:
        for event in events:
            echo_json(event)
    else:
        show_table(HISTORY_COLUMNS, history_rows(events))
