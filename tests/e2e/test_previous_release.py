"""The release before this one beside it: its schema, coordinator, worker and command line, as they were released.

``make freeze`` keeps a release's code in ``tests/fixtures``. What is done here is what docs/operations.md says of
an upgrade.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import zipfile
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from chaos.fleet import Part

from niyanta import AsyncClient
from niyanta.client.arguments import AffinityRules
from niyanta.embedded.engine import free_port
from niyanta.embedded.roles import coordinator_url
from niyanta.errors import InvalidInputError
from niyanta.server.store import migrate
from support.cluster import eventually
from support.pace import pace
from support.processes import APPS

FROZEN = Path(__file__).parents[1] / "fixtures" / "previous_release.zip"
NOW: dict[str, str] = {}
_SECONDS = 60.0


@dataclass
class Releases:
    """Parts of the two releases, on one database and one broker.

    Attributes:
        previous: What the environment needs so that a program is the previous release's.
    """

    folder: Path
    settings: dict[str, str]
    previous: dict[str, str]
    parts: list[Part] = field(default_factory=list)

    async def run(self, *words: str, release: Mapping[str, str]) -> str:
        """What a command of one of the releases prints."""
        return await self.python("-m", "niyanta.cli.main", *words, release=release)

    async def python(self, *words: str, release: Mapping[str, str]) -> str:
        """What an interpreter prints that finds one of the releases."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, *words),
            env={**os.environ, **self.settings, **release},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
        assert process.returncode == 0, (words, out, err)
        return out.decode()

    async def start(self, name: str, *argv: str, release: Mapping[str, str]) -> Part:
        part = Part(name, [*argv, "--id", name], {**self.settings, **release}, self.folder / f"{name}.log")
        self.parts.append(part)
        await part.start()
        return part

    async def coordinator(self, name: str, *, release: Mapping[str, str]) -> tuple[Part, str]:
        """One that is ready, and its address."""
        port = free_port()
        part = await self.start(name, "coordinator", "--port", str(port), "--grpc-port", "0", release=release)

        url = f"http://127.0.0.1:{port}"

        async def is_ready() -> bool:
            with contextlib.suppress(aiohttp.ClientError):  # it isn't there yet
                async with http.get(f"{url}/ready") as answer:
                    return answer.status == 200
            return False

        async with aiohttp.ClientSession() as http:
            await eventually(is_ready, 20 * pace(), f"{name} is ready")
        return part, url

    async def worker(self, name: str, *, release: Mapping[str, str]) -> Part:
        app = f"{APPS / 'counting.py'}:worker"
        return await self.start(name, "worker", "--app", app, "--tag", f"name={name}", release=release)


@pytest.fixture
async def releases(
    empty_database: str, nats_url: str, subject_prefix: str, tmp_path: Path
) -> AsyncIterator[Releases]:
    previous = tmp_path / "previous"
    with zipfile.ZipFile(FROZEN) as archive:
        archive.extractall(previous)
    settings = {
        "NIYANTA_DATABASE_URL": empty_database,
        "NIYANTA_NATS_URL": nats_url,
        "NIYANTA_BROKER_AUTH": "none",  # as the previous release knows it
        "NIYANTA_SUBJECT_PREFIX": subject_prefix,
    }
    found = Releases(tmp_path, settings, {"PYTHONPATH": str(previous)})
    yield found
    await asyncio.gather(*(part.stop() for part in found.parts))


async def run_on(client: AsyncClient, worker: str, to: int = 3) -> None:
    """A workload for this worker runs to its end."""
    only: AffinityRules = {"hard_affinity": {"worker_id": worker}}
    async with asyncio.timeout(_SECONDS):  # a coordinator that has just begun may not have heard of a type's workers
        while True:
            try:
                submitted = await client.workloads.submit("count", {"to": to}, affinity_rules=only)
                break
            except InvalidInputError:
                await asyncio.sleep(0.1)
    done = await client.workloads.wait_for_completion(submitted.id, _SECONDS)
    assert (done.status, done.worker_id, done.retry_count) == ("COMPLETED", worker, 0)


async def test_an_upgrade_of_a_running_system_loses_nothing(releases: Releases) -> None:
    code = "import niyanta; print(niyanta.__file__)"
    assert (await releases.python("-c", code, release=releases.previous)).startswith(str(releases.folder))

    # The previous release, at work.
    await releases.run("db", "upgrade", release=releases.previous)
    await releases.run("admin", "create-customer", "Acme", "--id", "cust_a", release=releases.previous)
    made = await releases.run("admin", "create-key", "--customer", "cust_a", "--json", release=releases.previous)
    key = json.loads(made)["api_key"]
    coordinator, url = await releases.coordinator("k-previous", release=releases.previous)
    worker = await releases.worker("w-previous", release=releases.previous)
    async with AsyncClient(key, url) as client:
        await run_on(client, "w-previous")
        long = await client.workloads.submit("count", {"to": 100_000})
        assert (await has_checkpoint(client, long.id)).worker_id == "w-previous"

        # The schema goes first, under it.
        owner_url = releases.settings["NIYANTA_DATABASE_URL"]
        assert (await migrate.upgrade(owner_url)).is_current
        releases.settings["NIYANTA_DATABASE_URL"] = await coordinator_url(owner_url)
        await run_on(client, "w-previous")

        # This release beside it, in a role of its own, and then alone; the old workers go on, and one comes back.
        _, url_now = await releases.coordinator("k-now", release=NOW)
        async with AsyncClient(key, url_now) as client_now:
            await run_on(client_now, "w-previous")
            await run_on(client, "w-previous")
            await coordinator.stop()
            await run_on(client_now, "w-previous")
            returned = await releases.worker("w-returned", release=releases.previous)
            await run_on(client_now, "w-returned")
            await returned.stop()
            given = {**releases.previous, "NIYANTA_URL": url_now, "NIYANTA_API_KEY": key}
            shown = await releases.run("submit", "count", "--input", '{"to": 1}', "--wait", "--json", release=given)
            assert json.loads(shown)["status"] == "COMPLETED"

            # New workers take over from the old ones, from their checkpoints.
            await releases.worker("w-now", release=NOW)
            await run_on(client_now, "w-now")
            await worker.stop()
            taken = await has_checkpoint(client_now, long.id, worker="w-now")
            assert taken.retry_count == 0
            await client_now.workloads.cancel(long.id)
            events = [event.event_type for event in await client_now.workloads.audit(long.id)]
            assert events.count("workload.started") == 2, events


async def has_checkpoint(client: AsyncClient, workload_id: str, worker: str | None = None) -> Any:
    """The workload once it runs, on this worker if one is named, and has saved a checkpoint."""
    async with asyncio.timeout(_SECONDS):
        version = 0
        while True:
            found = await client.workloads.get(workload_id, wait_seconds=5, version=version)
            if found.status == "RUNNING" and found.checkpoint_sequence and worker in (None, found.worker_id):
                return found
            version = found.version or 0
