"""``niyanta dev``: the whole system on this machine."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import shutil
import signal
import socket
import tempfile
import urllib.error
import urllib.request
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click

from niyanta.cli.children import Child, how_it_ended, keep, unless
from niyanta.cli.dev_keys import CUSTOMER_ID, Credentials
from niyanta.cli.overheard import HandlerOutput
from niyanta.cli.secret_options import SecretOption
from niyanta.cli.sources import SourceFiles
from niyanta.embedded import Nats, Postgres
from niyanta.embedded.engine import DirectoryLock, free_port
from niyanta.embedded.roles import coordinator_url
from niyanta.errors import ConfigurationError
from niyanta.server.fleet.broker_keys import BrokerKeys
from niyanta.server.store import migrate
from niyanta.server.store.database import Database
from niyanta.server.store.workers import WorkerStore
from niyanta.wire.addresses import BrokerTls, is_loopback
from niyanta.wire.broker_auth import BrokerAuth
from niyanta.worker.box.rights import hide_memory
from niyanta.worker.handlers.app import App, load_app

__all__ = ["command"]

_POSTGRES_PORT = 5432
_START_SECONDS = 120.0


class _Dev:
    def __init__(self, options: dict[str, Any], app: App | None) -> None:
        self.options = options
        self.app = app
        self.data_dir: Path = options["data_dir"].absolute()
        self.postgres = None if options["database_url"] else Postgres(self.data_dir / "postgres")
        self.nats = None if options["nats_url"] else Nats(self.data_dir / "nats")
        self.credentials = Credentials(self.data_dir)
        self.children: list[Child] = []
        self.output: HandlerOutput | None = None
        self._keeping: dict[str, asyncio.Task[None]] = {}
        self._workers_before: set[str] = set()
        self._database_url = ""
        self._broker_keys: BrokerKeys | None = None
        """None where the broker is open."""

    @property
    def engines(self) -> list[Postgres | Nats]:
        """Those that are ours."""
        return [engine for engine in (self.postgres, self.nats) if engine]

    @property
    def workers(self) -> list[Child]:
        return self.children[1:]

    async def run(self) -> None:
        """Start everything, keep it running until a signal, stop everything."""
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        for port in (self.options["port"], self.options["grpc_port"]):
            _refuse_taken(self.options["host"], port)
        lock = self._prepare_directory()
        await lock.acquire(wait_seconds=12.0)
        try:
            if not await unless(stop, self._bring_up()):
                return
            for child in self.children:
                self._keep(child.name, self._restart_when_it_ends(child))
            for engine in self.engines:
                self._keep(engine.name, self._keep_engine(engine))
            if self.options["reload"]:
                self._keep("reload", self._reload())
            await stop.wait()
        finally:
            click.echo("stopping …")
            await self._stop()
            lock.release()

    def _keep(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        self._keeping[name] = asyncio.create_task(work)

    async def _stop(self) -> None:
        self.credentials.withdraw()
        for task in self._keeping.values():
            task.cancel()
        await asyncio.gather(*self._keeping.values(), return_exceptions=True)
        await asyncio.gather(*(child.stop() for child in self.workers))
        await asyncio.gather(*(child.stop() for child in self.children))
        if self.output is not None:
            await self.output.stop()
        await asyncio.gather(*(engine.stop() for engine in self.engines))
        (self.data_dir / "processes.json").unlink(missing_ok=True)

    def _prepare_directory(self) -> DirectoryLock:
        if self.options["reset"] and self.data_dir.exists():
            if any(self.data_dir.iterdir()) and not (self.data_dir / "niyanta.json").exists():
                raise ConfigurationError(f"{self.data_dir} is no data directory of ours: --reset leaves it alone")
            shutil.rmtree(self.data_dir)
        try:
            (self.data_dir / "logs").mkdir(parents=True, exist_ok=True)
            (self.data_dir / "niyanta.json").write_text("{}\n")
        except OSError as exc:
            raise ConfigurationError(f"cannot use the data directory {self.data_dir}: {exc}") from exc
        return DirectoryLock(self.data_dir)

    async def _bring_up(self) -> None:
        """Start everything; it is told to clients, and to people, when it can be used."""
        database_url = await self.postgres.start() if self.postgres else self.options["database_url"]
        self._database_url = database_url
        await migrate.upgrade(database_url)
        keys = await self.credentials.keys(database_url)
        nats_url = await self._start_broker(database_url)
        host, port = self.options["host"], self.options["port"] or free_port()
        grpc_port = self.options["grpc_port"] or free_port()
        role_url = await coordinator_url(database_url) if self.postgres else database_url
        self._make_children({"database_url": role_url, "nats_url": nats_url, **keys}, host, port, grpc_port)
        self._workers_before = await _registrations(database_url)
        if not self.options["quiet"]:
            self.output = HandlerOutput(nats_url, self._broker_keys)
            await self.output.start()
        for child in self.children:
            await child.start()
        self._write_processes()
        shown = "127.0.0.1" if host in ("0.0.0.0", "::") else host  # noqa: S104 -- compared, not bound
        base_url = f"http://{shown}:{port}"
        await self._until_ready(base_url, database_url)
        found = {
            "base_url": base_url,
            "grpc_target": f"{shown}:{grpc_port}",
            "customer_id": CUSTOMER_ID,
            **keys,
            "database_url": database_url,
            "nats_url": nats_url,
        }
        self.credentials.publish(found)
        self._say(base_url, found["grpc_target"])

    async def _start_broker(self, database_url: str) -> str:
        """Our own knows its coordinators by their keys, as any closed broker does; gives its address."""
        if self.nats is None and os.environ.get("NIYANTA_BROKER_AUTH") == BrokerAuth.NONE:
            return str(self.options["nats_url"])
        database = await Database.open(database_url, in_passing=True)
        try:
            self._broker_keys = await BrokerKeys.load(database)
        finally:
            await database.close()
        if self.nats is None:
            return str(self.options["nats_url"])
        self.nats.access = self._broker_keys.configuration()
        files = BrokerTls.by(os.environ)
        self.nats.tls = BrokerTls(cert=files.cert, key=files.key)
        return await self.nats.start()

    def _make_children(self, found: dict[str, str], host: str, port: int, grpc_port: int) -> None:
        broker = {
            "NIYANTA_NATS_URL": found["nats_url"],
            "NIYANTA_BROKER_AUTH": BrokerAuth.NONE if self._broker_keys is None else BrokerAuth.TOKEN,
        }
        environment = {
            **broker,
            "NIYANTA_DATABASE_URL": found["database_url"],
            "NIYANTA_GRPC_REFLECTION": "true",
            **dict.fromkeys(("NIYANTA_TLS_CERT", "NIYANTA_TLS_KEY", "NIYANTA_TLS_CLIENT_CA"), ""),  # all plain here
            "NIYANTA_METRICS_ACCESS": os.environ.get("NIYANTA_METRICS_ACCESS", "public"),
        }
        coordinator = ["coordinator", "--host", host, "--port", str(port), "--grpc-port", str(grpc_port)]
        self.children.append(Child("coordinator", coordinator, environment, self._log("coordinator")))
        if self.app is None:
            return
        gets_id = self.app.id is None and not os.environ.get("NIYANTA_ID")
        apps = [word for app in self.options["app"] for word in ("--app", app)]
        for number in range(1, self.options["workers"] + 1):
            name = f"worker-{number}"
            environment = {
                **broker,
                "NIYANTA_JOIN_TOKEN": found["join_token"],
                "NIYANTA_CLOSED_PORTS": self._closed_ports(found["database_url"]),
                "NIYANTA_HIDDEN": str(self.data_dir),
                "EXAMPLES_ROOT": _examples_root(),
            }
            self.children.append(Child(name, ["worker", *apps], environment, self._log(name), gets_id=gets_id))

    def _closed_ports(self, database_url: str) -> str:
        """What handlers can't connect to, beside the broker's port: the database's."""
        return f"{os.environ.get('NIYANTA_CLOSED_PORTS', '')} {urlsplit(database_url).port or _POSTGRES_PORT}"

    def _log(self, name: str) -> Path:
        return self.data_dir / "logs" / f"{name}.log"

    def _write_processes(self) -> None:
        """Note who is who: this program and all that it has started."""
        found = {"dev": os.getpid()}
        found |= {child.name: child.process.pid for child in self.children if child.process}
        found |= {engine.name: engine.pid for engine in self.engines if engine.pid}
        path = self.data_dir / "processes.json"
        fresh = path.with_suffix(".new")
        fresh.write_text(json.dumps(found))
        fresh.replace(path)

    async def _until_ready(self, base_url: str, database_url: str) -> None:
        def ready() -> bool:
            try:
                with urllib.request.urlopen(f"{base_url}/ready", timeout=2) as response:  # noqa: S310 -- ours
                    return bool(response.status == 200)
            except (OSError, urllib.error.URLError):
                return False

        try:
            async with asyncio.timeout(_START_SECONDS):
                while not await asyncio.to_thread(ready):
                    self._refuse_ended()
                    await asyncio.sleep(0.05)
                while len(await _registrations(database_url) - self._workers_before) < len(self.workers):
                    self._refuse_ended()
                    await asyncio.sleep(0.05)
        except TimeoutError as exc:
            raise ConfigurationError(
                f"not ready after {_START_SECONDS:.0f} s; the logs in {self.data_dir / 'logs'} say more"
            ) from exc

    def _refuse_ended(self) -> None:
        """One that ends while it starts can't work: say why, in its own last words."""
        for child in self.children:
            if child.has_ended:
                raise ConfigurationError(f"{child.name} would not start: {child.last_words()}")

    def _say(self, base_url: str, grpc_target: str) -> None:
        lines = {
            "console": f"{base_url}/console",
            "try it in": f"{base_url}/docs",
            "gRPC": grpc_target,
            "processes": ", ".join([child.name for child in self.children]),
            "serves": ", ".join(sorted(self.app.handlers)) if self.app else "",
            "credentials": str(self.data_dir / "credentials.json"),
            "logs": str(self.data_dir / "logs"),
            "BEWARE": "" if is_loopback(self.options["host"]) else "plain HTTP: whoever is on the way reads keys",
        }
        click.echo(f"Niyanta is ready at {base_url}/v1")
        for name, text in lines.items():
            if text:
                click.echo(f"  {name:<12} {text}")
        shown = "" if self.output is None else " What handlers say is shown here."
        click.echo(f"Press Ctrl-C to stop; what was submitted stays.{shown}")

    async def _restart_when_it_ends(self, child: Child) -> None:
        def say(code: int) -> None:
            click.echo(f"{child.name} ended ({how_it_ended(code)}): starting it again", err=True)

        await keep(child, say, self._write_processes)

    async def _reload(self) -> None:
        """Whenever the workers' source has changed, put new ones in their place."""
        sources = SourceFiles(Path.cwd())
        while True:
            changed = await sources.changed()
            click.echo(f"{', '.join(changed)} changed: starting new workers")
            fresh = [child.twin() for child in self.workers]
            try:
                if await self._registered(fresh):
                    await self._replace(fresh)
                    continue
            except BaseException:
                await asyncio.gather(*(child.stop() for child in fresh))
                raise
            await asyncio.gather(*(child.stop() for child in fresh))

    async def _registered(self, fresh: Sequence[Child]) -> bool:
        """Start them, and wait until they can work; False, with the reason on the terminal, when they can't."""
        before = await _registrations(self._database_url)
        for child in fresh:
            await child.start()
        while len(await _registrations(self._database_url) - before) < len(fresh):
            if ended := [child for child in fresh if child.has_ended]:
                click.echo(f"{ended[0].name}: {ended[0].last_words()}", err=True)
                click.echo("the workers from before the change go on", err=True)
                return False
            await asyncio.sleep(0.1)
        return True

    async def _replace(self, fresh: list[Child]) -> None:
        """Let the old workers hand over what they run, and end."""
        old = self.workers
        for child in old:
            self._keeping[child.name].cancel()
        self.children[1:] = fresh
        for child in fresh:
            self._keep(child.name, self._restart_when_it_ends(child))
        self._write_processes()
        click.echo("the new workers have taken over")
        await asyncio.gather(*(child.stop() for child in old))

    async def _keep_engine(self, engine: Postgres | Nats) -> None:
        while True:
            code = await engine.wait_exit()
            click.echo(f"{engine.name} ended ({how_it_ended(code)}): starting it again", err=True)
            await engine.stop()
            await engine.start()
            self._write_processes()


