"""``niyanta coordinator``: one replica."""

from __future__ import annotations

import asyncio
import gc
import signal
import sys

import click
import uvloop

from niyanta.cli.secret_options import SecretOption
from niyanta.server.coordinator import Coordinator
from niyanta.server.observability.logs import configure_logging
from niyanta.server.settings import CoordinatorSettings
from niyanta.worker.box.rights import hide_memory
from niyanta.worker.program import watch_parent

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
def command(
    database_url: str,
    nats_url: str,
    host: str,
    port: int,
    grpc_port: int,
    tls_cert: str | None,
    tls_key: str | None,
    behind_proxy: str | None,
    coordinator_id: str | None,
) -> None:
    """Run one coordinator until SIGTERM. SIGHUP has it read its certificate again."""
    settings = CoordinatorSettings.from_environment(
        database_url=database_url,
        nats_url=nats_url,
        host=host,
        port=port,
        grpc_port=grpc_port,
        tls_cert=tls_cert,
        tls_key=tls_key,
        behind_proxy=behind_proxy,
        coordinator_id=coordinator_id,
    )
    configure_logging(settings.log_level)
    hide_memory()
    uvloop.run(_run(settings))


def _rest_the_collector() -> None:
    """What has been loaded by now stays for good, and requests leave few cycles behind: look at less, less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


async def _run(settings: CoordinatorSettings) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    watch_parent(stop.set)
    coordinator = Coordinator(settings)
    if coordinator.speaks_tls:
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, coordinator.reload_certificates)
    await coordinator.start()
    _rest_the_collector()
    if sys.stdout.isatty():  # elsewhere the log says so
        scheme = "https" if coordinator.speaks_tls else "http"
        click.echo(
            f"listening on {scheme}://{settings.host}:{coordinator.port}, gRPC on port {coordinator.grpc_port}"
        )
    ended = asyncio.create_task(coordinator.wait_failed())
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait([ended, stopping], return_when=asyncio.FIRST_COMPLETED)
    await coordinator.stop()
    stopping.cancel()
    if not stop.is_set():
        await ended
