"""``niyanta worker``: one worker agent."""

from __future__ import annotations

import click

from niyanta.cli.log_lines import configure_worker_logging
from niyanta.cli.secret_options import SecretOption
from niyanta.cli.tags import parse_tags
from niyanta.domain.limits import MAX_CAPACITY
from niyanta.worker.program import run_worker

__all__ = ["command"]


@click.command("worker")
@click.option("--nats-url", cls=SecretOption, help="nats://…; several with commas. [NIYANTA_NATS_URL]")
@click.option(
    "--join-token",
    cls=SecretOption,
    help="nyj_…; better by NIYANTA_JOIN_TOKEN or NIYANTA_JOIN_TOKEN_FILE, which `ps` doesn't show.",
)
@click.option("--app", required=True, multiple=True, help="module:worker; may be given several times.")
@click.option("--id", "worker_id", help="Unique in the fleet.")
@click.option("--capacity", type=click.IntRange(1, MAX_CAPACITY), help="Workloads at the same time.")
@click.option(
    "--attempt-uids",
    metavar="FIRST-LAST",
    help="As root: user ids, one for each process of an attempt at a time, such as 100000-100063.",
)
@click.option("--tag", multiple=True, help="key=value, added to the app's tags.")
def command(
    nats_url: str | None,
    join_token: str | None,
    app: tuple[str, ...],
    worker_id: str | None,
    capacity: int | None,
    tag: tuple[str, ...],
    attempt_uids: str | None,
) -> None:
    """Run one worker. SIGTERM drains: checkpoint, hand back, exit 0.

    Beside a `niyanta dev` it finds broker and join token by itself, in .niyanta.
    """
    configure_worker_logging()
    run_worker(
        app,
        nats_url=nats_url,
        join_token=join_token,
        worker_id=worker_id,
        capacity=capacity,
        tags=parse_tags(tag),
        attempt_uids=attempt_uids,
    )
