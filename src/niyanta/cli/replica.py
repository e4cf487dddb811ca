"""One coordinator in this process, until a signal ends it."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
from collections.abc import Callable

import uvloop

from niyanta.server.coordinator import Coordinator
from niyanta.server.member import Member
from niyanta.server.settings import CoordinatorSettings
from niyanta.worker.program import watch_parent

__all__ = ["run_replica"]


def run_replica(settings: CoordinatorSettings, member: Member | None, serving: Callable[[int, int], None]) -> None:
    """Run it until SIGTERM or SIGINT.

    Args:
        settings: What it needs to know.
        member: Which of several processes it is, where there are several.
        serving: Is told the ports of REST and gRPC once it serves, where it is the only one.

    Raises:
        NiyantaError: It can't start, or can't go on.
    """
    uvloop.run(_run(settings, member, serving))


def _rest_the_collector() -> None:
    """What has been loaded by now stays for good, and requests leave few cycles behind: look at less, less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


async def _run(settings: CoordinatorSettings, member: Member | None, serving: Callable[[int, int], None]) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    watch_parent(stop.set)
    coordinator = Coordinator(settings, member)
    if coordinator.speaks_tls:
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, coordinator.reload_certificates)
    await coordinator.start()
    _rest_the_collector()
    if member is None:
        serving(coordinator.port, coordinator.grpc_port)
    else:
        await _tell_parent(member)
    ended = asyncio.create_task(coordinator.wait_failed())
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait([ended, stopping], return_when=asyncio.FIRST_COMPLETED)
    await coordinator.stop()
    stopping.cancel()
    if not stop.is_set():
        await ended


async def _tell_parent(member: Member) -> None:
    """Say that it has started; a parent that is gone is noticed elsewhere."""
    with contextlib.suppress(OSError):
        _, writer = await asyncio.open_unix_connection(member.parent_socket)
        writer.write(str(member.number).encode())
        writer.close()
        await writer.wait_closed()
