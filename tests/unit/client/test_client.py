"""The client against a server that answers as it is told: retries, errors, pages, watching."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from niyanta import AsyncClient, Client, errors
from niyanta.client.transport import find_credentials
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

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Service:
    """Answers each path with what a test has put there, in order; the last answer stays."""

    def __init__(self) -> None:
        self.answers: dict[tuple[str, str], list[Answer]] = {}
        self.requests: list[tuple[str, str, dict[str, str], Any]] = []
        self.url = ""

    def on(self, method: str, path: str, *answers: Answer) -> None:
        self.answers[method, "/v1" + path] = list(answers)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.text()
        self.requests.append(
            (request.method, request.path_qs, dict(request.headers), json.loads(body) if body else None)
        )
        answers = self.answers.get((request.method, request.path))
        if not answers:
            return error(404, "NOT_FOUND", "There is nothing at this path")
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        return await answer(request)

    def paths(self) -> list[str]:
        return [path for _, path, _, _ in self.requests]


def error(status: int, code: str, message: str, **headers: str) -> web.Response:
    body = {"error": {"code": code, "message": message, "details": {"field": "x"}, "request_id": "req_1"}}
    return web.json_response(body, status=status, headers={k.replace("_", "-"): v for k, v in headers.items()})


def gives(body: Any, status: int = 200) -> Answer:
    async def answer(_: web.Request) -> web.Response:
        return web.json_response(body, status=status)

    return answer


def fails(status: int, code: str, **headers: str) -> Answer:
    async def answer(_: web.Request) -> web.Response:
        return error(status, code, "no", **headers)

    return answer


async def breaks(request: web.Request) -> web.Response:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


def socket(*messages: dict[str, Any]) -> Answer:
    async def answer(request: web.Request) -> web.WebSocketResponse:
        link = web.WebSocketResponse()
        await link.prepare(request)
        for message in messages:
            await link.send_json(message)
        await link.close()
        return link

    return answer


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    found = Service()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", found.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    found.url = f"http://{host}:{port}"
    yield found
    await runner.cleanup()


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


async def test_an_unavailable_answer_without_a_time_is_not_repeated(service: Service, client: AsyncClient) -> None:
    service.on("GET", "/workloads/wl_1", fails(503, "SERVICE_UNAVAILABLE"))
    with pytest.raises(ServiceUnavailableError):
        await client.workloads.get("wl_1")
    assert len(service.requests) == 1


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
    async def proxy(_: web.Request) -> web.Response:
        return web.Response(status=502, text="<html>bad gateway</html>")

    service.on("GET", "/customer", proxy)
    with pytest.raises(ApiError, match="502"):
        await client.customer.get()


async def test_nothing_listens() -> None:
    async with AsyncClient("nyt_cust_a_key", "http://127.0.0.1:9", max_retries=0) as client:
        with pytest.raises(ConnectionFailedError, match=r"cannot reach the service at http://127\.0\.0\.1:9"):
            await client.workloads.get("wl_1")


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


def update(version: int, status: str, kind: str = "status_update", **more: Any) -> dict[str, Any]:
    return {"type": kind, "workload_id": "wl_1", "version": version, "status": status, "progress_percent": 0, **more}


LINE = {"type": "log_line", "workload_id": "wl_1", "level": "INFO", "message": "hello", "details": {}}


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
