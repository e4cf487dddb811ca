"""``niyanta top``: what runs and waits, and the workers where the key is an operator's, again and again."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice

import click

from niyanta.cli.output import api_command, coloured, echo, echo_json
from niyanta.cli.table import Column, render
from niyanta.cli.times import age
from niyanta.client import Client
from niyanta.client.models import Customer, FleetWorker, Workload
from niyanta.client.status import Status
from niyanta.domain.workers import WorkerStatus
from niyanta.errors import ForbiddenError

__all__ = ["command"]

_UNDER_WAY = (Status.RUNNING, Status.SCHEDULED, Status.REDISTRIBUTING, Status.PAUSED, Status.PENDING)
"""What is shown, in this order."""
_WORKLOADS = (
    Column("workload"),
    Column("type"),
    Column("status"),
    Column("done", right=True),
    Column("worker"),
    Column("age", right=True),
)
_WORKERS = (Column("worker"), Column("status"), Column("used", right=True), Column("tags", folds=True))
_FROM_THE_TOP, _TO_THE_END = "\x1b[H", "\x1b[J"


@api_command("top")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1), help="Workloads at most.")
@click.option("--every", default=2.0, show_default=True, type=click.FloatRange(0.5), help="Seconds between looks.")
@click.option("--once", is_flag=True, help="Look once; so it is where the output is no terminal.")
def command(client: Client, as_json: bool, limit: int, every: float, once: bool) -> None:
    """Watch workloads and workers in a live table."""
    if as_json or once or not sys.stdout.isatty():
        account, workloads, workers = _look(client, limit)
        if as_json:
            echo_json({"customer": account, "workloads": workloads, "workers": workers})
        else:
            echo("\n".join(_lines(account, workloads, workers)))
        return
    click.clear()
    while True:
        text = "\n".join(_lines(*_look(client, limit)))
        echo(f"{_FROM_THE_TOP}{_TO_THE_END}{text}")
        time.sleep(every)


def _look(client: Client, limit: int) -> tuple[Customer, list[Workload], list[FleetWorker] | None]:
    """The account, what is under way, and the live workers; None where the key is no operator's."""
    account = client.customer.get()
    workloads: list[Workload] = []
    for status in _UNDER_WAY:
        if room := limit - len(workloads):
            workloads += islice(client.workloads.iterate(status=status, limit=room), room)
    try:
        workers = [worker for worker in client.admin.workers() if worker.status != WorkerStatus.DEAD]
    except ForbiddenError:
        return account, workloads, None
    return account, workloads, workers


def _lines(account: Customer, workloads: list[Workload], workers: list[FleetWorker] | None) -> Iterator[str]:
    now = datetime.now(UTC)
    usage, limits = account.usage, account.limits
    if usage is not None:
        yield (
            f"{account.name}: {usage.current_running_workloads} of {limits.max_concurrent_workloads} run, "
            f"{usage.current_queue_depth} of {limits.max_queue_depth} wait, {usage.workloads_today} today"
        )
    yield ""
    if not workloads:
        yield "nothing runs or waits"
    else:
        yield render(_WORKLOADS, [_row(workload, now) for workload in workloads])
    if workers is not None:
        yield ""
        yield render(_WORKERS, [_worker(worker) for worker in workers])


def _row(workload: Workload, now: datetime) -> tuple[str, ...]:
    return (
        workload.id,
        workload.workload_type or "",
        coloured(workload.status),
        "" if workload.progress_percent is None else f"{workload.progress_percent}%",
        workload.worker_id or "",
        age(workload.created_at, now),
    )


def _worker(worker: FleetWorker) -> tuple[str, ...]:
    tags = ", ".join(f"{key}={value}" for key, value in sorted(worker.tags.items()))
    return worker.worker_id, coloured(worker.status), f"{worker.capacity_used}/{worker.capacity_total}", tags
