"""``niyanta dev``: the whole system on this machine."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from niyanta.embedded import Nats, Postgres
from niyanta.embedded.engine import DirectoryLock, free_port
from niyanta.errors import ConfigurationError, ConflictError
from niyanta.server.store import migrate
from niyanta.server.store.customers import CustomerStore
from niyanta.server.store.database import Database
from niyanta.server.store.workers import WorkerStore
from niyanta.worker.handlers.app import load_app

__all__ = ["command"]

_CUSTOMER = "cust_dev"
_STOP_SECONDS = 45.0
_START_SECONDS = 120.0


class _Child:
    """A process of ours that is started again when it dies."""

    def __init__(self, name: str, argv: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        self.name = name
        self._argv = argv
        self._environment = environment
        self._log = log
        self.process: asyncio.subprocess.Process | None = None
        self._pipe: int | None = None

    async def start(self) -> None:
        read, self._pipe = os.pipe()
        with self._log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "niyanta.cli.main", *self._argv),
                env={**os.environ, **self._environment, "NIYANTA_PARENT_FD": str(read)},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(read,),
                start_new_session=True,
            )
        os.close(read)

    def last_words(self) -> str:
        lines = self._log.read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"

    async def stop(self) -> None:
        """SIGTERM, then SIGKILL. Idempotent."""
        if self.process is None or self.process.returncode is not None:
            return
        self.process.terminate()
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                await self.process.wait()
        except TimeoutError:
            self.process.kill()
            await self.process.wait()
        if self._pipe is not None:
            os.close(self._pipe)
            self._pipe = None


class _Dev:
    def __init__(self, options: dict[str, Any]) -> None:
        self.options = options
        self.data_dir: Path = options["data_dir"].absolute()
        self.postgres = None if options["database_url"] else Postgres(self.data_dir / "postgres")
        self.nats = None if options["nats_url"] else Nats(self.data_dir / "nats")
        self.children: list[_Child] = []
        self._workers_before: set[str] = set()

    async def run(self) -> None:
        """Start everything, keep it running until a signal, stop everything."""
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        for port in (self.options["port"], self.options["grpc_port"]):
            _refuse_taken(self.options["host"], port)
        lock = self._prepare_directory()
        await lock.acquire(wait_seconds=12.0)
        keeping: list[asyncio.Task[None]] = []
        try:
            if not await _unless(stop, self._bring_up()):
                return
            keeping = [asyncio.create_task(self._keep(child)) for child in self.children]
            keeping += [asyncio.create_task(self._keep_engine(e)) for e in (self.postgres, self.nats) if e]
            await stop.wait()
        finally:
            click.echo("stopping …")
            for task in keeping:
                task.cancel()
            await asyncio.gather(*keeping, return_exceptions=True)
            await asyncio.gather(*(child.stop() for child in self.children if child.name != "coordinator"))
            await asyncio.gather(*(child.stop() for child in self.children))
            await asyncio.gather(*(engine.stop() for engine in (self.postgres, self.nats) if engine))
            lock.release()

    async def _bring_up(self) -> None:
        base_url, grpc_target = await self._start()
        await self._until_ready(base_url)
        self._say(base_url, grpc_target)

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

    async def _start(self) -> tuple[str, str]:
        options = self.options
        await asyncio.gather(*(engine.start() for engine in (self.postgres, self.nats) if engine))
        database_url = self.postgres.url if self.postgres else options["database_url"]
        nats_url = self.nats.url if self.nats else options["nats_url"]
        await migrate.upgrade(database_url)
        host, port = options["host"], options["port"]
        if port == 0:
            port = free_port()
        grpc_port = options["grpc_port"] or free_port()
        shown = "127.0.0.1" if host in ("0.0.0.0", "::") else host  # noqa: S104 -- compared, not bound
        base_url, grpc_target = f"http://{shown}:{port}", f"{shown}:{grpc_port}"
        await self._credentials(database_url, nats_url, base_url, grpc_target)
        environment = {
            "NIYANTA_DATABASE_URL": database_url,
            "NIYANTA_NATS_URL": nats_url,
            "NIYANTA_GRPC_REFLECTION": "true",
            "NIYANTA_METRICS_ACCESS": os.environ.get("NIYANTA_METRICS_ACCESS", "public"),
        }
        coordinator = ["coordinator", "--host", host, "--port", str(port), "--grpc-port", str(grpc_port)]
        self.children.append(_Child("coordinator", coordinator, environment, self._log("coordinator")))
        if not options["no_worker"]:
            apps = [word for app in options["app"] for word in ("--app", app)]
            for number in range(1, options["workers"] + 1):
                name = f"worker-{number}"
                environment = {"NIYANTA_NATS_URL": nats_url, "EXAMPLES_ROOT": _examples_root()}
                self.children.append(_Child(name, ["worker", *apps], environment, self._log(name)))
        self._workers_before = await _registrations(database_url)
        for child in self.children:
            await child.start()
        self._write_processes()
        return base_url, grpc_target

    def _log(self, name: str) -> Path:
        return self.data_dir / "logs" / f"{name}.log"

    def _write_processes(self) -> None:
        found = {child.name: child.process.pid for child in self.children if child.process}
        (self.data_dir / "processes.json").write_text(json.dumps(found))

    async def _credentials(self, database_url: str, nats_url: str, base_url: str, grpc_target: str) -> None:
        """Write ``credentials.json``; keys of an earlier start are used again while they are good."""
        path = self.data_dir / "credentials.json"
        try:
            old = json.loads(path.read_text())
        except (OSError, ValueError):
            old = {}
        database = await Database.open(database_url, api_connections=1, vital_connections=1)
        try:
            store = CustomerStore(database)
            with contextlib.suppress(ConflictError):
                await store.create_customer("Development", _CUSTOMER, "enterprise")
            keys = {}
            for name, role in (("api_key", "customer"), ("admin_api_key", "admin")):
                key = old.get(name)
                if not key or not await store.identify([key]):
                    _, key = await store.create_key(_CUSTOMER, f"niyanta dev ({role})", role)
                keys[name] = key
        finally:
            await database.close()
        found = {
            "base_url": base_url,
            "grpc_target": grpc_target,
            "customer_id": _CUSTOMER,
            **keys,
            "database_url": database_url,
            "nats_url": nats_url,
        }
        fresh = path.with_suffix(".new")
        fresh.touch(mode=0o600)
        fresh.write_text(json.dumps(found, indent=2))
        fresh.replace(path)

    async def _until_ready(self, base_url: str) -> None:
        def ready() -> bool:
            try:
                with urllib.request.urlopen(f"{base_url}/ready", timeout=2) as response:  # noqa: S310 -- ours
                    return bool(response.status == 200)
            except (OSError, urllib.error.URLError):
                return False

        database_url = self.postgres.url if self.postgres else self.options["database_url"]
        workers = self.children[1:]
        try:
            async with asyncio.timeout(_START_SECONDS):
                while not await asyncio.to_thread(ready):
                    self._refuse_ended()
                    await asyncio.sleep(0.05)
                while len(await _registrations(database_url) - self._workers_before) < len(workers):
                    self._refuse_ended()
                    await asyncio.sleep(0.05)
        except TimeoutError as exc:
            raise ConfigurationError(
                f"not ready after {_START_SECONDS:.0f} s; the logs in {self.data_dir / 'logs'} say more"
            ) from exc

    def _refuse_ended(self) -> None:
        """One that ends while it starts can't work: say why, in its own last words."""
        for child in self.children:
            if child.process is not None and child.process.returncode is not None:
                raise ConfigurationError(f"{child.name} would not start: {child.last_words()}")

    def _say(self, base_url: str, grpc_target: str) -> None:
        names = ", ".join(child.name for child in self.children)
        click.echo(f"Niyanta is ready at {base_url}/v1")
        click.echo(f"  gRPC         {grpc_target}")
        click.echo(f"  processes    {names}")
        click.echo(f"  credentials  {self.data_dir / 'credentials.json'}")
        click.echo(f"  logs         {self.data_dir / 'logs'}")
        click.echo("Press Ctrl-C to stop; what was submitted stays.")

    async def _keep(self, child: _Child) -> None:
        pause = 0.2
        while True:
            assert child.process is not None  # noqa: S101 -- started before
            began = asyncio.get_running_loop().time()
            code = await child.process.wait()
            if asyncio.get_running_loop().time() - began > 30:
                pause = 0.2
            click.echo(f"{child.name} ended ({_how(code)}): starting it again", err=True)
            await asyncio.sleep(pause)
            pause = min(10.0, pause * 2)
            await child.start()
            self._write_processes()

    async def _keep_engine(self, engine: Postgres | Nats) -> None:
        while True:
            code = await engine.wait_exit()
            click.echo(f"{engine.name} ended ({_how(code)}): starting it again", err=True)
            await engine.stop()
            await engine.start()


