"""``niyanta doctor`` on a system that runs, and on one that doesn't."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

from niyanta.embedded.engine import free_port
from support.system import System, beating


async def doctor(*words: str, cwd: Path | None = None, **environment: str) -> tuple[int, str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith("NIYANTA_")}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "niyanta.cli.main", "doctor", *words),
        env=own | environment,
        cwd=cwd,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert not err, err
    return process.returncode or 0, out.decode()


async def found_by(system: System) -> tuple[int, dict[str, list[dict[str, Any]]]]:
    settings = system.coordinator.settings
    urls: dict[str, Any] = {"NIYANTA_DATABASE_URL": settings.database_url, "NIYANTA_NATS_URL": settings.nats_url}
    urls["NIYANTA_BROKER_AUTH"] = settings.broker_auth
    code, out = await doctor("--json", **urls)
    by_check: dict[str, list[dict[str, Any]]] = {}
    for finding in json.loads(out)["findings"]:
        by_check.setdefault(finding["check"], []).append(finding)
    return code, by_check


async def test_a_running_system_is_found_well_but_for_what_is_missing(system: System) -> None:
    code, found = await found_by(system)
    assert code == 1
    assert [finding["severity"] for finding in found["workers"]] == ["wrong"]
    assert "niyanta worker" in found["workers"][0]["advice"]
    async with beating(await system.worker("w1", capacity=3)):
        code, found = await found_by(system)
    assert code == 0, found
    assert set(found) == {
        *("broker", "cgroups", "clocks", "database", "leader", "partitions", "retention", "role"),
        *("tls", "versions", "workers"),
    }
    assert "1 with 3 slots" in found["workers"][0]["text"]
    assert system.coordinator.settings.coordinator_id in found["leader"][0]["text"]
    assert len(found["partitions"]) == len(found["retention"]) == 2


async def test_beside_a_development_system_it_looks_at_that(system: System, tmp_path: Path) -> None:
    settings = system.coordinator.settings
    (tmp_path / ".niyanta").mkdir()
    urls = {"database_url": settings.database_url, "nats_url": settings.nats_url}
    (tmp_path / ".niyanta" / "credentials.json").write_text(json.dumps(urls))
    code, out = await doctor(cwd=tmp_path, NIYANTA_BROKER_AUTH=settings.broker_auth)
    assert code == 1  # there is no worker
    assert "ok      database: schema" in out
    assert "ok      broker: connected" in out
    assert "not looked at" not in out


async def test_engines_that_are_away_are_told_with_what_to_do(tmp_path: Path) -> None:
    nowhere = f"127.0.0.1:{free_port()}"
    code, out = await doctor("--database-url", f"postgresql://{nowhere}/niyanta", "--nats-url", f"nats://{nowhere}")
    assert code == 1
    assert "wrong   database: cannot reach" in out
    assert "wrong   broker: cannot reach the broker" in out
    assert out.count("→") >= 2
    assert "Traceback" not in out
    code, out = await doctor(cwd=tmp_path)
    assert code == 0
    assert "warning database: not looked at" in out
