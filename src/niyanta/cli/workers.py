"""``niyanta workers``: the fleet, for operators."""

from __future__ import annotations

import click

from niyanta.cli.output import api_command, coloured, echo_json, show_table
from niyanta.client import Client

__all__ = ["command"]


@click.group("workers")
def command() -> None:
    """Look at workers, drain and remove them (needs an admin key)."""


def _list(client: Client, as_json: bool, status: str | None) -> None:
    """The registered workers."""
    workers = client.admin.workers(status=status)
    if as_json:
        echo_json(workers)
        return
    show_table(
        ("worker", "status", "used", "serves", "tags", "last heartbeat"),
        (
            (
                w.worker_id,
                coloured(w.status),
                f"{w.capacity_used}/{w.capacity_total}",
                ", ".join(w.capabilities),
                ", ".join(f"{key}={value}" for key, value in sorted(w.tags.items())),
                f"{w.last_heartbeat:%H:%M:%S}" if w.last_heartbeat else "",
            )
            for w in workers
        ),
    )


def _drain(client: Client, as_json: bool, worker_id: str) -> None:
    """Give it nothing new; what it runs finishes."""
    client.admin.drain_worker(worker_id)
    _say(as_json, worker_id, "DRAINING", "drains")


def _remove(client: Client, as_json: bool, worker_id: str) -> None:
    """Take everything away from it, at once."""
    client.admin.remove_worker(worker_id)
    _say(as_json, worker_id, "DEAD", "is removed")


def _say(as_json: bool, worker_id: str, status: str, text: str) -> None:
    if as_json:
        echo_json({"worker_id": worker_id, "status": status})
    else:
        click.echo(f"{worker_id} {text}")


_status = click.option("--status", type=click.Choice(["HEALTHY", "DRAINING", "DEAD"]))
api_command("list", command)(_status(_list))
api_command("drain", command)(click.argument("worker_id")(_drain))
api_command("remove", command)(click.argument("worker_id")(_remove))
