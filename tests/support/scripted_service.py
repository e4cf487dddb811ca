"""A service that answers as a test tells it to, for tests of the clients."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web

__all__ = ["LINE", "Answer", "Service", "breaks", "error", "fails", "gives", "service", "socket", "stream", "update"]

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


def stream(*parts: str) -> Answer:
    """Server-sent events in these parts, and then the end."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for part in parts:
            await response.write(part.encode())
        return response

    return answer


def socket(*messages: dict[str, Any]) -> Answer:
    async def answer(request: web.Request) -> web.WebSocketResponse:
        link = web.WebSocketResponse()
        await link.prepare(request)
        for message in messages:
            await link.send_json(message)
        await link.close()
        return link

    return answer


def update(version: int, status: str, kind: str = "status_update", **more: Any) -> dict[str, Any]:
    return {"type": kind, "workload_id": "wl_1", "version": version, "status": status, "progress_percent": 0, **more}


LINE = {"type": "log_line", "workload_id": "wl_1", "level": "INFO", "message": "hello", "details": {}}


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
