"""``niyanta failures``: what has failed, by what the errors have in common."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from niyanta.cli.output import api_command, echo_json, show_table
from niyanta.cli.table import Column
from niyanta.cli.times import age, parse_since
from niyanta.client import Client
from niyanta.domain.limits import MAX_PAGE

__all__ = ["COMMANDS"]

_COLUMNS = (
    Column("fingerprint"),
    Column("count", right=True),
    Column("first", right=True),
    Column("last", right=True),
    Column("types", folds=True),
    Column("such as"),
    Column("error", folds=True),
)


@api_command("failures")
@click.option("--since", help="Only those of the hours since, as in 6h or 2025-10-27T12:00:00Z.")
@click.option("--until", help="Only those of the hours before; as --since.")
@click.option("--type", "workload_type", help="Only workloads of this type.")
@click.option("--frequent", is_flag=True, help="The most frequent first, in place of the last.")
@click.option("--limit", type=click.IntRange(1, MAX_PAGE), help="How many at most; 50 when not given.")
def failures(
    client: Client,
    as_json: bool,
    since: str | None,
    until: str | None,
    workload_type: str | None,
    frequent: bool,
    limit: int | None,
) -> None:
    """Show what workloads FAILED of, those together that are alike; the last first."""
    now = datetime.now(UTC)
    found = client.failures.list(
        since=None if since is None else parse_since(since, now),
        until=None if until is None else parse_since(until, now, "--until"),
        workload_type=workload_type,
        order_by="count" if frequent else None,
        limit=limit,
    )
    if as_json:
        echo_json(found)
        return
    show_table(
        _COLUMNS,
        (
            (
                f.fingerprint,
                f"{f.count:,}",
                age(f.first_seen_at, now),
                age(f.last_seen_at, now),
                ", ".join(f.workload_types),
                f.workload_ids[0] if f.workload_ids else "",
                f.message,
            )
            for f in found.failures
        ),
    )
    if found.counted_since is not None:
        click.echo(f"counted since {found.counted_since:%Y-%m-%d %H:%M}: there are too many", err=True)
    if found.has_more:
        click.echo("there are more; --limit shows more, --since and --type are for fewer", err=True)


COMMANDS: dict[str, click.Command] = {"failures": failures}
