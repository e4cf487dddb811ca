"""Several coordinators that serve the same ports, and the parent that starts them.

Each is a replica as it would be alone, in a process of its own; the kernel gives each new connection to one of them
(`niyanta.server.ports`), and one leads. The parent serves nothing. It holds the ports, tells the processes apart,
hands signals on, and starts again what has ended. ADR 0038 says why.

The first is started alone, and the others once it serves: what keeps one from starting keeps all from it, and is
said once. From then on a process that ends is started again for as long as it takes; only when one can't start at
the beginning does all of it end. When the parent is gone, however that comes, the processes stop by themselves.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack
from tempfile import TemporaryDirectory

from niyanta.cli.children import Child, how_it_ended, keep, unless
from niyanta.errors import ConfigurationError
from niyanta.server.member import Member
from niyanta.server.ports import hold
from niyanta.server.settings import CoordinatorSettings
from niyanta.worker.program import watch_parent

__all__ = ["run_processes"]

log = logging.getLogger(__name__)


def run_processes(
    settings: CoordinatorSettings, count: int, said: Collection[str], serving: Callable[[int, int], None]
) -> None:
    """Run them until SIGTERM or SIGINT.

    Args:
        settings: What all have in common.
        count: How many.
        said: Settings that came on the command line; what the environment says, or files that it names, they read
            by themselves.
        serving: Is told the ports of REST and gRPC once all have started.

    Raises:
        ConfigurationError: A port can't be had, or a process can't start; it has said why.
    """
    with ExitStack() as held:
        folder = held.enter_context(TemporaryDirectory(prefix="niyanta-"))
        http = held.enter_context(hold(settings.host, settings.port, "--port"))
        grpc = held.enter_context(hold(settings.host, settings.grpc_port, "--grpc-port"))
        ports = http.getsockname()[1], grpc.getsockname()[1]
        asyncio.run(_Processes(settings, count, said, folder, ports, serving).run())


class _Processes:
    def __init__(
        self,
        settings: CoordinatorSettings,
        count: int,
        said: Collection[str],
        folder: str,
        ports: tuple[int, int],
        serving: Callable[[int, int], None],
    ) -> None:
        self._settings = settings
        self._ports = ports
        self._serving = serving
        common = {f"NIYANTA_{name.upper()}": str(getattr(settings, name)) for name in said}
        common |= {"NIYANTA_PORT": str(ports[0]), "NIYANTA_GRPC_PORT": str(ports[1])}
        members = [Member(number=number, of=count, folder=folder) for number in range(1, count + 1)]
        self._children = [self._child(member, common) for member in members]
        self._place = members[0].parent_socket
        self._started = [asyncio.Event() for _ in members]

    def _child(self, member: Member, common: Mapping[str, str]) -> Child:
        name = f"{self._settings.coordinator_id}-{member.number}"
        return Child(name, ["coordinator"], {**common, **member.environment(), "NIYANTA_COORDINATOR_ID": name})

    async def run(self) -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        if self._settings.tls_cert:
            loop.add_signal_handler(signal.SIGHUP, self._reload)
        watch_parent(stop.set)
        server = await asyncio.start_unix_server(self._hear, self._place)
        try:
            if await unless(stop, self._start()):
                await unless(stop, self._keep_all())
        finally:
            await asyncio.gather(*(child.stop() for child in self._children))
            server.close()

    async def _start(self) -> None:
        first, *others = range(len(self._children))
        await self._start_one(first)
        try:
            async with asyncio.TaskGroup() as group:
                for index in others:
                    group.create_task(self._start_one(index))
        except* ConfigurationError as failed:
            raise failed.exceptions[0] from None

    async def _start_one(self, index: int) -> None:
        child, started = self._children[index], self._started[index]
        await child.start()
        if await unless(started, child.wait()):
            how = how_it_ended(await child.wait())
            raise ConfigurationError(f"{child.name} could not start ({how}); it has said why")

    async def _hear(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One of them has started, and says its number."""
        self._started[int(await reader.read()) - 1].set()
        writer.close()

    async def _keep_all(self) -> None:
        async with asyncio.TaskGroup() as group:
            for child in self._children:
                group.create_task(self._keep(child))
            port, grpc_port = self._ports
            facts = {"processes": len(self._children), "port": port, "grpc_port": grpc_port}
            log.info("coordinator.processes_started", extra=facts)
            self._serving(port, grpc_port)

    async def _keep(self, child: Child) -> None:
        def say(code: int) -> None:
            log.error("coordinator.process_ended", extra={"coordinator_id": child.name, "how": how_it_ended(code)})

        await keep(child, say)

    def _reload(self) -> None:
        for child in self._children:
            child.signal(signal.SIGHUP)
