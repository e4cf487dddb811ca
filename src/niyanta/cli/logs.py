"""``niyanta logs``: what a workload's handler has said."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

import click

from niyanta.cli.following import log_text
from niyanta.cli.output import api_command, echo, echo_json
from niyanta.cli.times import parse_since
from niyanta.client import Client
from niyanta.client.models import LogLine
from niyanta.domain.limits import DEFAULT_LINES, MAX_LINES
from niyanta.domain.records import LogLevel

__all__ = ["COMMANDS"]

COMMANDS: dict[str, click.Command] = {}


def _show(
    client: Client,
    as_json: bool,
    workload_id: str,
    tail: int | None,
    everything: bool,
    since: str | None,
    level: str | None,
    search: str | None,
    follow: bool,
) -> None:
    """Show a workload's log: its last 100 lines, unless more are asked for."""
    after = parse_since(since, datetime.now(UTC)) if since else None
    lines: Iterable[LogLine]
    if everything or (tail is None and (after is not None or search is not None)):
        lines = client.workloads.iterate_logs(workload_id, since=after, level=level, q=search, follow=follow)
    elif follow or search is not None:
        lines = client.workloads.iterate_logs(
            workload_id, since=after, level=level, q=search, tail=tail or DEFAULT_LINES, follow=follow
        )
    else:
        page = client.workloads.logs(workload_id, since=after, level=level, tail=tail or DEFAULT_LINES)
        lines = page.logs
        earlier = (page.pagination.total or 0) - len(page.logs)
        if earlier > 0:
            more = " or more" if page.pagination.total_is_estimate else ""
            click.echo(f"{earlier:,}{more} earlier lines; --tail or --all shows them", err=True)
    for line in lines:
        if as_json:
            echo_json(line)
        else:
            echo(log_text(line, day=True))


_options = (
    click.argument("workload_id"),
    click.option(
        "--tail", type=click.IntRange(1, MAX_LINES), help=f"The last so many lines.  [default: {DEFAULT_LINES}]"
    ),
    click.option("--all", "everything", is_flag=True, help="All lines, from the first."),
    click.option("--since", help="Lines of the last 15m, 12h …, or after a moment as in 2025-10-27T12:34:56Z."),
    click.option(
        "--level",
        type=click.Choice(list(LogLevel), case_sensitive=False),
        help="This level and above.",
    ),
    click.option(
        "--search", metavar="TEXT", help="All lines with this in them, in whatever case, or the last --tail of them."
    ),
    click.option("--follow", "-f", is_flag=True, help="Go on with new lines, to the workload's end."),
)
for _option in reversed(_options):
    _show = _option(_show)
COMMANDS["logs"] = api_command("logs")(_show)
