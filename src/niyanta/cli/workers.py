"""``niyanta workers``: the fleet, for operators."""

from __future__ import annotations

import time

import click

from niyanta.cli.output import api_command, coloured, echo, echo_json, moment, show_table
from niyanta.cli.table import Column
from niyanta.client import Client
from niyanta.client.drains import Drain, DrainedWorkload
from niyanta.domain.draining import DrainOutcome
from niyanta.domain.workers import DrainMode, WorkerStatus

__all__ = ["command"]


_COLUMNS = (
    Column("worker"),
    Column("status"),
    Column("used", right=True),
    Column("serves", folds=True),
    Column("tags", folds=True),
    Column("customers", folds=True),
    Column("version"),
    Column("last beat"),
)

_LOOK_SECONDS = 1.0
"""Between two looks at how far a drain has come."""


@click.group("workers")
def command() -> None:
    """Look at workers, drain and remove them (needs an admin key)."""


def _list(client: Client, as_json: bool, status: str | None) -> None:
    """The registered workers. TYPE@… names the version of the type's input that the worker's handler takes."""
    workers = client.admin.workers(status=status)
    if as_json:
        echo_json({"workers": workers})
        return
    show_table(
        _COLUMNS,
        (
            (
                w.worker_id,
                coloured(w.status),
                f"{w.capacity_used}/{w.capacity_total}",
                ", ".join(_named(kind, w.input_forms) for kind in w.capabilities),
                ", ".join(f"{key}={value}" for key, value in sorted(w.tags.items())),
                ", ".join(w.customers or ()) or "all",
                w.version or "",
                moment(w.last_heartbeat, day=False),
            )
            for w in workers
        ),
    )


def _named(kind: str, forms: dict[str, str] | None) -> str:
    """A workload type with the version of its input that a worker takes, where not anything goes."""
    form = (forms or {}).get(kind, "any")
    return kind if form == "any" else f"{kind}@{form}"


@click.argument("worker_id")
@click.option(
    "--mode",
    type=click.Choice([mode.value for mode in DrainMode]),
    default=DrainMode.FINISH.value,
    show_default=True,
    help="What becomes of what it runs: it finishes there, or goes on elsewhere from its next checkpoint.",
)
@click.option("--follow/--no-follow", default=None, help="Wait until nothing is left there; as by default to move.")
def _drain(client: Client, as_json: bool, worker_id: str, mode: str, follow: bool | None) -> None:
    """Give it nothing new until it is undrained, also after a restart. To end following it doesn't end the drain."""
    drain = client.admin.drain_worker(worker_id, mode=mode)
    if not as_json:
        click.echo(f"{worker_id} drains")
    if follow or (follow is None and mode == DrainMode.MOVE):
        drain = _follow(client, drain, say=not as_json)
    if as_json:
        echo_json(drain)


def _follow(client: Client, drain: Drain, *, say: bool) -> Drain:
    """Wait until a worker has nothing left, and say what becomes of each workload as it is known."""
    said: dict[tuple[str, int], str] = {}
    while True:
        for found in drain.workloads:
            line = _drained(found)
            if say and said.get((found.workload_id, found.attempt)) != line:
                said[found.workload_id, found.attempt] = line
                echo(line)
        waiting = any(found.outcome == DrainOutcome.WAITING for found in drain.workloads)
        if not drain.remaining and not waiting:
            return drain
        time.sleep(_LOOK_SECONDS)
        drain = client.admin.worker_drain(drain.worker_id)


def _drained(found: DrainedWorkload) -> str:
    """What became of one workload, for people."""
    words = [f"{found.workload_id} ({found.customer_id}, {found.workload_type}) {found.outcome}"]
    if found.moved_to is not None:
        start = "its start" if found.checkpoint_sequence is None else f"checkpoint {found.checkpoint_sequence}"
        words.append(f" to {found.moved_to} from {start}, {found.seconds_lost:g} s lost")
    elif found.outcome == DrainOutcome.FINISHED:
        words.append(f": {coloured(found.status)}")
    if found.reason is not None:
        words.append(f": {found.reason}")
    return "".join(words)


def _undrain(client: Client, as_json: bool, worker_id: str) -> None:
    """End a drain or a removal: the id may take workloads again."""
    client.admin.undrain_worker(worker_id)
    _say(as_json, worker_id, WorkerStatus.HEALTHY, "may take workloads again")


def _remove(client: Client, as_json: bool, worker_id: str) -> None:
    """Take everything away from it, at once. It can't come back until it is undrained."""
    client.admin.remove_worker(worker_id)
    _say(as_json, worker_id, WorkerStatus.DEAD, "is removed")


def _say(as_json: bool, worker_id: str, status: str, text: str) -> None:
    if as_json:
        echo_json({"worker_id": worker_id, "status": status})
    else:
        click.echo(f"{worker_id} {text}")


_status = click.option("--status", type=click.Choice(list(WorkerStatus), case_sensitive=False))
api_command("list", command)(_status(_list))
api_command("drain", command)(_drain)
api_command("undrain", command)(click.argument("worker_id")(_undrain))
api_command("remove", command)(click.argument("worker_id")(_remove))