async def _unless(stop: asyncio.Event, work: Coroutine[Any, Any, None]) -> bool:
    """Do the work; False when a signal to stop came first, which ends it."""
    task, stopping = asyncio.create_task(work), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait([task, stopping], return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
        return task.done()
    finally:
        for pending in (task, stopping):
            pending.cancel()
        await asyncio.gather(task, stopping, return_exceptions=True)


def _examples_root() -> str:
    """Where the bundled examples may read and write: where people who try things out have their files."""
    folders = {str(folder) for folder in (Path.cwd(), Path.home(), Path(tempfile.gettempdir()), Path("/tmp"))}  # noqa: S108 -- allowed, not written to
    return os.environ.get("EXAMPLES_ROOT") or ":".join(sorted(folders))


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
    database = await Database.open(database_url, api_connections=1, vital_connections=1)
    try:
        async with database.connection() as conn:
            return {worker.incarnation for worker in await WorkerStore().all(conn)}
    finally:
        await database.close()


def _how(code: int) -> str:
    return f"exit status {code}" if code >= 0 else signal.Signals(-code).name


@click.command("dev")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8080, show_default=True, type=click.IntRange(0, 65535), help="0: a free one.")
@click.option("--grpc-port", default=9090, show_default=True, type=click.IntRange(0, 65535), help="0: a free one.")
@click.option("--data-dir", default=Path(".niyanta"), show_default=True, type=click.Path(path_type=Path))
@click.option("--app", multiple=True, help="module:worker; the bundled examples when none is given.")
@click.option("--workers", default=1, show_default=True, type=click.IntRange(1, 100))
@click.option("--no-worker", is_flag=True)
@click.option("--reset", is_flag=True, help="Begin with an empty data directory.")
@click.option("--database-url", help="Use this PostgreSQL instead of the embedded one.")
@click.option("--nats-url", help="Use this NATS instead of the embedded one.")
def command(**options: Any) -> None:
    """Run the whole system on this machine."""
    options["app"] = options["app"] or ("niyanta.examples:worker",)
    if not options["no_worker"]:
        load_app(options["app"])
    asyncio.run(_Dev(options).run())
