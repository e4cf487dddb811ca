"""The command line on what waits, has failed or is to be tried again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from niyanta.wire.messages import Completed, Failed, Progressed, Started
from support.command_line import Run
from support.scripted_worker import ScriptedWorker
from support.system import System, beating, supported

NOWHERE = {"hard_affinity": {"worker_id": "nowhere"}}


@pytest.fixture
async def worker(system: System) -> AsyncIterator[ScriptedWorker]:
    made = await system.worker("w1")
    async with beating(made):
        yield made


async def failed(system: System, worker: ScriptedWorker, error: str = "no disk 7", **fields: Any) -> str:
    workload_id = await system.submit(**fields)
    ref = (await worker.next_assignment()).ref
    await worker.report(ref, Started(), Failed(error, permanent=True))
    return workload_id


async def test_update_changes_what_waits(system: System, run: Run) -> None:
    await supported(system)
    made = await system.submit(affinity_rules=NOWHERE, timeout_seconds=60)
    shown = await run("update", made, "--priority", "700", "--timeout", "0", "--tag", "hardware=gpu", "--json")
    assert shown.json["priority"] == 700
    found = await system.get(made)
    assert (found["priority"], found["timeout_seconds"]) == (700, None)
    assert found["affinity_rules"] == {"hard_affinity": {"worker_tags": {"hardware": "gpu"}}}
    shown = await run("update", made, "--anywhere", "--version", "2")
    assert shown.code == 0, shown
    assert (await system.get(made))["affinity_rules"] is None
    shown = await run("update", made, "--label", "team=video", "--label", "stage=", "--json")
    assert shown.json["labels"] == {"team": "video", "stage": ""}
    assert (await run("update", made, "--no-labels", "--json")).json["labels"] == {}
    late = await run("update", made, "--priority", "1", "--version", "2")
    assert (late.code, "CONFLICT" in late.err) == (1, True), late
    for words in (
        (),
        ("--tag", "a=b", "--anywhere"),
        ("--label", "a=b", "--no-labels"),
        ("--tag", "a"),
        ("--priority", "1001"),
    ):
        assert (await run("update", made, *words)).code == 2, words
    assert (await system.get(made))["version"] == 5


async def test_checkpoints_are_listed_downloaded_and_pinned(
    system: System, run: Run, worker: ScriptedWorker, tmp_path: Path
) -> None:
    made = await system.submit()
    ref = (await worker.next_assignment()).ref
    await worker.report(ref, Started(), Progressed(30, None))
    await worker.checkpoint(ref, b'{"at": 1}')
    await worker.report(ref, Progressed(60, None))
    await worker.checkpoint(ref, b'{"at": 2}')
    rows = [line.split() for line in (await run("checkpoints", made)).out.splitlines()]
    assert rows[0][:4] == ["CHECKPOINT", "ATTEMPT", "DONE", "BYTES"]
    assert [row[:5] for row in rows[1:]] == [["2", "1", "60%", "9", "w1"], ["1", "1", "30%", "9", "w1"]]
    assert (await run("checkpoints", made, "--download", "1")).out == '{"at": 1}'
    target = tmp_path / "saved.json"
    assert (await run("checkpoints", made, "--download", "2", "--output", str(target))).code == 0
    assert hashlib.sha256(target.read_bytes()).digest() == hashlib.sha256(b'{"at": 2}').digest()
    assert (await run("checkpoints", made, "--pin", "1", "--json")).json["pinned"] is True
    lines = (await run("checkpoints", made, "--json")).out.splitlines()
    assert [(c["sequence"], c["pinned"]) for c in map(json.loads, lines)] == [(2, False), (1, True)]
    assert (await run("checkpoints", made, "--unpin", "1", "--json")).json["pinned"] is False
    missing = await run("checkpoints", made, "--download", "9")
    assert (missing.code, missing.out, "NOT_FOUND" in missing.err) == (1, "", True)
    assert (await run("checkpoints", made, "--pin", "1", "--unpin", "1")).code == 2


async def test_replay_by_id_with_what_is_new(system: System, run: Run, worker: ScriptedWorker) -> None:
    original, other = [await failed(system, worker, input_params={"n": n}) for n in (1, 2)]
    words = ("replay", original, "--input", '{"n": 3}', "--priority", "900", "--idempotency-key", "k", "--json")
    made = (await run(*words)).json["workload_id"]
    found = await system.get(made)
    assert (found["replayed_from"], found["input_params"], found["priority"]) == (original, {"n": 3}, 900)
    assert (await run(*words)).json["workload_id"] == made
    shown = await run("replay", original, other)
    assert [(await system.get(line))["replayed_from"] for line in shown.out.splitlines()] == [original, other]
    waiting = await system.submit(affinity_rules=NOWHERE)
    refused = await run("replay", waiting)
    assert (refused.code, "INVALID_STATE" in refused.err) == (1, True)
    for wrong in ((), (original, "--failed"), (original, other, "--from-checkpoint", "1")):
        assert (await run("replay", *wrong)).code == 2, wrong


async def test_replay_of_all_that_failed(system: System, run: Run, worker: ScriptedWorker) -> None:
    video = await failed(system, worker, labels={"team": "video"})
    web = await failed(system, worker, "bad input", labels={"team": "web"})
    completed = await system.submit()
    await worker.report((await worker.next_assignment()).ref, Started(), Completed(b"{}"))
    shown = await run("replay", "--failed", "--label", "team=video", "--since", "1h", "--type", "count")
    ((made, originals),) = [(row.split()[0], row.split()[-1]) for row in shown.out.splitlines()]
    assert (originals, (await system.get(made))["replayed_from"]) == (video, video)
    fingerprint = (await system.get(web))["error_fingerprint"]
    shown = await run("replay", "--failed", "--fingerprint", fingerprint, "--json")
    assert shown.json["replayed_from"] == web
    assert (await run("replay", "--failed", "--type", "nothing")).out == ""
    assert (await system.get(completed))["error_fingerprint"] is None


async def test_failures_are_shown_together(system: System, run: Run, worker: ScriptedWorker) -> None:
    assert (await run("failures")).out == "none\n"
    first = [await failed(system, worker, f"no disk {n}") for n in (1, 2)]
    second = await failed(system, worker, "ValueError: broken")
    rows = (await run("failures")).out.splitlines()
    assert [row.split()[1] for row in rows] == ["COUNT", "1", "2"]
    assert rows[1].endswith("ValueError: broken")
    assert second in rows[1]
    frequent = (await run("failures", "--frequent", "--limit", "1", "--json")).json
    (one,) = frequent["failures"]
    assert (one["count"], one["message"], one["workload_ids"]) == (2, "no disk 2", first[::-1])
    assert frequent["has_more"] is True
    listed = (await run("list", "--fingerprint", one["fingerprint"], "--json")).json["workloads"]
    assert [row["workload_id"] for row in listed] == first[::-1]
    assert (await run("failures", "--until", "2h")).out == "none\n"


async def test_list_by_labels_and_time(system: System, run: Run) -> None:
    await supported(system)
    made = (await run("submit", "count", "--label", "team=video", "--label", "n=1", "--json")).json["workload_id"]
    await run("submit", "count", "--label", "team=web")
    for words in (
        ("--label", "team=video"),
        ("--label", "team=video", "--label", "n=1", "--since", "1h"),
        ("--q", made),
    ):
        found = (await run("list", "--json", *words)).json["workloads"]
        assert [row["workload_id"] for row in found] == [made], words
    assert (await run("list", "--until", "1h")).out == "none\n"
    assert (await run("list", "--label", "team")).code == 2
    wrong = await run("list", "--label", "team=video", "--order-by", "priority")
    assert (wrong.code, "created_at" in wrong.err) == (1, True)
