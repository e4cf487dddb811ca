"""The command line as a client of a whole system: what it prints for people and for programs, and how it exits."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from niyanta import AsyncClient
from niyanta.wire.messages import Completed, LogLine, Progressed, Released, Started
from support.command_line import Run, Shown, Start
from support.scripted_worker import ScriptedWorker
from support.system import System, beating, supported


@pytest.fixture
async def worker(system: System) -> AsyncIterator[ScriptedWorker]:
    made = await system.worker("w1")
    async with beating(made):
        yield made


async def test_explain_says_why_it_waits(system: System, run: Run) -> None:
    await supported(system)
    await system.submit()
    workload_id = await system.submit()
    shown = await run("explain", workload_id)
    assert shown.out.splitlines()[0] == f"{workload_id} is PENDING"
    assert "  • no live worker serves workload type 'count'" in shown.out
    assert re.search(r"^position +1 before it$", shown.out, re.MULTILINE)
    assert re.search(
        r"^would start it +one worker that serves 'count' and the one before it", shown.out, re.MULTILINE
    )
    found = (await run("explain", workload_id, "--json")).json
    assert [reason["code"] for reason in found["reasons"]] == ["type_not_served", "behind_others"]


async def test_list_pages_and_says_when_there_is_more(system: System, run: Run) -> None:
    await supported(system)
    ids = [await system.submit() for _ in range(125)]
    shown = await run("list")
    assert len(shown.out.splitlines()) == 1 + 20
    assert shown.err == "the first 20; --limit or --all shows more\n"
    assert [row.split()[0] for row in (await run("list", "--limit", "110")).out.splitlines()[1:]] == ids[:-111:-1]
    everything = await run("list", "--all", "--json", "--order", "asc")
    assert [w["workload_id"] for w in everything.json["workloads"]] == ids
    assert everything.json["pagination"] == {"has_more": False}
    assert (await run("list", "--all")).err == ""
    assert (await run("list", "--type", "nothing")).out == "none\n"


async def test_a_state_may_be_written_as_one_likes(system: System, run: Run) -> None:
    await supported(system)
    made = await system.submit()
    for status in ("pending", "PENDING", "Pending"):
        assert made in (await run("list", "--status", status)).out
    wrong = await run("list", "--status", "waiting")
    assert wrong.code == 2
    assert "redistributing" in wrong.err


async def test_json_has_no_fact_that_was_not_sent(system: System, run: Run, worker: ScriptedWorker) -> None:
    made = await system.submit()
    ref = (await worker.next_assignment()).ref
    await worker.report(ref, Started())  # from here on nothing changes between two looks
    (row,) = (await run("list", "--json")).json["workloads"]
    sent = (await system.call("GET", "/workloads"))[1]["workloads"][0]
    assert row == {name: value for name, value in sent.items() if value is not None}
    whole = await system.get(made)
    shown = (await run("get", made, "--json")).json
    assert set(shown) == {name for name, value in whole.items() if value is not None}
    cancelled = (await run("cancel", made, "--json")).json
    assert set(cancelled) == {"workload_id", "status", "cancelled_at", "version"}


@pytest.mark.parametrize("columns", [None, 80])
async def test_ids_and_states_are_whole_in_a_pipe_and_on_a_terminal(
    system: System, run: Run, columns: int | None
) -> None:
    worker_id = "worker-with-a-name-of-sixty-three-characters-0123456789-abcdefg"
    long = await system.worker(worker_id)
    async with beating(long):
        made = await system.submit()
        await long.report((await long.next_assignment()).ref, Started())
        listed = (await run("list", columns=columns)).out
        assert made in listed
        assert "RUNNING" in listed
        for shown in (
            listed,
            (await run("audit", made, columns=columns)).out,
            (await run("workers", "list", key="admin", columns=columns)).out,
        ):
            assert worker_id in shown
            assert ("\x1b[" in shown) is (columns is not None)  # colours on a terminal alone


async def _log(system: System, workload_id: str, count: int) -> None:
    connection = await asyncpg.connect(system.database_url)
    began = datetime.now(UTC) - timedelta(seconds=10)
    levels = ("DEBUG", "INFO", "WARN", "ERROR")
    await connection.executemany(
        "INSERT INTO workload_logs"
        " (customer_id, workload_id, logged_at, generation, sequence, level, message, details)"
        " VALUES ('cust_a', $1, $2, 1, $3, $4, $5, '{}')",
        [
            (workload_id, began + timedelta(milliseconds=n // 50), n + 1, levels[n % 4], f"line {n}")
            for n in range(count)
        ],
    )
    await connection.close()


def messages(shown: Shown) -> list[str]:
    assert shown.code == 0, shown
    return [line.split(maxsplit=3)[3] for line in shown.out.splitlines()]


async def test_logs_show_the_last_lines_and_how_many_more_there_are(system: System, run: Run) -> None:
    await supported(system)
    made = await system.submit()
    await _log(system, made, 604)
    last = await run("logs", made)
    assert messages(last) == [f"line {n}" for n in range(504, 604)]
    assert last.err == "504 earlier lines; --tail or --all shows them\n"
    assert messages(await run("logs", made, "--tail", "3")) == ["line 601", "line 602", "line 603"]
    assert messages(await run("logs", made, "--all")) == [f"line {n}" for n in range(604)]
    assert messages(await run("logs", made, "--level", "error", "--all")) == [f"line {n}" for n in range(3, 604, 4)]
    assert messages(await run("logs", made, "--since", "1h")) == [f"line {n}" for n in range(604)]
    assert (await run("logs", made, "--since", "5s")).out == ""
    assert messages(await run("logs", made, "--search", "LINE 60")) == [f"line {n}" for n in (60, *range(600, 604))]
    assert messages(await run("logs", made, "--search", "e 60", "--tail", "2")) == ["line 602", "line 603"]
    shown = [json.loads(line) for line in (await run("logs", made, "--all", "--json")).out.splitlines()]
    assert [line["sequence"] for line in shown] == list(range(1, 605))


async def test_logs_follow_to_the_end(system: System, start: Start, worker: ScriptedWorker) -> None:
    made = await system.submit()
    ref = (await worker.next_assignment()).ref
    await worker.report(ref, Started(), *(LogLine("INFO", f"early {n}") for n in range(300)))
    following = await start("logs", made, "--follow", "--tail", "2")
    assert following.stdout is not None
    shown: list[str] = []

    async def until(last: str) -> None:
        async with asyncio.timeout(30):
            while not shown or shown[-1] != last:
                assert following.stdout is not None
                shown.append((await following.stdout.readline()).decode().split(maxsplit=3)[3].rstrip())

    await until("early 299")
    for number in range(3):
        await worker.report(ref, *(LogLine("WARN", f"late {number}.{n}") for n in range(50)))
        await until(f"late {number}.49")
    await worker.report(ref, LogLine("INFO", "the last word"), Completed(b"{}"))
    await until("the last word")
    assert await following.wait() == 0
    late = [f"late {number}.{n}" for number in range(3) for n in range(50)]
    assert shown == ["early 298", "early 299", *late, "the last word"]


async def test_a_loop_over_logs_in_the_sdk_has_each_line_once(system: System) -> None:
    await supported(system)
    made = await system.submit()
    await _log(system, made, 2604)
    async with AsyncClient(system.keys["cust_a"], system.url("")) as client:
        wanted = [f"line {n}" for n in range(2604)]
        assert [line.message async for line in client.workloads.iterate_logs(made)] == wanted
        newest = [line.message async for line in client.workloads.iterate_logs(made, order="desc", limit=1500)]
        assert newest == wanted[:-1501:-1]
        page = await client.workloads.logs(made, tail=4)
        assert ([line.message for line in page], page.pagination.total) == (wanted[-4:], 2604)
        assert [line.message async for line in client.workloads.iterate_logs(made, tail=4)] == wanted[-4:]


async def test_submit_and_wait(system: System, run: Run, worker: ScriptedWorker) -> None:
    async def serve() -> None:
        for _ in range(3):
            ref = (await worker.next_assignment(30)).ref
            await worker.report(ref, Started(), Progressed(50, "half"))
            await worker.report(ref, Completed(b'{"n": 1}'))

    serving = asyncio.create_task(serve())
    one = await run("submit", "count", "--wait", "--json")
    assert one.out.count("\n") == 1
    assert (one.json["status"], one.json["result_data"], one.json["progress_percent"]) == ("COMPLETED", {"n": 1}, 100)
    lines = [
        json.loads(line) for line in (await run("submit", "count", "--wait", "--json", "--events")).out.splitlines()
    ]
    assert [line["type"] for line in lines[:-1]][-1] == "completed"
    assert lines[-1]["result_data"] == {"n": 1}
    assert "type" not in lines[-1]
    people = await run("submit", "count", "--wait")
    assert people.out.splitlines()[-1] == '{"n": 1}'
    assert people.out.splitlines()[0].startswith("wl_")
    await serving
    assert (await run("submit", "count", "--events")).code == 2


async def test_history_is_one_table_and_whole_as_json(system: System, run: Run, worker: ScriptedWorker) -> None:
    made = await system.submit()
    ref = (await worker.next_assignment()).ref
    await worker.report(ref, Started())
    for number in range(5):
        await worker.checkpoint(ref, b"%d" % number)
    await worker.report(ref, Completed(b"{}"))
    shown = (await run("audit", made)).out
    assert "checkpoint_created × 5" in shown
    assert "4–8" in shown
    events = [json.loads(line) for line in (await run("audit", made, "--json")).out.splitlines()]
    assert [event["event_id"] for event in events] == list(range(1, 10))


async def test_json_is_objects(system: System, run: Run, worker: ScriptedWorker) -> None:
    """One, or one a line: never a bare list, to which nothing could be added."""
    made = await system.submit()
    await run("configs", "create", "resize", "--max-retries", "1")
    whole = {
        ("list",): "workloads",
        ("get", made): "workload_id",
        ("customer",): "limits",
        ("stats",): "summary",
        ("configs", "list"): "configs",
        ("workers", "list"): "workers",
    }
    for words, name in whole.items():
        assert name in (await run(*words, "--json", key="admin" if words[0] == "workers" else "cust_a")).json, words
    for words in (("logs", made), ("audit", made)):
        lines = (await run(*words, "--json")).out.splitlines()
        assert all(isinstance(json.loads(line), dict) for line in lines), words


async def test_people_are_shown_fields(run: Run) -> None:
    shown = (await run("customer")).out
    assert "{" not in shown
    assert re.search(r"^limits\.max_queue_depth +[0-9]+$", shown, re.MULTILINE)
    assert re.search(r"^usage\.workloads_today +0$", shown, re.MULTILINE)


async def test_an_error_names_its_request(run: Run) -> None:
    shown = await run("get", "wl_nothing")
    assert shown.code == 1
    assert shown.err.startswith("niyanta: NOT_FOUND: ")
    assert "[request req_" in shown.err


async def test_a_drain_is_ended(system: System, run: Run, worker: ScriptedWorker) -> None:
    for words, status in (("drain", "DRAINING"), ("undrain", "HEALTHY")):
        assert (await run("workers", words, "w1", key="admin")).code == 0
        (found,) = (await run("workers", "list", "--json", key="admin")).json["workers"]
        assert found["status"] == status
    assert (await run("workers", "undrain", "w1")).code == 1  # no admin


async def test_a_drain_that_moves_is_followed_until_nothing_is_left(
    system: System, run: Run, worker: ScriptedWorker
) -> None:
    made = await system.submit()
    ref = (await worker.next_assignment()).ref
    await worker.report(ref, Started())
    other = await system.worker("w2")
    async with beating(other):
        shown = asyncio.create_task(run("workers", "drain", "w1", "--mode", "move", key="admin"))
        async with asyncio.timeout(30):
            while ref not in ((await worker.beat(ref)).moving or ()):
                await asyncio.sleep(0.05)
        await worker.checkpoint(ref, b"{}")
        await worker.report(ref, Released("drained"))
        found = await shown
    assert found.code == 0
    lines = found.out.splitlines()
    assert lines[0] == "w1 drains"
    assert lines[-1] == f"{made} (cust_a, count) moved to w2 from checkpoint 1, 0 s lost"
    report = (await run("workers", "drain", "w1", "--mode", "move", "--json", key="admin")).json
    assert (report["remaining"], report["workloads"][0]["outcome"]) == (0, "moved")


async def test_whoever_reads_may_stop_reading(system: System, run: Run) -> None:
    await supported(system)
    made = await system.submit()
    await _log(system, made, 5000)
    command = f"{sys.executable} -m niyanta.cli.main logs {made} --all | head -1"
    environment = {**os.environ, "NIYANTA_URL": system.url(""), "NIYANTA_API_KEY": system.keys["cust_a"]}
    process = await asyncio.create_subprocess_shell(
        command, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await process.communicate()
    assert (out.decode().split()[-1], err) == ("0", b"")


async def test_top_shows_what_is_under_way_and_operators_the_workers(system: System, run: Run) -> None:
    worker = await system.worker("w1", capacity=1)
    async with beating(worker):
        ids = [await system.submit() for _ in range(2)]
        await system.until(ids[0], "SCHEDULED")
        for_people = (await run("top")).out
        assert {tuple(line.split()[:2]) for line in for_people.splitlines()[3:]} == {(one, "count") for one in ids}
        assert "TAGS" not in for_people
        found = (await run("top", "--json", key="admin")).json
        assert [one["worker_id"] for one in found["workers"]] == ["w1"]
