"""The console in a real browser: Debian's Chromium, driven by Playwright. See ``console/tests``."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from support.processes import APPS, Dev

CONSOLE = Path(__file__).parents[2] / "console"
TESTS = CONSOLE / "tests" / "console.test.mjs"


def browser() -> str:
    """The browser's path; skips the test where something that it needs is missing."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("there is no Chromium on PATH")
    if shutil.which("node") is None:
        pytest.skip("there is no Node on PATH")
    if not (CONSOLE / "node_modules" / "playwright-core").is_dir():
        pytest.skip("Playwright isn't there; `make console` gets it")
    return chromium


def test_what_the_console_decides_without_a_browser() -> None:
    if shutil.which("node") is None or not (CONSOLE / "node_modules" / "esbuild").is_dir():
        pytest.skip("Node or what `make console` gets isn't there")
    done = subprocess.run(
        ["node", "--test", "--test-reporter=tap", str(CONSOLE / "tests" / "rules.test.mjs")],
        cwd=CONSOLE,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-5_000:]


@pytest.mark.timeout(600)
def test_people_work_with_the_console(tmp_path: Path) -> None:
    chromium = browser()
    system = Dev(tmp_path / "data", app="shown:worker", folder=APPS, options=("--workers", "2"))
    system.start()
    try:
        found = json.loads((system.data_dir / "credentials.json").read_text())
        environment = {
            **os.environ,
            "CHROMIUM": chromium,
            "NIYANTA_URL": found["base_url"],
            "NIYANTA_API_KEY": found["api_key"],
            "NIYANTA_ADMIN_API_KEY": found["admin_api_key"],
            "NIYANTA_PROCESSES": str(system.data_dir / "processes.json"),
        }
        done = subprocess.run(
            ["node", "--test", "--test-reporter=tap", str(TESTS)],
            env=environment,
            cwd=CONSOLE,
            capture_output=True,
            text=True,
            timeout=580,
        )
        assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-5_000:]
        assert "# skipped 0" in done.stdout
    finally:
        system.end()
