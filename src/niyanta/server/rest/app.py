"""The REST API: decode, authenticate, call a service, encode."""

from __future__ import annotations

import logging
import re
import secrets
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from niyanta.domain.ids import make_id
from niyanta.errors import (
    ApiError,
    ForbiddenError,
    InternalError,
    InvalidInputError,
    NotFoundError,
    PayloadTooLargeError,
    UnsupportedMediaTypeError,
)
from niyanta.server.coordinator.health import Health
from niyanta.server.coordinator.identity import Authenticator
from niyanta.server.coordinator.submission import SubmissionService, SubmitRequest
from niyanta.server.coordinator.workloads import WorkloadService
from niyanta.server.rest import parameters
from niyanta.server.rest.responses import (
    error_response,
    json_response,
    timestamp,
    workload_body,
    workload_row_body,
)
from niyanta.server.settings import CoordinatorSettings
from niyanta.server.store.customers import Identity
from niyanta.wire.strict_json import StrictDecoder

__all__ = ["RestApi"]

log = logging.getLogger(__name__)

_REQUEST_ID = re.compile(r"[A-Za-z0-9_.-]{1,100}", re.ASCII)
_MAX_KEY_LENGTH = 255
_LONGEST_WAIT_SECONDS = 60

Endpoint = Callable[[Request, Identity], Awaitable[Response]]


class CancelRequest(msgspec.Struct, forbid_unknown_fields=True):
    """The optional body of a cancellation."""

    reason: str | None = None


class EmptyRequest(msgspec.Struct, forbid_unknown_fields=True):
    """A body that may be ``{}`` or nothing."""


