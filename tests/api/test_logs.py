"""Reading a workload's log: every line once, from either end, also where many lines share a moment."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import socket
import string
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import asyncpg
import grpc
import pytest

from niyanta.server.store import logs
from niyanta.wire.v1 import workload_service_pb2 as pb
from support.cases import cases
from support.grpc_calls import Calls
from support.system import System

BEGAN = datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=5)
LEVELS = ("DEBUG", "INFO", "INFO", "WARN", "ERROR")
COUNT = 604

Lines = list[dict[str, Any]]


@pytest.fixture
async def conn(system: System) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(system.database_url)
    await connection.execute(
        "INSERT INTO workload_configs (customer_id, config_id, workload_type)"
        " SELECT customer_id, 'wlcfg_count', 'count' FROM customers"
    )
    yield connection
    await connection.close()


_INSERT = """
INSERT INTO workload_logs (customer_id, workload_id, logged_at, generation, sequence, level, message, details)
VALUES ('cust_a', $1, $2, $3, $4, $5, $6, $7)
"""

Line = tuple[str, datetime, int, int, str, str, str]


def line(workload_id: str, at: datetime, attempt: int, sequence: int, level: str = "INFO") -> Line:
    return workload_id, at, attempt, sequence, level, f"line {attempt}.{sequence}", "{}"


async def add_lines(conn: Any, *lines: Line) -> None:
    await conn.executemany(_INSERT, lines)


@pytest.fixture
async def workload_id(system: System, conn: Any) -> str:
    """A workload with a log: bursts of lines in one millisecond and in one microsecond, by two attempts."""
    made = await system.submit()
    await add_lines(
        conn,
        *(
            line(
                made,
                BEGAN + timedelta(milliseconds=number // 50, microseconds=number % 3),
                1 + number % 2,
                number + 1,
                LEVELS[number % len(LEVELS)],
            )
            for number in range(COUNT)
        ),
    )
    return made


async def page(system: System, workload_id: str, **query: Any) -> dict[str, Any]:
    words = "&".join(f"{name}={value}" for name, value in query.items())
    status, body, _ = await system.call("GET", f"/workloads/{workload_id}/logs?{words}")
    assert status == 200, body
    assert body["has_more"] is body["pagination"]["has_more"] is (body["pagination"]["next_cursor"] is not None)
    return dict(body)


async def everything(system: System, workload_id: str, **query: Any) -> list[Lines]:
    pages: list[Lines] = []
    cursor: dict[str, str] = {}
    while True:
        body = await page(system, workload_id, **query | cursor)
        pages.append(body["logs"])
        if not body["has_more"]:
            return pages
        cursor = {"cursor": body["pagination"]["next_cursor"]}


def names(lines: Lines) -> list[tuple[int, int]]:
    return [(each["attempt"], each["sequence"]) for each in lines]


def expected(level: str = "DEBUG") -> list[tuple[int, int]]:
    """All lines of this level or above as they follow each other."""
    wanted = LEVELS[LEVELS.index(level) :]
    numbers = [number for number in range(COUNT) if LEVELS[number % len(LEVELS)] in wanted]
    numbers.sort(key=lambda number: (number // 50, number % 3, 1 + number % 2, number))
    return [(1 + number % 2, number + 1) for number in numbers]


@cases(("limit", "order"), itertools.product([1, 7, 50, 100, 604, 1000], ["asc", "desc"]))
async def test_the_cursor_loses_no_line_and_repeats_none(
    system: System, workload_id: str, limit: int, order: str
) -> None:
    if limit == 1:
        pages = [(await page(system, workload_id, limit=1, order=order))["logs"]]
        assert names(pages[0]) == [expected()[0 if order == "asc" else -1]]
        return
    pages = await everything(system, workload_id, limit=limit, order=order)
    found = names(list(itertools.chain(*pages)))
    assert found == (expected() if order == "asc" else expected()[::-1])
    assert all(len(lines) == limit for lines in pages[:-1])


@cases("level", ["DEBUG", "INFO", "WARN", "ERROR"])
async def test_level_is_the_least_that_is_shown(system: System, workload_id: str, level: str) -> None:
    pages = await everything(system, workload_id, limit=99, level=level)
    assert names(list(itertools.chain(*pages))) == expected(level)


async def test_a_tail_is_the_last_lines_oldest_first_and_its_cursor_leads_back(
    system: System, workload_id: str
) -> None:
    first = await page(system, workload_id, tail=10)
    assert names(first["logs"]) == expected()[-10:]
    assert first["pagination"]["total"] == COUNT
    assert first["pagination"]["total_is_estimate"] is False
    second = await page(system, workload_id, tail=20, cursor=first["pagination"]["next_cursor"])
    assert names(second["logs"]) == expected()[-30:-10]
    assert "total" not in second["pagination"]
    whole = await page(system, workload_id, tail=1000, level="ERROR")
    assert names(whole["logs"]) == expected("ERROR")
    assert (whole["has_more"], whole["pagination"]["total"]) == (False, len(expected("ERROR")))


async def test_since_leaves_its_moment_out_and_until_takes_it_in(system: System, workload_id: str) -> None:
    since, until = ((BEGAN + timedelta(milliseconds=ms)).isoformat().replace("+00:00", "Z") for ms in (3, 5))
    pages = await everything(system, workload_id, limit=13, since=since, until=until)
    found = {sequence - 1 for _, sequence in names(list(itertools.chain(*pages)))}
    exactly_at = {number for number in range(COUNT) if number % 3 == 0}
    assert found == {n for n in range(150, 300) if n // 50 in (3, 4)} - {n for n in exactly_at if n // 50 == 3} | {
        n for n in exactly_at if n // 50 == 5
    }


async def test_lines_that_come_while_somebody_reads_are_found(system: System, conn: Any, workload_id: str) -> None:
    body = await page(system, workload_id, limit=600)
    last = BEGAN + timedelta(milliseconds=(COUNT - 1) // 50, microseconds=2)
    await add_lines(conn, *(line(workload_id, last, 3, sequence) for sequence in (1001, 1002)))
    rest = await everything(system, workload_id, limit=3, cursor=body["pagination"]["next_cursor"])
    assert names(body["logs"] + list(itertools.chain(*rest)))[-2:] == [(3, 1001), (3, 1002)]


@cases(
    ("query", "field"),
    [
        ("tail=5&limit=5", "tail"),
        ("tail=5&order=asc", "tail"),
        ("tail=0", "tail"),
        ("tail=1001", "tail"),
        ("limit=1001", "limit"),
        ("level=info", "level"),
        ("order=up", "order"),
        ("cursor=abc", "cursor"),
        ("since=2025-10-28T00:00:00Z&until=2025-10-27T00:00:00Z", "since"),
        ("q=", "q"),
        ("q=%20%20", "q"),
        ("q=a%00b", "q"),
        ("q=" + 201 * "a", "q"),
    ],
)
async def test_what_can_not_be_read_is_refused(system: System, workload_id: str, query: str, field: str) -> None:
    for accept in ("application/json", "text/plain"):
        status, body, _ = await system.call("GET", f"/workloads/{workload_id}/logs?{query}", Accept=accept)
        assert (status, body["error"]["code"], body["error"]["details"]["field"]) == (400, "INVALID_INPUT", field)


async def test_a_cursor_is_good_for_its_workload_its_customer_and_its_filters_only(
    system: System, conn: Any, workload_id: str
) -> None:
    query = {"limit": 5, "level": "INFO", "order": "desc", "until": "2099-01-01T00:00:00Z"}
    cursor = (await page(system, workload_id, **query))["pagination"]["next_cursor"]
    await page(system, workload_id, **query | {"limit": 9}, cursor=cursor)
    others = [
        {"level": "WARN"},
        {"q": "line"},
        {"order": "asc"},
        {"until": "2098-01-01T00:00:00Z"},
        {"since": "2020-01-01"},
    ]
    for other in others:
        words = "&".join(f"{name}={value}" for name, value in {**query, **other, "cursor": cursor}.items())
        assert (await system.call("GET", f"/workloads/{workload_id}/logs?{words}"))[0] == 400, other
    words = "&".join(f"{name}={value}" for name, value in {**query, "cursor": cursor}.items())
    assert (await system.call("GET", f"/workloads/{await system.submit()}/logs?{words}"))[0] == 400
    foreign = await system.submit("cust_b")
    assert (await system.call("GET", f"/workloads/{foreign}/logs?{words}", key="cust_b"))[0] == 400
    assert (await system.call("GET", f"/workloads/{workload_id}/logs?{words}", key="cust_b"))[0] == 404
    forged = cursor[:-2] + ("AA" if cursor[-2:] != "AA" else "BB")
    words = "&".join(f"{name}={value}" for name, value in {**query, "cursor": forged}.items())
    assert (await system.call("GET", f"/workloads/{workload_id}/logs?{words}"))[0] == 400


def having(words: str, level: str = "DEBUG") -> list[tuple[int, int]]:
    """What a search for a part of the messages is to find."""
    return [place for place in expected(level) if words in f"line {place[0]}.{place[1]}"]


@cases(("order", "limit", "bound"), itertools.product(["asc", "desc"], [1, 10, 1000], [7, 100, 5000]))
async def test_a_search_finds_every_line_once_and_a_page_of_it_looks_no_further_than_it_may(
    system: System, workload_id: str, monkeypatch: pytest.MonkeyPatch, order: str, limit: int, bound: int
) -> None:
    monkeypatch.setattr(logs, "MAX_SEARCHED_LINES", bound)
    pages = await everything(system, workload_id, q="LiNe%201.59", limit=limit, order=order)
    found = names(list(itertools.chain(*pages)))
    assert found == having("line 1.59")[:: 1 if order == "asc" else -1]
    assert len(found) == 6
    assert all(len(lines) <= limit for lines in pages)
    assert len(pages) >= COUNT // bound
    assert bound < COUNT or len(pages) == -(-len(found) // limit)


async def test_the_last_lines_of_a_search_lead_to_those_before(
    system: System, workload_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = having("3", "WARN")
    last = await page(system, workload_id, q="3", level="WARN", tail=5)
    assert names(last["logs"]) == wanted[-5:]
    assert "total" not in last["pagination"], "counting would mean to look at the whole log"
    before = await page(system, workload_id, q="3", level="WARN", tail=5, cursor=last["pagination"]["next_cursor"])
    assert names(before["logs"]) == wanted[-10:-5]
    whole = await page(system, workload_id, q="3", level="WARN", tail=1000)
    assert (names(whole["logs"]), whole["pagination"]["total"]) == (wanted, len(wanted))
    monkeypatch.setattr(logs, "MAX_SEARCHED_LINES", 5)
    nothing = await page(system, workload_id, q="line%201.3.", tail=5)
    assert (nothing["logs"], nothing["has_more"]) == ([], True)


async def test_a_search_takes_its_words_as_they_are_in_whatever_case(system: System, conn: Any) -> None:
    workload_id = await system.submit()
    said = ["50% DONE", "a_b \\ c", "Ärger mit ЖУК", "nothing", "***:(?i)x{2}|[^-]$", string.punctuation, "Ο Σίσυφος"]
    await add_lines(
        conn, *((workload_id, BEGAN, 1, number, "INFO", words, "{}") for number, words in enumerate(said))
    )
    for words, found in {
        "0% do": [0], "%": [0, 5], "_": [1, 5], "\\ C": [1], "ÄRGER": [2], "жук": [2], "o": [0, 3], ".*": [],
        "a b": [], "***": [4], "***:(?I)X{2}|[^-]$": [4], "^": [4, 5], string.punctuation: [5], "ing\n": [],
        "ΣΊΣΥΦΟΣ": [6],
    }.items():  # fmt: skip
        body = await page(system, workload_id, q=quote(words))
        assert [each["sequence"] for each in body["logs"]] == found, words


async def text(system: System, path: str, key: str = "cust_a", accept: str = "text/plain") -> tuple[int, str, Any]:
    headers = {"Authorization": f"Bearer {system.keys[key]}", "Accept": accept}
    async with system.http.get(system.url("/v1" + path), headers=headers) as response:
        return response.status, await response.text(), response.headers


async def test_as_text_the_whole_log_comes_at_once(system: System, conn: Any, workload_id: str) -> None:
    late = BEGAN + timedelta(seconds=1)
    await add_lines(conn, *(line(workload_id, late, 2, sequence) for sequence in range(2000, 3500)))
    status, found, headers = await text(system, f"/workloads/{workload_id}/logs")
    assert status == 200
    assert headers["Content-Type"] == "text/plain; charset=utf-8"
    assert headers["Content-Disposition"] == f'attachment; filename="{workload_id}.log"'
    assert headers["X-Request-ID"]
    lines = found.splitlines()
    assert len(lines) == COUNT + 1500
    stamp = BEGAN.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    attempt, sequence = expected()[0]
    assert lines[0] == f"{stamp} DEBUG line {attempt}.{sequence}"
    assert lines[-1].endswith(" INFO  line 2.3499")
    for query, count in (
        ("limit=3", 3),
        ("tail=4", 4),
        ("level=ERROR", len(expected("ERROR"))),
        ("order=desc", 2104),
        ("q=LINE+2.3", 500 + len(having("line 2.3"))),
    ):
        _, found, _ = await text(system, f"/workloads/{workload_id}/logs?{query}")
        assert len(found.splitlines()) == count, query


def sends_at_once(peer: tuple[str, int]) -> bool:
    """Whether the end in this process, which the coordinator runs in, of a connection from an address does."""
    for name in os.listdir("/proc/self/fd"):
        # An error: no socket, or not connected.
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(int(name))) as found:
            if found.getpeername() == peer:
                return bool(found.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
    raise AssertionError(f"no connection from {peer}")


async def test_no_part_of_an_answer_waits_until_the_one_before_has_been_confirmed(system: System) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", system.coordinator.port)
    writer.write(b"GET /health HTTP/1.1\r\nHost: here\r\n\r\n")
    assert (await reader.readline()).startswith(b"HTTP/1.1 200")
    assert sends_at_once(writer.get_extra_info("sockname"))
    writer.close()
    await writer.wait_closed()


async def test_in_text_no_message_passes_for_two_or_moves_a_terminal(system: System, conn: Any) -> None:
    workload_id = await system.submit()
    forged = "first\n2099-01-01T00:00:00.000Z ERROR forged\r\nmore\x1b[2J\ttab\x9b"
    await add_lines(conn, (workload_id, BEGAN, 1, 1, "INFO", forged, '{"a": 1}'))
    _, found, _ = await text(system, f"/workloads/{workload_id}/logs")
    first, second, third = found.splitlines()
    assert first.endswith("INFO  first")
    assert second == "    2099-01-01T00:00:00.000Z ERROR forged"
    assert third == '    more\\x1b[2J\ttab\\x9b {"a": 1}'


@cases(
    ("accept", "kind"),
    [
        ("*/*", "application/json"),
        ("application/*", "application/json"),
        ("text/*", "text/plain; charset=utf-8"),
        ("text/plain;q=0.5, application/json", "application/json"),
        ("application/json;q=0.5, text/plain", "text/plain; charset=utf-8"),
        ("text/html, */*;q=0.1", "application/json"),
        ("text/plain, */*;q=0.1", "text/plain; charset=utf-8"),
    ],
)
async def test_accept_chooses(system: System, workload_id: str, accept: str, kind: str) -> None:
    status, _, headers = await text(system, f"/workloads/{workload_id}/logs?limit=2", accept=accept)
    assert (status, headers["Content-Type"]) == (200, kind)
    status, found, _ = await text(system, f"/workloads/{workload_id}/logs?limit=2", accept="image/png")
    assert (status, json.loads(found)["error"]["details"]["allowed"]) == (406, ["application/json", "text/plain"])


async def test_a_foreign_log_is_as_missing_as_text_as_it_is_as_json(system: System, workload_id: str) -> None:
    status, found, _ = await text(system, f"/workloads/{workload_id}/logs", "cust_b")
    missing = workload_id[:-6] + "zz0zz0"
    other, like, _ = await text(system, f"/workloads/{missing}/logs", "cust_b")
    assert status == other == 404
    assert {**json.loads(found)["error"], "request_id": ""} == {**json.loads(like)["error"], "request_id": ""}


# --- gRPC -----------------------------------------------------------------------------------------


@cases(
    "query",
    [
        {},
        {"limit": 7},
        {"order": "desc", "limit": 9},
        {"tail": 8},
        {"level": "WARN", "limit": 20},
        {"q": "LINE 1", "limit": 4},
        {"q": "7", "tail": 3},
    ],
)
async def test_grpc_gives_rests_pages(system: System, calls: Calls, workload_id: str, query: dict[str, Any]) -> None:
    given = query | ({"level": f"LOG_LEVEL_{query['level']}"} if "level" in query else {})
    cursor: dict[str, Any] = {}
    for _ in range(3):
        rest = await page(system, workload_id, **query, **cursor)
        answer = await calls.call(
            "GetWorkloadLogs", pb.GetWorkloadLogsRequest(workload_id=workload_id, **given, **cursor)
        )
        assert [(each.attempt, each.sequence) for each in answer.logs] == names(rest["logs"])
        assert [pb.LogLevel.Name(each.level) for each in answer.logs] == [
            f"LOG_LEVEL_{each['level']}" for each in rest["logs"]
        ]
        assert [each.message for each in answer.logs] == [each["message"] for each in rest["logs"]]
        assert [each.timestamp.ToJsonString() for each in answer.logs] == [
            each["timestamp"].replace(".000Z", "Z") for each in rest["logs"]
        ]
        assert answer.pagination.next_cursor == rest["pagination"]["next_cursor"]
        assert answer.pagination.has_more is rest["has_more"]
        assert answer.pagination.HasField("total") is ("total" in rest["pagination"])
        cursor = {"cursor": answer.pagination.next_cursor}


async def test_grpc_carries_details_that_a_struct_can_not(system: System, calls: Calls, conn: Any) -> None:
    workload_id = await system.submit()
    details = '{"id": 9007199254740993, "ok": [1, "two"], "deep": ' + "[" * 60 + "]" * 60 + "}"
    await add_lines(conn, (workload_id, BEGAN, 1, 1, "INFO", "told", details))
    answer = await calls.call("GetWorkloadLogs", pb.GetWorkloadLogsRequest(workload_id=workload_id))
    (only,) = answer.logs
    assert only.details["id"] == "9007199254740993"
    assert list(only.details["ok"]) == [1, "two"]
    assert only.details["deep"] == "[" * 60 + "]" * 60


@cases(
    ("fields", "named"),
    [
        ({"limit": -1}, "limit"),
        ({"limit": 1001}, "limit"),
        ({"tail": -1}, "tail"),
        ({"tail": 5, "order": "asc"}, "tail"),
        ({"order": "up"}, "order"),
        ({"level": 9}, "level"),
        ({"cursor": "abc"}, "cursor"),
        ({"q": "  "}, "q"),
        ({"q": 201 * "a"}, "q"),
    ],
)
async def test_grpc_refuses_what_rest_refuses(
    calls: Calls, workload_id: str, fields: dict[str, Any], named: str
) -> None:
    refusal = await calls.refused("GetWorkloadLogs", pb.GetWorkloadLogsRequest(workload_id=workload_id, **fields))
    assert (refusal.code, refusal.fields) == (grpc.StatusCode.INVALID_ARGUMENT, [named])
    missing = workload_id[:-6] + "zz0zz0"
    refusal = await calls.refused("GetWorkloadLogs", pb.GetWorkloadLogsRequest(workload_id=missing, **fields))
    assert refusal.code == grpc.StatusCode.NOT_FOUND
