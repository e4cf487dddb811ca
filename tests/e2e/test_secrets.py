"""Secrets of a system that runs are not where others can read them: on command lines, and in logs."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil

from niyanta.embedded.postgres import password_of
from niyanta.server.store.roles.writing import DatabaseRole
from support.processes import Dev, until_gone


def command_lines() -> set[str]:
    """Of every process that anybody on this machine can see."""
    found = set()
    for process in psutil.process_iter():
        try:
            found.add(" ".join(process.cmdline()))
        except psutil.Error:
            continue
    return found


def secrets_in(folder: Path) -> set[str]:
    """All that opens a door, from the files for the owner alone."""
    found: dict[str, Any] = {}
    for name in ("credentials.json", "keys.json"):
        found |= json.loads((folder / name).read_text())
    engines = [json.loads(path.read_text()) for path in folder.glob("*/engine.json")]
    assert len(engines) == 2
    secrets = {found[name] for name in ("api_key", "admin_api_key", "join_token")}
    secrets |= {secret for engine in engines if (secret := engine.get("secret"))}
    secrets |= {secret for name in ("database_url", "nats_url") if (secret := urlsplit(found[name]).password)}
    secrets.add(password_of(found["database_url"], DatabaseRole.COORDINATOR))
    return secrets


def test_no_secret_is_on_a_command_line_or_in_a_log(tmp_path: Path) -> None:
    dev = Dev(tmp_path / "data")
    dev.launch()
    seen: set[str] = set()
    try:
        deadline = time.monotonic() + 120
        while b"is ready at" not in dev.output.read_bytes():
            assert time.monotonic() < deadline, dev.output.read_text()
            seen |= command_lines()
            time.sleep(0.05)
        with dev.client() as client:
            submitted = client.workloads.submit("count", {"to": 20})
            while client.workloads.get(submitted.id).status != "COMPLETED":
                assert time.monotonic() < deadline
                seen |= command_lines()
                time.sleep(0.05)
        secrets = secrets_in(dev.data_dir)
        logs = [dev.output, *dev.data_dir.rglob("*.log")]
    finally:
        processes = dev.descendants()
        dev.end()
    assert until_gone(processes, 30) == []
    assert len(secrets) >= 6
    for words in ("niyanta.cli.main coordinator", "niyanta.cli.main worker", "postgres", "nats-server", "initdb"):
        assert any(words in line for line in seen), words
    assert [line for line in seen if any(secret in line for secret in secrets)] == []
    assert len(logs) >= 5
    for log in logs:
        text = log.read_text(errors="replace")
        assert not any(secret in text for secret in secrets), log
