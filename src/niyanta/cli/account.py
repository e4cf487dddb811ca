"""``niyanta customer``, ``niyanta stats`` and ``niyanta token``: the account, what was used, and who may use it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import click

from niyanta.cli.output import api_command, echo_json, show_fields, show_table
from niyanta.cli.table import Column
from niyanta.cli.times import parse_duration
from niyanta.client import Client
from niyanta.client.models import Statistics
from niyanta.client.run_seconds import RunSeconds

__all__ = ["COMMANDS"]

COMMANDS: dict[str, click.Command] = {}


def _customer(client: Client, as_json: bool) -> None:
    """The account: limits, and what is used now."""
    show_fields(client.customer.get(), as_json)


def _stats(
    client: Client,
    as_json: bool,
    start: datetime | None,
    end: datetime | None,
    group_by: str,
    workload_type: str | None,
) -> None:
    """What was used; the last seven days unless dates are given."""
    last = (end or datetime.now(UTC)).date()
    first = start.date() if start else last - timedelta(days=6)
    found = client.customer.stats(first, last, group_by=group_by, workload_type=workload_type)
    if as_json:
        echo_json(found)
        return
    click.echo(f"{found.start_date} to {found.end_date} (UTC)")
    show_fields(found.summary, as_json=False)
    show_table(*_groups(found))


def _token(client: Client, as_json: bool, scopes: tuple[str, ...], workload_id: str | None, expires_in: str) -> None:
    """Make a short-lived token of the key, for a browser, a script or one workload. It is shown this once."""
    seconds = round(parse_duration(expires_in).total_seconds())
    made = client.tokens.create(scopes=scopes or None, workload_id=workload_id, expires_in_seconds=seconds)
    show_fields(made, as_json)


def _groups(found: Statistics) -> tuple[list[Column], list[tuple[Any, ...]]]:
    if periods := found.by_day or found.by_hour:
        return _columns("start", "count", "completed", "failed", "cancelled", "average s"), [
            (p.start, p.count, p.completed, p.failed, p.cancelled, _rounded(p.avg_duration_seconds)) for p in periods
        ]
    figures = ("count", "average s", "failure rate", "run s", "redone s", "lost s")
    return _columns("type", *figures), [
        (
            t.workload_type,
            t.count,
            _rounded(t.avg_duration_seconds),
            _rounded(t.failure_rate, 3),
            *_run(t.run_seconds),
        )
        for t in found.by_workload_type or ()
    ]


def _run(seconds: RunSeconds | None) -> tuple[float | None, ...]:
    if seconds is None:
        return None, None, None
    return _rounded(seconds.used), _rounded(seconds.redone), _rounded(seconds.lost)


def _columns(name: str, *figures: str) -> list[Column]:
    return [Column(name), *(Column(figure, right=True) for figure in figures)]


def _rounded(value: float | None, digits: int = 1) -> float | None:
    return None if value is None else round(value, digits)


_day = click.DateTime(["%Y-%m-%d"])
_group_by = click.option(
    "--by",
    "group_by",
    type=click.Choice(["workload_type", "day", "hour"]),
    default="workload_type",
    show_default=True,
)
_type = click.option("--type", "workload_type", help="Only workloads of this type.")
_start = click.option("--start", type=_day, help="First day, YYYY-MM-DD.")
_end = click.option("--end", type=_day, help="Last day, included.")
_scope = click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice(["workloads:read", "workloads:write", "configs:write", "admin"]),
    help="Of several; all that the key is for when missing.",
)
_workload = click.option("--workload", "workload_id", help="The only workload that it is good for.")
_expires_in = click.option("--expires-in", default="1h", show_default=True, help="90s, 15m, 12h; a day at most.")
COMMANDS["customer"] = api_command("customer")(_customer)
COMMANDS["stats"] = api_command("stats")(_start(_end(_group_by(_type(_stats)))))
COMMANDS["token"] = api_command("token")(_scope(_workload(_expires_in(_token))))
