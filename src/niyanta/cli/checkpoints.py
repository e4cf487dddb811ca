"""``niyanta checkpoints``: look at a workload's checkpoints, download and pin them."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime
from pathlib import Path

import click

from niyanta.cli.output import api_command, echo_json, show_fields, show_table
from niyanta.cli.table import Column
from niyanta.cli.times import age
from niyanta.client import Client

__all__ = ["COMMANDS"]

_COLUMNS = (
    Column("checkpoint", right=True),
    Column("attempt", right=True),
    Column("done", right=True),
    Column("bytes", right=True),
    Column("worker"),
    Column("age", right=True),
    Column("pinned"),
)


@api_command("checkpoints")
@click.argument("workload_id")
@click.option("--download", type=click.IntRange(1), help="Write the one with this sequence to --output.")
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
    default="-",
    help="A file; - for standard output.",
)
@click.option("--pin", type=click.IntRange(1), help="Keep the one with this sequence, however many come after it.")
@click.option("--unpin", type=click.IntRange(1), help="Keep it no longer than others.")
def checkpoints(
    client: Client,
    as_json: bool,
    workload_id: str,
    download: int | None,
    output: Path,
    pin: int | None,
    unpin: int | None,
) -> None:
    """Show a workload's checkpoints, the newest first; or download, pin or unpin one."""
    if sum(asked is not None for asked in (download, pin, unpin)) > 1:
        raise click.UsageError("--download, --pin and --unpin go one at a time")
    if download is not None:
        parts = client.checkpoints.iterate(workload_id, download)
        first = next(parts, b"")  # so that a refusal leaves an older file alone
        with click.open_file(str(output), "wb") as file:
            for part in itertools.chain([first], parts):
                file.write(part)
    elif pin is not None:
        show_fields(client.checkpoints.pin(workload_id, pin), as_json)
    elif unpin is not None:
        show_fields(client.checkpoints.unpin(workload_id, unpin), as_json)
    else:
        _show(client, as_json, workload_id)


def _show(client: Client, as_json: bool, workload_id: str) -> None:
    found = client.checkpoints.list(workload_id)
    if as_json:
        for checkpoint in found:
            echo_json(checkpoint)
        return
    now = datetime.now(UTC)
    show_table(
        _COLUMNS,
        (
            (
                str(c.sequence),
                str(c.attempt or ""),
                f"{c.progress_percent or 0}%",
                f"{c.size_bytes or 0:,}",
                c.worker_id,
                age(c.created_at, now),
                "pinned" if c.pinned else "",
            )
            for c in found
        ),
    )


COMMANDS = {"checkpoints": checkpoints}
