"""``niyanta update``: a workload's priority, time-out, affinity or labels, changed while it waits."""

from __future__ import annotations

import click

from niyanta.cli.output import api_command, show_fields
from niyanta.cli.tags import parse_pairs, parse_tags
from niyanta.client import Client
from niyanta.client.arguments import Changes
from niyanta.domain.limits import MAX_PRIORITY

__all__ = ["COMMANDS"]

COMMANDS: dict[str, click.Command] = {}


@click.argument("workload_id")
@click.option("--priority", type=click.IntRange(0, MAX_PRIORITY), help="Higher goes first.")
@click.option("--timeout", "timeout_seconds", type=click.IntRange(0), help="Seconds for one attempt; 0: no own one.")
@click.option("--tag", multiple=True, help="key=value that the worker must have; in place of all affinity rules.")
@click.option("--anywhere", is_flag=True, help="No affinity rules any more.")
@click.option("--label", multiple=True, help="key=value; in place of all labels.")
@click.option("--no-labels", is_flag=True, help="No labels any more.")
@click.option("--version", type=click.IntRange(1), help="Only if this is its version still.")
def _update(
    client: Client,
    as_json: bool,
    workload_id: str,
    priority: int | None,
    timeout_seconds: int | None,
    tag: tuple[str, ...],
    anywhere: bool,
    label: tuple[str, ...],
    no_labels: bool,
    version: int | None,
) -> None:
    """Change a workload's priority, time-out, affinity or labels while it waits or is PAUSED."""
    changes: Changes = {}
    if priority is not None:
        changes["priority"] = priority
    if timeout_seconds is not None:
        changes["timeout_seconds"] = timeout_seconds or None
    if tag and anywhere:
        raise click.UsageError("give either --tag or --anywhere")
    if tag:
        changes["affinity_rules"] = {"hard_affinity": {"worker_tags": parse_tags(tag)}}
    if anywhere:
        changes["affinity_rules"] = None
    if label and no_labels:
        raise click.UsageError("give either --label or --no-labels")
    if label:
        changes["labels"] = parse_pairs(label, "--label")
    if no_labels:
        changes["labels"] = None
    if not changes:
        raise click.UsageError("give --priority, --timeout, --tag, --anywhere, --label or --no-labels")
    show_fields(client.workloads.update(workload_id, changes, version=version), as_json)


COMMANDS["update"] = api_command("update")(_update)
