"""``niyanta workers``: the fleet, for operators."""

from __future__ import annotations

import click

from niyanta.cli.output import api_command, coloured, echo_json, moment, show_table
from niyanta.cli.table import Column
from niyanta.client import Client
from niyanta.domain.workers import WorkerStatus

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


def _drain(client: Client, as_json: bool, worker_id: str) -> None:
    """Give it nothing new; what it runs finishes. Holds until it is undrained."""
    client.admin.drain_worker(worker_id)
    _say(as_json, worker_id, WorkerStatus.DRAINING, "drains")


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
api_command("drain", command)(click.argument("worker_id")(_drain))
api_command("undrain", command)(click.argument("worker_id")(_undrain))
api_command("remove", command)(click.argument("worker_id")(_remove))