def _examples_root() -> str:
    """Where the bundled examples may read and write: a folder of their own, and where people try things out."""
    own = os.path.expanduser("~/niyanta-examples")
    places = {own, tempfile.gettempdir(), "/tmp"}  # noqa: S108 -- allowed, not written to
    listed = sorted(place for place in places if place.startswith("/") and ":" not in place)
    return os.environ.get("EXAMPLES_ROOT") or ":".join(listed)


def _refuse_taken(host: str, port: int) -> None:
    """Say so before anything is started when a port is in use."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as exc:
            raise ConfigurationError(
                f"cannot listen on {host}:{port}: {exc.strerror or exc}. Is another program on that port? "
                "Choose others with --port and --grpc-port, or 0 for free ones."
            ) from exc


async def _registrations(database_url: str) -> set[str]:
    """The incarnations of all workers that the database knows."""
    database = await Database.open(database_url, in_passing=True)
    try:
        async with database.connection() as conn:
            return {worker.incarnation for worker in await WorkerStore().all(conn)}
    finally:
        await database.close()


@click.command("dev")
@click.option("--host", default="127.0.0.1", show_default=True, help="What to listen on.")
@click.option("--port", default=8080, show_default=True, type=click.IntRange(0, 65535), help="0: a free one.")
@click.option("--grpc-port", default=9090, show_default=True, type=click.IntRange(0, 65535), help="0: a free one.")
@click.option(
    "--data-dir",
    default=Path(".niyanta"),
    show_default=True,
    type=click.Path(path_type=Path),
    help="Keeps all state.",
)
@click.option("--app", multiple=True, help="module:worker; the bundled examples when none is given.")
@click.option(
    "--workers", default=1, show_default=True, type=click.IntRange(1, 100), help="How many, each serves all."
)
@click.option("--no-worker", is_flag=True, help="Start none; yours come by themselves.")
@click.option("--reload", is_flag=True, help="Start the workers again when their source changes.")
@click.option("--quiet", is_flag=True, help="Don't show what handlers say.")
@click.option("--reset", is_flag=True, help="Begin with an empty data directory.")
@click.option("--database-url", cls=SecretOption, help="Use this PostgreSQL instead of the embedded one.")
@click.option("--nats-url", cls=SecretOption, help="Use this NATS instead of the embedded one.")
def command(**options: Any) -> None:  # Any: click has checked each by its option
    """Run the whole system on this machine, in the clear: for loopback."""
    hide_memory()
    options["app"] = options["app"] or ("niyanta.examples:worker",)
    app = None if options["no_worker"] else load_app(options["app"])
    logging.getLogger("niyanta.wire").setLevel(logging.CRITICAL)  # an engine that ends is told of in words of our own
    asyncio.run(_Dev(options, app).run())
