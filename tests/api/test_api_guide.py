"""What docs/api.md shows is run as it stands there."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import sys
from pathlib import Path

import pytest

from niyanta.wire import messages
from support.scripted_worker import ScriptedWorker
from support.system import System, beating

GUIDE = (Path(__file__).resolve().parents[2] / "docs" / "api.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```(bash|python)\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)


async def complete(worker: ScriptedWorker) -> None:
    """Do what comes in, at once, for ever."""
    while True:
        ref = (await worker.assignments.get()).ref
        await worker.report(
            ref,
            messages.Started(),
            messages.LogLine("WARN", "the sound is quiet"),
            messages.CheckpointSaved(b"{}", hashlib.sha256(b"{}").digest()),
            messages.Completed(b'{"output_url": "s3://output/done.mp4"}'),
        )


def test_there_are_examples_in_both_languages() -> None:
    assert {language for language, _ in EXAMPLES} == {"bash", "python"}


@pytest.mark.parametrize(("language", "text"), EXAMPLES)
async def test_example_runs(system: System, language: str, text: str) -> None:
    environment = {**os.environ, "NIYANTA_URL": system.url(""), "NIYANTA_API_KEY": system.keys["cust_a"]}
    program = ["bash", "-euo", "pipefail", "-c"] if language == "bash" else [sys.executable, "-c"]
    worker = await system.worker(types=["video_transcoding"])
    async with beating(worker):
        completing = asyncio.create_task(complete(worker))
        try:
            earlier = await system.submit(workload_type="video_transcoding")
            await system.until(earlier, "COMPLETED")
            environment["WORKLOAD_ID"] = earlier
            async with asyncio.timeout(30):
                run = await asyncio.create_subprocess_exec(
                    *program, text, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
                )
                output, errors = await run.communicate()
        finally:
            completing.cancel()
            await asyncio.gather(completing, return_exceptions=True)
    assert run.returncode == 0, errors.decode()
    assert output
    assert b'"error"' not in output
    if language == "python":
        assert output == b"COMPLETED {'output_url': 's3://output/done.mp4'}\n"
