"""The client against a server that answers as it is told: retries, errors, pages, watching."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from niyanta import AsyncClient, Client, Status, errors
from niyanta.client.transport import find_credentials
from niyanta.domain.workload import Status as DomainStatus
from niyanta.errors import (
    ApiError,
    ConfigurationError,
    ConnectionFailedError,
    RateLimitedError,
    ServiceUnavailableError,
    WaitTimeoutError,
    WorkloadCancelledError,
    WorkloadFailedError,
)
from support.scripted_service import LINE, Answer, Service, breaks, fails, gives, socket, update


@pytest.fixture
async def client(service: Service) -> AsyncIterator[AsyncClient]:
    async with AsyncClient("nyt_cust_a_key", service.url, max_retries=2) as found:
        yield found


SUBMITTED = {"workload_id": "wl_1", "status": "PENDING", "created_at": "2025-10-27T12:34:56.000Z", "version": 1}


async def test_a_submission_that_broke_off_is_repeated_with_the_same_key(
    service: Service, client: AsyncClient
) -> None:
    service.on(
        "POST", "/workloads", breaks, fails(503, "SERVICE_UNAVAILABLE", Retry_After="0"), gives(SUBMITTED, 202)
    )
    workload = await client.workloads.submit("count", {"to": 3}, priority=0)
    assert workload.id == "wl_1"
    assert workload.input_params == {"to": 3}
    keys = {headers["Idempotency-Key"] for _, _, headers, _ in service.requests}
    assert len(service.requests) == 3
    assert len(keys) == 1
    assert service.requests[0][3] == {"workload_type": "count", "input_params": {"to": 3}, "priority": 0}


async def test_two_submissions_have_different_keys(service: Service, client: AsyncClient) -> None:
    service.on("POST", "/workloads", gives(SUBMITTED, 202))
    await client.workloads.submit("count", {})
    await client.workloads.submit("count", {})
    assert len({headers["Idempotency-Key"] for _, _, headers, _ in service.requests}) == 2


async def test_what_may_not_be_repeated_is_not(service: Service, client: AsyncClient) -> None:
    service.on("POST", "/workloads/wl_1/pause", breaks)
    with pytest.raises(ConnectionFailedError):
        await client.workloads.pause("wl_1")
    assert len(service.requests) == 1


async def test_retry_after_is_honoured_and_retries_end(service: Service, client: AsyncClient) -> None:
    service.on("GET", "/workloads/wl_1", fails(429, "RATE_LIMITED", Retry_After="0"))
    with pytest.raises(RateLimitedError) as failed:
        await client.workloads.get("wl_1")
    assert failed.value.retry_after_seconds == 0
    assert len(service.requests) == 3


async def _gateway_page(_: web.Request) -> web.Response:
    return web.Response(status=502, text="<html>bad gateway</html>")


async def _times_out(_: web.Request) -> web.Response:
    return web.Response(status=504)


@pytest.mark.parametrize("answer", [fails(503, "SERVICE_UNAVAILABLE"), _gateway_page, _times_out])
async def test_what_passes_is_repeated_without_a_time_too(
    service: Service, client: AsyncClient, answer: Answer
) -> None:
    service.on("POST", "/workloads", answer, answer, gives(SUBMITTED, 202))
    assert (await client.workloads.submit("count", {})).id == "wl_1"
    assert len({headers["Idempotency-Key"] for _, _, headers, _ in service.requests}) == 1
    service.on("GET", "/workloads/wl_1", answer)
    with pytest.raises(ServiceUnavailableError):
        await client.workloads.get("wl_1")
    assert len(service.requests) == 3 + 3


@pytest.mark.parametrize("answer", [fails(503, "SERVICE_UNAVAILABLE"), _gateway_page, _times_out])
async def test_what_may_have_been_done_is_not_repeated(service: Service, client: AsyncClient, answer: Answer) -> None:
    service.on("POST", "/workloads/wl_1/pause", answer)
    with pytest.raises(ServiceUnavailableError):
        await client.workloads.pause("wl_1")
    assert len(service.requests) == 1


async def test_an_error_that_does_not_pass_is_not_repeated(service: Service, client: AsyncClient) -> None:
    service.on("GET", "/workloads/wl_1", fails(500, "INTERNAL_ERROR"))
    with pytest.raises(errors.InternalError):
        await client.workloads.get("wl_1")
    assert len(service.requests) == 1


async def test_retry_after_may_be_a_date(service: Service, client: AsyncClient) -> None:
    past = "Wed, 21 Oct 2015 07:28:00 GMT"
    service.on("GET", "/workloads/wl_1", fails(503, "SERVICE_UNAVAILABLE", Retry_After=past), gives(SUBMITTED))
    assert (await client.workloads.get("wl_1")).id == "wl_1"


async def test_a_time_that_is_too_long_is_the_caller_s_to_wait(service: Service, client: AsyncClient) -> None:
    service.on("GET", "/workloads/wl_1", fails(429, "RATE_LIMITED", Retry_After="3600"))
    with pytest.raises(RateLimitedError) as failed:
        await client.workloads.get("wl_1")
    assert failed.value.retry_after_seconds == 3600
    assert len(service.requests) == 1


async def test_a_redirect_is_not_followed_with_the_key(service: Service, client: AsyncClient) -> None:
    async def elsewhere(_: web.Request) -> web.Response:
        return web.Response(status=301, headers={"Location": "https://other.example/v1/customer"})

    service.on("GET", "/customer", elsewhere)
    with pytest.raises(ApiError, match=r"301 and points to https://other\.example/v1/customer"):
        await client.customer.get()


@pytest.mark.parametrize("key", ["a\r\nX-Evil: 1", "\u20ac", "a\0b"])
async def test_a_key_that_no_header_can_hold_is_refused(service: Service, client: AsyncClient, key: str) -> None:
    with pytest.raises(ConfigurationError, match="Idempotency-Key"):
        await client.workloads.submit("count", {}, idempotency_key=key)
    assert service.requests == []


async def test_what_an_answer_does_not_carry_is_none(service: Service, client: AsyncClient) -> None:
    service.on("GET", "/workloads", gives({"workloads": [dict(SUBMITTED)], "pagination": {"has_more": False}}))
    (row,) = (await client.workloads.list()).workloads
    absent = ("progress_percent", "retry_count", "generation", "checkpoint_sequence", "worker_id", "result_data")
    assert [getattr(row, name) for name in absent] == [None] * len(absent)
    service.on("POST", "/workloads/wl_1/resume", gives({"workload_id": "wl_1", "status": "PENDING", "version": 4}))
    resumed = await client.workloads.resume("wl_1")
    assert (resumed.version, resumed.progress_percent, resumed.generation) == (4, None, None)


async def test_a_state_that_is_not_known_yet_is_kept(service: Service, client: AsyncClient) -> None:
    service.on("GET", "/workloads/wl_1", gives({"workload_id": "wl_1", "status": "HIBERNATING", "version": 4}))
    workload = await client.workloads.get("wl_1")
    assert workload.status == "HIBERNATING"
    assert isinstance(workload.status, Status)
    assert not workload.is_terminal


def test_the_states_are_the_domain_s() -> None:
    assert [(s.value, s.is_terminal) for s in Status] == [(s.value, s.is_terminal) for s in DomainStatus]


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("localhost:8080", r"as in http://localhost:8080"),
        ("127.0.0.1:8080/v1", r"as in http://127\.0\.0\.1:8080"),
        ("ftp://example.org", r"must begin with http"),
        ("http://", "names no host"),
        ("http://example.org:99999", "Port out of range"),
        ("http://exa mple.org", "names no host"),
        ("http://example.org/?a=b", "no \\?"),
        ("http://user:secret@example.org", "must not carry a name"),
        ("http://[::1", "can't be read"),
    ],
)
def test_a_base_url_that_can_t_work_is_refused_when_the_client_is_made(url: str, says: str) -> None:
    for kind in (Client, AsyncClient):
        with pytest.raises(ConfigurationError, match=says):
            kind("nyt_cust_a_key", url)


@pytest.mark.parametrize("url", ["http://h:1/v1/", "http://h:1/", "http://h:1"])
def test_a_base_url_may_end_as_it_likes(url: str) -> None:
    assert repr(Client("nyt_cust_a_key", url)) == "Client(base_url='http://h:1')"


ERRORS = sorted(
    (kind.http_status, kind.code, kind.__name__)
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, ApiError) and kind is not ApiError
)


@pytest.mark.parametrize(("status", "code", "name"), ERRORS)
async def test_each_code_has_its_class(
    service: Service, client: AsyncClient, status: int, code: str, name: str
) -> None:
    service.on("GET", "/workload-configs", fails(status, code))
    with pytest.raises(ApiError) as failed:
        await client.configs.list()
    assert type(failed.value).__name__ == name
    assert failed.value.message == "no"
    assert failed.value.details == {"field": "x"}
    assert failed.value.request_id == "req_1"


async def test_an_answer_that_is_not_ours_is_an_error_all_the_same(service: Service, client: AsyncClient) -> None:
    async def other(_: web.Request) -> web.Response:
        return web.Response(status=418, text="<html>a teapot</html>")

    service.on("GET", "/customer", other)
    with pytest.raises(ApiError, match="answered 418, not as Niyanta does; is the base URL right"):
        await client.customer.get()


async def test_nothing_listens() -> None:
    async with AsyncClient("nyt_cust_a_key", "http://127.0.0.1:9", max_retries=0) as client:
        with pytest.raises(ConnectionFailedError, match=r"http://127\.0\.0\.1:9: nothing listens there; is it"):
            await client.workloads.get("wl_1")
    with (
        Client("nyt_cust_a_key", "http://127.0.0.1:9", max_retries=0) as blocking,
        pytest.raises(ConnectionFailedError, match="nothing listens there; is it running"),
    ):
        blocking.workloads.get("wl_1")


async def test_iterate_follows_the_cursors(service: Service, client: AsyncClient) -> None:
    def page(ids: list[str], cursor: str | None) -> Answer:
        rows = [{"workload_id": i, "status": "PENDING"} for i in ids]
        return gives({"workloads": rows, "pagination": {"has_more": cursor is not None, "next_cursor": cursor}})

    service.on("GET", "/workloads", page(["a", "b"], "one"), page(["c"], None))
    assert [w.id async for w in client.workloads.iterate(status="PENDING")] == ["a", "b", "c"]
    assert service.paths() == [
        "/v1/workloads?status=PENDING&limit=100",
        "/v1/workloads?status=PENDING&limit=100&cursor=one",
    ]


async def test_a_search_that_finds_nothing_rests_as_long_as_it_took(service: Service, client: AsyncClient) -> None:
    moments: list[float] = []

    async def empty(_: web.Request) -> web.Response:
        moments.append(time.monotonic())
        await asyncio.sleep(0.1)
        moments.append(time.monotonic())
        pagination = {"has_more": True, "next_cursor": "more"}
        return web.json_response({"workloads": [], "logs": [], "pagination": pagination})

    async def last(_: web.Request) -> web.Response:
        moments.append(time.monotonic())
        return web.json_response({"workloads": [], "logs": [], "pagination": {"has_more": False}})

    for path in ("/workloads", "/workloads/wl_1/logs"):
        service.on("GET", path, empty, last, empty, last)
    workloads = client.workloads
    for search in (
        workloads.iterate(labels={"team": "video"}),
        workloads.iterate_logs("wl_1", q="x"),
        workloads.iterate_logs("wl_1", q="x", tail=5),
    ):
        moments.clear()
        assert [found async for found in search] == []
        asked, answered, again = moments
        assert again - answered >= answered - asked


async def test_iterate_ends_at_its_limit(service: Service, client: AsyncClient) -> None:
    rows = [{"workload_id": str(i), "status": "PENDING"} for i in range(100)]

    def page(count: int) -> Answer:
        return gives({"workloads": rows[:count], "pagination": {"has_more": True, "next_cursor": "more"}})

    service.on("GET", "/workloads", page(100), page(50))
    assert len([w async for w in client.workloads.iterate(limit=150)]) == 150
    assert service.paths() == ["/v1/workloads?limit=100", "/v1/workloads?limit=50&cursor=more"]
    assert [w async for w in client.workloads.iterate(limit=0)] == []
    assert len(service.requests) == 2


async def test_watch_gives_each_update_once_and_ends(service: Service, client: AsyncClient) -> None:
    service.on(
        "GET",
        "/ws/workloads/wl_1",
        socket(update(1, "PENDING"), LINE, update(2, "RUNNING")),
        socket(update(2, "RUNNING"), update(3, "COMPLETED", "completed", result_data={"n": 1})),
    )
    service.on("GET", "/workloads/wl_1", gives({"workload_id": "wl_1", "status": "RUNNING", "version": 2}))
    seen = [u async for u in client.workloads.watch("wl_1")]
    assert [(u.version, u.status) for u in seen] == [(1, "PENDING"), (2, "RUNNING"), (3, "COMPLETED")]
    assert seen[-1].result_data == {"n": 1}
    assert service.requests[0][2]["Authorization"] == "Bearer nyt_cust_a_key"


async def test_watch_with_logs(service: Service, client: AsyncClient) -> None:
    service.on("GET", "/ws/workloads/wl_1", socket(update(1, "RUNNING"), LINE, update(2, "FAILED", "failed")))
    seen = [u async for u in client.workloads.watch("wl_1", logs=True)]
    assert [u.type for u in seen] == ["status_update", "log_line", "failed"]
    assert seen[1].message == "hello"


async def test_watch_polls_where_no_websocket_can_be_had(service: Service, client: AsyncClient) -> None:
    def state(version: int, status: str) -> Answer:
        return gives({"workload_id": "wl_1", "status": status, "version": version, "result_data": {"n": 2}})

    service.on("GET", "/ws/workloads/wl_1", fails(502, "BAD"))
    service.on("GET", "/workloads/wl_1", state(1, "PENDING"), state(1, "PENDING"), state(4, "COMPLETED"))
    seen = [u async for u in client.workloads.watch("wl_1")]
    assert [(u.version, u.type) for u in seen] == [(1, "status_update"), (4, "completed")]
    assert (await client.workloads.wait_for_completion("wl_1")).result_data == {"n": 2}


@pytest.mark.parametrize(
    ("status", "raised"), [("FAILED", WorkloadFailedError), ("CANCELLED", WorkloadCancelledError)]
)
async def test_waiting_raises_what_it_ended_as(
    service: Service, client: AsyncClient, status: str, raised: type[Exception]
) -> None:
    kind = "failed" if status == "FAILED" else "status_update"
    service.on("GET", "/ws/workloads/wl_1", socket(update(5, status, kind)))
    service.on("GET", "/workloads/wl_1", gives({"workload_id": "wl_1", "status": status, "version": 5}))
    with pytest.raises(raised) as failed:
        await client.workloads.wait_for_completion("wl_1")
    assert failed.value.workload.version == 5  # type: ignore[attr-defined]


async def test_waiting_has_an_end(service: Service, client: AsyncClient) -> None:
    async def silent(request: web.Request) -> web.WebSocketResponse:
        link = web.WebSocketResponse()
        await link.prepare(request)
        async for _ in link:
            pass
        return link

    service.on("GET", "/ws/workloads/wl_1", silent)
    with pytest.raises(WaitTimeoutError, match=r"wl_1 has not ended after 0\.2 s"):
        await client.workloads.wait_for_completion("wl_1", timeout=0.2)


async def test_a_missing_workload_is_missing_for_a_watcher_too(service: Service, client: AsyncClient) -> None:
    service.on("GET", "/ws/workloads/wl_1", fails(404, "NOT_FOUND"))
    with pytest.raises(errors.NotFoundError):
        await client.workloads.wait_for_completion("wl_1")


async def test_ids_are_quoted(service: Service, client: AsyncClient) -> None:
    with pytest.raises(errors.NotFoundError):
        await client.workloads.get("../customer")
    assert service.paths() == ["/v1/workloads/..%2Fcustomer"]


def test_without_credentials_it_says_what_to_do(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("NIYANTA_API_KEY", "NIYANTA_URL"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ConfigurationError, match="NIYANTA_URL"):
        Client()


PRINTED = "nyt_cust_abc123_..."


@pytest.mark.parametrize(
    ("given", "environment", "taken"),
    [
        (PRINTED, "", "theirs"),
        (PRINTED, "mine", "mine"),
        (None, PRINTED, "theirs"),
        (None, "", "theirs"),
        ("explicit", "mine", "explicit"),
    ],
)
def test_a_key_as_the_documentation_prints_it_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str | None, environment: str, taken: str
) -> None:
    (tmp_path / ".niyanta").mkdir()
    found = {"base_url": "http://127.0.0.1:9", "api_key": "theirs", "admin_api_key": "ours"}
    (tmp_path / ".niyanta" / "credentials.json").write_text(json.dumps(found))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NIYANTA_API_KEY", environment)
    monkeypatch.delenv("NIYANTA_URL", raising=False)
    assert find_credentials(given, None).api_key == taken


def test_keys_stay_out_of_texts() -> None:
    with Client("nyt_cust_a_secret", "http://127.0.0.1:9") as client:
        assert "secret" not in repr(client)
        assert "secret" not in repr(vars(client))


LOSSY = [
    ({"best": float("inf")}, r"input_params\.best is inf"),
    ({"a": [{"b": (1.0, float("nan"))}]}, r"input_params\.a\[0\]\.b\[1\] is nan"),
    ({"a": {1: "x"}}, r"input_params\.a has the key 1"),
]


@pytest.mark.parametrize(("params", "says"), LOSSY)
async def test_what_would_arrive_as_something_else_is_refused(
    service: Service, client: AsyncClient, params: dict[str, Any], says: str
) -> None:
    with pytest.raises(errors.InvalidInputError, match=says):
        await client.workloads.submit("count", params)
    with pytest.raises(errors.InvalidInputError, match=r"workloads\[0\]\." + says):
        await client.workloads.submit_batch([{"workload_type": "count", "input_params": params}])
    with pytest.raises(errors.InvalidInputError, match="config_json"):
        await client.configs.create("count", config_json=params)
    assert service.requests == []


def log_page(*numbers: tuple[int, int], cursor: str | None = None, **pagination: Any) -> Answer:
    """Lines by their millisecond and number."""
    lines = [
        {
            "timestamp": f"2026-01-01T00:00:00.{ms:03d}Z",
            "level": "INFO",
            "message": str(number),
            "attempt": 1,
            "sequence": number,
        }
        for ms, number in numbers
    ]
    return gives({"logs": lines, "pagination": {"has_more": cursor is not None, "next_cursor": cursor, **pagination}})


async def test_logs_are_read_by_cursor_to_the_limit(service: Service, client: AsyncClient) -> None:
    service.on("GET", "/workloads/wl_1/logs", log_page((5, 1), (5, 2), cursor="a"), log_page((5, 3)))
    assert [line.message async for line in client.workloads.iterate_logs("wl_1", level="WARN")] == ["1", "2", "3"]
    assert service.paths() == [
        "/v1/workloads/wl_1/logs?limit=1000&level=WARN",
        "/v1/workloads/wl_1/logs?limit=1000&cursor=a&level=WARN",
    ]
    service.on("GET", "/workloads/wl_1/logs", log_page((5, 1), (5, 2), cursor="a"))
    assert [line.message async for line in client.workloads.iterate_logs("wl_1", limit=2)] == ["1", "2"]
    assert service.paths()[2:] == ["/v1/workloads/wl_1/logs?limit=2"]


async def test_the_last_lines_of_a_search_are_looked_for_however_far_back(
    service: Service, client: AsyncClient
) -> None:
    service.on("GET", "/workloads/wl_1/logs", log_page(cursor="a"), log_page((5, 2), cursor="b"), log_page((4, 1)))
    found = [line.sequence async for line in client.workloads.iterate_logs("wl_1", tail=3, q="Lost it")]
    assert found == [1, 2]
    assert service.paths() == [
        "/v1/workloads/wl_1/logs?tail=3&q=Lost%20it",
        "/v1/workloads/wl_1/logs?tail=3&cursor=a&q=Lost%20it",
        "/v1/workloads/wl_1/logs?tail=2&cursor=b&q=Lost%20it",
    ]


async def test_following_a_search_reads_on_from_what_it_has_looked_at(service: Service, client: AsyncClient) -> None:
    service.on("GET", "/workloads/wl_1/logs", log_page((4, 1), (5, 12)), log_page((5, 12), (6, 3), (7, 21)))
    running = {"workload_id": "wl_1", "status": "RUNNING", "version": 3}
    service.on("GET", "/workloads/wl_1", gives(running), gives({**running, "status": "COMPLETED", "version": 4}))
    lines = client.workloads.iterate_logs("wl_1", q="1", follow=True)
    assert [line.sequence async for line in lines] == [1, 12, 21]
    first, second = (path for path in service.paths() if "/logs" in path)
    assert "since" not in first
    assert "since" in second
    assert "q=" not in first + second, "what doesn't fit is read, too, and so never again"


async def test_following_gives_each_line_once_though_many_share_a_moment(
    service: Service, client: AsyncClient
) -> None:
    service.on(
        "GET",
        "/workloads/wl_1/logs",
        log_page((5, 3), (5, 4), total=4, has_more=True),
        log_page((4, 1), (5, 2), (5, 3), (5, 4), (5, 5)),
        log_page((4, 1), (5, 2), (5, 3), (5, 4), (5, 5), (5, 6), cursor="a"),
        log_page((5, 7), (6, 8)),
        log_page((5, 7), (6, 8), (6, 9)),
    )
    running = {"workload_id": "wl_1", "status": "RUNNING", "version": 3}
    ended = gives({**running, "status": "COMPLETED", "version": 4})
    service.on("GET", "/workloads/wl_1", gives(running), gives(running), ended)
    lines = client.workloads.iterate_logs("wl_1", tail=2, follow=True)
    assert [line.sequence async for line in lines] == [3, 4, 5, 6, 7, 8, 9]


async def test_arguments_that_do_not_go_together_are_refused(service: Service, client: AsyncClient) -> None:
    for wrong in ({"tail": 3, "limit": 4}, {"follow": True, "order": "desc"}):
        with pytest.raises(ConfigurationError):
            await anext(client.workloads.iterate_logs("wl_1", **wrong))
    assert service.requests == []
