"""``niyanta replay`` and ``niyanta fork``: what was submitted, once more."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

import click

from niyanta.cli.output import api_command, echo_json, json_input, show_fields
from niyanta.cli.tags import parse_pairs
from niyanta.cli.times import parse_since
from niyanta.client import Client
from niyanta.client.arguments import BatchFilter
from niyanta.client.failure_models import BatchReplayedItem
from niyanta.client.status import Status
from niyanta.domain.limits import MAX_PRIORITY

__all__ = ["COMMANDS"]

COMMANDS: dict[str, click.Command] = {}


@click.argument("workload_ids", nargs=-1)
@click.option("--input", "input_", help="Of one: JSON, @file or @- in place of the input it had.")
@click.option("--priority", type=click.IntRange(0, MAX_PRIORITY), help="In place of the one it had.")
@click.option("--from-checkpoint", type=click.IntRange(1), help="Of one: begin at its checkpoint of this number.")
@click.option("--failed", is_flag=True, help="All that FAILED, as far as the options below let them through.")
@click.option("--type", "workload_type", help="With --failed: only those of this type.")
@click.option("--since", help="With --failed: only those submitted since, as in 15m or 2025-10-27T12:00:00Z.")
@click.option("--label", multiple=True, help="With --failed: only those with this key=value; of several, with all.")
@click.option("--fingerprint", help="With --failed: only those that FAILED so; see niyanta failures.")
@click.option("--idempotency-key", help="The same key never replays anything twice.")
def _replay(
    client: Client,
    as_json: bool,
    workload_ids: tuple[str, ...],
    input_: str | None,
    priority: int | None,
    from_checkpoint: int | None,
    failed: bool,
    workload_type: str | None,
    since: str | None,
    label: tuple[str, ...],
    fingerprint: str | None,
    idempotency_key: str | None,
) -> int:
    """Submit workloads that have ended again: some by their ids, or all that failed."""
    if failed == bool(workload_ids):
        raise click.UsageError("give either ids of workloads or --failed")
    if failed:
        wanted: BatchFilter = {"status": Status.FAILED}
        if workload_type is not None:
            wanted["workload_type"] = workload_type
        if since is not None:
            wanted["created_after"] = parse_since(since, datetime.now(UTC))
        if label:
            wanted["labels"] = parse_pairs(label, "--label")
        if fingerprint is not None:
            wanted["fingerprint"] = fingerprint
        return _replay_failed(client, as_json, wanted, priority, idempotency_key or str(uuid.uuid4()))
    if len(workload_ids) > 1 and (input_ is not None or from_checkpoint is not None):
        raise click.UsageError("--input and --from-checkpoint go with one workload")
    for number, workload_id in enumerate(workload_ids):
        made = client.workloads.replay(
            workload_id,
            input_params=json_input(input_, "--input"),
            priority=priority,
            from_checkpoint=from_checkpoint,
            idempotency_key=None if idempotency_key is None else f"{idempotency_key}-{number}",
        )
        if len(workload_ids) == 1:
            show_fields(made, as_json)
        elif as_json:
            echo_json(made)
        else:
            click.echo(made.workload_id)
    return 0


COMMANDS["replay"] = api_command("replay")(_replay)


@click.argument("workload_id")
@click.option("--from-checkpoint", type=click.IntRange(1), help="Begin at its checkpoint of this number; the newest.")
@click.option("--input", "input_", help="JSON, @file or @- in place of the input it had.")
@click.option("--priority", type=click.IntRange(0, MAX_PRIORITY), help="In place of the one it had.")
@click.option("--idempotency-key", help="The same key never forks anything twice.")
def _fork(
    client: Client,
    as_json: bool,
    workload_id: str,
    from_checkpoint: int | None,
    input_: str | None,
    priority: int | None,
    idempotency_key: str | None,
) -> None:
    """Submit a workload again from one of its checkpoints. It may run, and goes on."""
    made = client.workloads.fork(
        workload_id,
        input_params=json_input(input_, "--input"),
        priority=priority,
        from_checkpoint=from_checkpoint,
        idempotency_key=idempotency_key,
    )
    show_fields(made, as_json)


COMMANDS["fork"] = api_command("fork")(_fork)


def _replay_failed(client: Client, as_json: bool, wanted: BatchFilter, priority: int | None, key: str) -> int:
    """Page by page, each with a key of its own, so that a run that broke off goes on where it was."""
    cursor: str | None = None
    rejected = pages = 0
    while True:
        done = client.failures.replay(wanted, priority=priority, cursor=cursor, idempotency_key=f"{key}-{pages}")
        rejected += done.rejected
        for item in done.results:
            _show(item, as_json)
        pages, cursor = pages + 1, done.next_cursor
        if cursor is None:
            return 1 if rejected else 0


def _show(item: BatchReplayedItem, as_json: bool) -> None:
    if as_json:
        echo_json(item)
    elif item.error is not None:
        click.echo(f"{item.replayed_from}: {item.error.code}: {item.error.message}", err=True)
    else:
        click.echo(f"{item.workload_id} replays {item.replayed_from}")
