"""How the end of an operation is announced."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, cast

import pytest
from starlette.responses import Response

from niyanta.server.access.gate import Gate
from niyanta.server.observability.metrics import Metrics
from niyanta.server.rest.frame.frame import RestFrame
from niyanta.server.rest.frame.operation import Access, Deprecation, Endpoint, Operation
from niyanta.server.rest.frame.responses import json_response
from niyanta.server.services.operators import OperatorRecord
from niyanta.server.services.requests import BodyLimit


async def _handler(call: Any) -> Response:
    return json_response({})


async def _headers(deprecation: Deprecation | None, query: bytes) -> tuple[int, dict[str, str]]:
    operation = Operation(
        method="GET",
        path="/v0/old",
        operation_id="old",
        summary="",
        tag="",
        access=Access.PUBLIC,
        deprecation=deprecation,
    )
    frame = RestFrame(cast(Gate, None), {BodyLimit.ONE: 1000}, 1.0, Metrics(), cast(OperatorRecord, None))
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    scope = {"type": "http", "method": "GET", "path": "/v0/old", "query_string": query, "headers": []}
    await frame.route(Endpoint(operation, _handler)).app(scope, receive, send)
    return sent[0]["status"], {name.decode(): value.decode() for name, value in sent[0]["headers"]}


@pytest.mark.parametrize(("query", "status"), [(b"", 200), (b"nothing=1", 400)])
async def test_a_deprecated_operation_says_so_in_every_response(query: bytes, status: int) -> None:
    deprecation = Deprecation(
        datetime(2025, 6, 1, tzinfo=UTC),
        datetime(2025, 12, 1, tzinfo=UTC),
        "https://docs.niyanta.example.com/migration/v2",
    )
    found, headers = await _headers(deprecation, query)
    assert found == status
    assert headers["deprecation"] == "Sun, 01 Jun 2025 00:00:00 GMT"
    assert headers["sunset"] == "Mon, 01 Dec 2025 00:00:00 GMT"
    assert headers["link"] == '<https://docs.niyanta.example.com/migration/v2>; rel="successor-version"'


async def test_any_other_operation_says_nothing_of_the_kind() -> None:
    _, headers = await _headers(None, b"")
    assert not {"deprecation", "sunset", "link"} & set(headers)
