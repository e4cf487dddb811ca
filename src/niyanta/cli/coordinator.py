"""``niyanta coordinator``: one replica, or several processes that are one each and share the ports."""

from __future__ import annotations

import os
import sys
from functools import partial

import click
from click.core import ParameterSource

from niyanta.cli.cores import process_count
from niyanta.cli.light import lightly
from niyanta.cli.secret_options import SecretOption
from niyanta.server.member import Member
from niyanta.server.observability.logs import configure_logging
from niyanta.server.settings import CoordinatorSettings
from niyanta.worker.box.rights import hide_memory

__all__ = ["command"]


@click.command("coordinator")
@click.option("--database-url", cls=SecretOption, envvar="NIYANTA_DATABASE_URL", required=True, help="postgresql://…")
@click.option(
    "--nats-url", cls=SecretOption, envvar="NIYANTA_NATS_URL", required=True, help="nats://…; several with commas."
)
@click.option("--host", envvar="NIYANTA_HOST", default="127.0.0.1", show_default=True, help="What to listen on.")
@click.option("--port", envvar="NIYANTA_PORT", default=8080, show_default=True, help="0 picks a free one.")
@click.option("--grpc-port", envvar="NIYANTA_GRPC_PORT", default=9090, show_default=True, help="0 picks a free one.")
@click.option("--tls-cert", envvar="NIYANTA_TLS_CERT", help="PEM file: speak TLS, and show this certificate.")
@click.option("--tls-key", envvar="NIYANTA_TLS_KEY", help="PEM file with its key.")
@click.option(
    "--behind-proxy",
    envvar="NIYANTA_BEHIND_PROXY",
    metavar="ADDRESSES",
    help="Addresses or networks of proxies whose X-Forwarded-For is believed, with commas.",
)
@click.option("--id", "coordinator_id", envvar="NIYANTA_COORDINATOR_ID", help="Unique among replicas.")
@click.option(
    "--processes",
    envvar="NIYANTA_PROCESSES",
    metavar="N|auto",
    callback=process_count,
    default="1",
    show_default=True,
    help="How many serve the ports together, each a replica; auto: one for each core.",
)
@click.pass_context
def command(ctx: click.Context, /, processes: int, **_: object) -> None:
    """Run one coordinator until SIGTERM. SIGHUP has it read its certificate again."""
    given = dict(ctx.params)
    del given["processes"]
    settings = CoordinatorSettings.from_environment(**given)
    configure_logging(settings.log_level)
    hide_memory()
    member = Member.from_environment(os.environ)
    # Each loads only what it runs: the parent of several processes is to be small.
    if member is None and processes > 1:
        from niyanta.cli.processes import run_processes

        said = {name for name in given if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE}
        run_processes(settings, processes, said, partial(_say_where, settings))
        return
    with lightly():
        from niyanta.cli.replica import run_replica

    run_replica(settings, member, partial(_say_where, settings))


def _say_where(settings: CoordinatorSettings, port: int, grpc_port: int) -> None:
    if sys.stdout.isatty():  # elsewhere the log says so
        scheme = "https" if settings.tls_cert else "http"
        click.echo(f"listening on {scheme}://{settings.host}:{port}, gRPC on port {grpc_port}")