class RestApi:
    """The routes and what they call."""

    def __init__(
        self,
        authenticator: Authenticator,
        submissions: SubmissionService,
        workloads: WorkloadService,
        health: Health,
        settings: CoordinatorSettings,
    ) -> None:
        self._authenticator = authenticator
        self._submissions = submissions
        self._workloads = workloads
        self._health = health
        self._max_body_bytes = settings.max_body_bytes
        self._submit_decoder = StrictDecoder(SubmitRequest)
        self._cancel_decoder = StrictDecoder(CancelRequest)
        self._empty_decoder = StrictDecoder(EmptyRequest)
        one = "/v1/workloads/{workload_id}"
        self.app = Starlette(
            routes=[
                self._route("POST", "/v1/workloads", self.submit),
                self._route("GET", "/v1/workloads", self.list),
                self._route("GET", one, self.get),
                self._route("POST", one + "/cancel", self.cancel),
                self._route("POST", one + "/pause", self.pause),
                self._route("POST", one + "/resume", self.resume),
                self._route("GET", one + "/logs", self.logs),
                self._route("GET", one + "/audit", self.audit),
                *(self._public(prefix + "/health", self.health) for prefix in ("", "/v1")),
                *(self._public(prefix + "/ready", self.ready) for prefix in ("", "/v1")),
            ],
            exception_handlers={HTTPException: self._http_exception},
        )
        self.app.router.redirect_slashes = False

    def _route(self, method: str, path: str, endpoint: Endpoint) -> Route:
        async def run(request: Request) -> Response:
            identity = await self._authenticator.identify(request.headers.get("authorization"))
            if identity.suspended:
                raise ForbiddenError("This customer is suspended")
            return await endpoint(request, identity)

        return Route(path, self._guarded(run), methods=[method])

    def _public(self, path: str, endpoint: Callable[[Request], Awaitable[Response]]) -> Route:
        return Route(path, self._guarded(endpoint), methods=["GET"])

    def _guarded(
        self, endpoint: Callable[[Request], Awaitable[Response]]
    ) -> Callable[[Request], Awaitable[Response]]:
        """Every answer has a request id, every failure the envelope."""

        async def run(request: Request) -> Response:
            request_id = _request_id(request)
            try:
                response = await endpoint(request)
            except ApiError as error:
                response = error_response(error, request_id)
            except ClientDisconnect:
                response = Response(status_code=400)
            except Exception:
                log.exception("rest.request_failed", extra={"request_id": request_id})
                response = error_response(InternalError("An unexpected error; it has been logged"), request_id)
            _standard_headers(response, request_id)
            return response

        return run

    async def _http_exception(self, request: Request, exc: Exception) -> Response:
        status = exc.status_code if isinstance(exc, HTTPException) else 500
        request_id = _request_id(request)
        headers = dict(exc.headers or {}) if isinstance(exc, HTTPException) else {}
        if status == 405:
            allowed = headers.get("Allow", "")
            error: ApiError = InvalidInputError(
                f"This path doesn't take {request.method}; it takes {allowed}",
                details={"allowed_methods": allowed.split(", ")},
            )
        else:
            error = NotFoundError("There is nothing at this path", details={"path": request.url.path[:200]})
        response = error_response(error, request_id, headers)
        response.status_code = status
        _standard_headers(response, request_id)
        return response

    async def _body(self, request: Request) -> bytes:
        """The whole body, within bounds.

        Raises:
            PayloadTooLargeError, InvalidInputError: Too large; not JSON by its content type.
        """
        limit = self._max_body_bytes
        length = request.headers.get("content-length")
        if length is not None and length.isascii() and length.isdigit() and int(length) > limit:
            raise _too_large(limit)
        parts: list[bytes] = []
        size = 0
        async for part in request.stream():
            size += len(part)
            if size > limit:
                raise _too_large(limit)
            parts.append(part)
        return b"".join(parts)

    async def submit(self, request: Request, identity: Identity) -> Response:
        """§1.1 of the contract."""
        parameters.only(request, ())
        _require_json(request)
        key = request.headers.get("idempotency-key")
        if key is not None and not 1 <= len(key) <= _MAX_KEY_LENGTH:
            raise InvalidInputError(
                f"Idempotency-Key must have 1 to {_MAX_KEY_LENGTH} characters",
                details={"field": "Idempotency-Key", "max_length": _MAX_KEY_LENGTH},
            )
        body = self._submit_decoder.decode(await self._body(request))
        done = await self._submissions.submit(identity, body, key)
        headers = {"Location": f"/v1/workloads/{done.workload_id}"}
        if done.replayed:
            headers["Idempotent-Replayed"] = "true"
        answer = {
            "workload_id": done.workload_id,
            "status": "PENDING",
            "created_at": timestamp(done.created_at),
            "estimated_start_time": timestamp(done.estimated_start_at),
            "version": 1,
        }
        return json_response(answer, 202, headers)

    async def get(self, request: Request, identity: Identity) -> Response:
        """§1.2, and the long poll: ``wait_seconds`` and ``version``."""
        parameters.only(request, ("wait_seconds", "version"))
        workload_id = parameters.path_id(request, "workload_id")
        wait = parameters.integer(request, "wait_seconds", 0, 0, _LONGEST_WAIT_SECONDS)
        version: int | None = parameters.integer(request, "version", -1, 0, 2**62)
        if version == -1:
            version = None
        if wait:
            row = await self._workloads.wait(identity, workload_id, wait, version)
        else:
            row = await self._workloads.get(identity, workload_id)
        return json_response(workload_body(row, await self._workloads.pending_reason(row)))

    async def list(self, request: Request, identity: Identity) -> Response:
        """§1.3."""
        query = parameters.list_query(request, identity.customer_id)
        by_cursor = query.after_id is not None
        rows, has_more, total = await self._workloads.list_page(query, with_total=not by_cursor)
        pagination: dict[str, Any] = {"has_more": has_more, "next_cursor": None}
        if has_more and query.order_by == "created_at":
            pagination["next_cursor"] = parameters.next_cursor(query, rows[-1]["workload_id"])
        if not by_cursor:
            pagination.update(total=total, limit=query.limit, offset=query.offset)
        return json_response({"workloads": [workload_row_body(row) for row in rows], "pagination": pagination})

    async def cancel(self, request: Request, identity: Identity) -> Response:
        """§1.4."""
        workload_id = parameters.path_id(request, "workload_id")
        raw = await self._body(request)
        body = self._cancel_decoder.decode(raw) if raw.strip() else CancelRequest()
        if body.reason is not None and len(body.reason) > 1000:
            raise InvalidInputError(
                "reason must have at most 1000 characters", details={"field": "reason", "max_length": 1000}
            )
        change = await self._workloads.cancel(identity, workload_id, body.reason)
        state = change.state
        return json_response(
            {
                "workload_id": workload_id,
                "status": state.status.value,
                "cancelled_at": timestamp(state.completed_at),
                "version": state.version,
            }
        )

    async def pause(self, request: Request, identity: Identity) -> Response:
        """§1.5."""
        workload_id = parameters.path_id(request, "workload_id")
        await self._no_fields(request)
        row = await self._workloads.pause(identity, workload_id)
        return json_response(
            {
                "workload_id": workload_id,
                "status": row["status"],
                "paused_at": timestamp(row["paused_at"]),
                "checkpoint_sequence": row["checkpoint_sequence"],
                "version": row["version"],
            }
        )

    async def resume(self, request: Request, identity: Identity) -> Response:
        """§1.6."""
        workload_id = parameters.path_id(request, "workload_id")
        await self._no_fields(request)
        state = (await self._workloads.resume(identity, workload_id)).state
        return json_response(
            {
                "workload_id": workload_id,
                "status": state.status.value,
                "checkpoint_sequence": state.checkpoint_sequence,
                "version": state.version,
            },
            202,
        )

    async def _no_fields(self, request: Request) -> None:
        raw = await self._body(request)
        if raw.strip():
            self._empty_decoder.decode(raw)

    async def logs(self, request: Request, identity: Identity) -> Response:
        """§1.7."""
        parameters.only(request, ("limit", "since", "until"))
        workload_id = parameters.path_id(request, "workload_id")
        since, until = parameters.moment(request, "since"), parameters.moment(request, "until")
        if since is not None and until is not None and since > until:
            raise InvalidInputError("since must not be after until", details={"field": "since"})
        limit = parameters.integer(request, "limit", 100, 1, 1000)
        rows, has_more = await self._workloads.logs(identity, workload_id, since=since, until=until, limit=limit)
        lines = [
            {
                "timestamp": timestamp(row["logged_at"]),
                "level": row["level"],
                "message": row["message"],
                "details": msgspec.Raw(row["details"].encode()),
            }
            for row in rows
        ]
        return json_response({"workload_id": workload_id, "logs": lines, "has_more": has_more})

    async def audit(self, request: Request, identity: Identity) -> Response:
        """§1.8."""
        parameters.only(request, ())
        workload_id = parameters.path_id(request, "workload_id")
        events = [
            {
                "event_id": row["event_id"],
                "event_type": row["event_type"],
                "timestamp": timestamp(row["occurred_at"]),
                "actor_type": row["actor_type"],
                "actor_id": row["actor_id"],
                "details": msgspec.Raw(row["details"].encode()),
            }
            for row in await self._workloads.audit(identity, workload_id)
        ]
        return json_response({"workload_id": workload_id, "events": events})

    async def health(self, request: Request) -> Response:
        """§5.1."""
        return json_response({"status": "healthy", "timestamp": timestamp(datetime.now(UTC))})

    async def ready(self, request: Request) -> Response:
        """§5.2."""
        state = await self._health.check()
        body = {"status": "ready" if state.is_ready else "not_ready", "dependencies": state.dependencies()}
        return json_response(body, 200 if state.is_ready else 503)


def _require_json(request: Request) -> None:
    kind = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise UnsupportedMediaTypeError(
            "The body must be application/json", details={"field": "Content-Type", "allowed": ["application/json"]}
        )


def _too_large(limit: int) -> PayloadTooLargeError:
    return PayloadTooLargeError(f"The body is larger than {limit} bytes", details={"max_bytes": limit})


def _request_id(request: Request) -> str:
    """The caller's ``X-Request-ID`` when it is sane, else a new one; the same for the whole request."""
    found: str | None = getattr(request.state, "request_id", None)
    if found is None:
        given = request.headers.get("x-request-id", "")
        found = (
            given
            if _REQUEST_ID.fullmatch(given)
            else make_id("req_", time.time_ns() // 1_000_000, secrets.randbits(80))
        )
        request.state.request_id = found
    return found


def _standard_headers(response: Response, request_id: str) -> None:
    response.headers["X-Request-ID"] = request_id
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Cache-Control"] = "no-store"
