"""What the OpenAPI document says beyond the declared operations: prose, shared headers, shared errors."""

from __future__ import annotations

from typing import Any

from niyanta.domain.transitions import Status

__all__ = [
    "ERRORS",
    "GRPC",
    "HEADERS",
    "INFO",
    "PATH_PARAMETERS",
    "REQUEST_HEADERS",
    "SECURITY_SCHEMES",
    "SUCCESS",
    "TAGS",
    "WEBSOCKET",
]

INFO: dict[str, Any] = {
    "title": "Niyanta",
    "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
    "description": """\
Runs long workloads for many customers on one pool of workers, and loses none of them.

**Credentials.** Each request carries `Authorization: Bearer <token>`, an API key or, where the operator has
set it up, a JWT. What belongs to another customer answers exactly like what doesn't exist.

**Order.** `version` grows by one with each committed change of a workload and is part of every answer about
it: of two answers, the higher version is the newer.

**Errors.** Every answer that isn't a success has the same envelope, with a `code` for programs, a `message`
for people, `details` that say what is allowed, and the `request_id`, which is also in the header
`X-Request-ID`. A request can bring its own: 1 to 100 letters, digits, `_`, `-` or `.`. An unknown field or
query parameter is an error. A method that a path doesn't take gets 405 with `Allow`. Requests are refused in
this order: 401, 429, 403, 404, then 400 and the rest.

**Trying again.** 429 and 503 may be tried again after `Retry-After` seconds, other 4xx may not. With an
`Idempotency-Key`, a submission may be sent again after any failure without being stored twice.

**Rates.** Each customer has a token bucket (rate and burst by tier: free 1 and 5, standard 10 and 50, premium
50 and 200, enterprise 200 and 1000). Answers say what is left of it. Admin keys, health, readiness, metrics
and these documents aren't counted.

**Pages.** Follow `pagination.next_cursor` for as long as `has_more` is true; that is stable while workloads
are added. `offset` with `limit` works too, and gives `total`.

**Versions.** `/v1` only gets additions: expect fields that this document doesn't have yet. An endpoint that
is to go announces it with the headers `Deprecation`, `Sunset` and `Link`.

**Other ways in.** Updates come over a WebSocket (`x-websocket` below) and everything also over gRPC
(`x-grpc`).
""",
}

TAGS: list[dict[str, str]] = [
    {"name": "Workloads", "description": "Submit work, follow it, steer it, and read afterwards what happened."},
    {
        "name": "Workload Configs",
        "description": "Settings per workload type: limits, retries, time-out, a schema for the input.",
    },
    {"name": "Customer", "description": "Your account: limits, usage, statistics."},
    {
        "name": "Admin",
        "description": "For operators: workers, customers and their keys. Needs a key with the admin role.",
    },
    {
        "name": "Health & Monitoring",
        "description": "For load balancers and dashboards. Also at the root, without `/v1`.",
    },
]

SECURITY_SCHEMES: dict[str, Any] = {
    "ApiKey": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "nyt_<customer_id>_<32 characters>",
        "description": "A customer's API key.",
    },
    "Jwt": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "A signed token with `sub`, `customer_id` and `exp`, "
        "where the operator has configured how to check it.",
    },
    "AdminApiKey": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "nyt_<customer_id>_<32 characters>",
        "description": "An API key with the admin role.",
    },
}


def _header(description: str, kind: str, example: object, **schema: object) -> dict[str, Any]:
    return {"description": description, "schema": {"type": kind, **schema}, "example": example}


HEADERS: dict[str, Any] = {
    "X-Request-ID": _header(
        "Names this request in logs; send it along when you ask for help.", "string", "req_abc123"
    ),
    "X-RateLimit-Limit": _header("Requests per second that this customer may send.", "number", 50, minimum=0),
    "X-RateLimit-Remaining": _header("Whole tokens left in the bucket.", "integer", 42, minimum=0),
    "X-RateLimit-Reset": _header("Unix second at which the bucket will be full again.", "integer", 1735308900),
    "Retry-After": _header("Seconds to wait before trying again.", "integer", 30, minimum=1) | {"required": True},
    "Location": _header("Path of what was created.", "string", "/v1/workloads/wl_abc123"),
    "Idempotent-Replayed": _header(
        "Present when this is the stored answer of an earlier request with the same key.",
        "string",
        "true",
        enum=["true"],
    ),
    "Deprecation": _header("Since when this endpoint is deprecated.", "string", "Sun, 01 Jun 2025 00:00:00 GMT"),
    "Sunset": _header("When it will go.", "string", "Mon, 01 Dec 2025 00:00:00 GMT"),
    "Link": _header(
        "What to use instead.", "string", '<https://docs.niyanta.example.com/migration/v2>; rel="successor-version"'
    ),
}

REQUEST_HEADERS: dict[str, Any] = {
    "Idempotency-Key": {
        "description": "A name of your own for this request, such as a UUID. For 24 hours the same key with the same "
        "body gives the first answer again; with another body it is a conflict.",
        "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]+$"},
    },
}

_ID_SCHEMA = {"type": "string", "minLength": 1, "maxLength": 100, "pattern": "^[A-Za-z0-9_-]+$"}

PATH_PARAMETERS: dict[str, Any] = {
    "workload_id": {"description": "Of the workload.", "schema": _ID_SCHEMA, "example": "wl_abc123"},
    "config_id": {"description": "Of the configuration.", "schema": _ID_SCHEMA, "example": "wlcfg_xyz789"},
    "worker_id": {"description": "Of the worker.", "schema": _ID_SCHEMA, "example": "worker-5"},
    "customer_id": {"description": "Of the customer.", "schema": _ID_SCHEMA, "example": "cust_abc123"},
    "key_id": {"description": "Of the API key; not the key itself.", "schema": _ID_SCHEMA, "example": "key_abc123"},
}

SUCCESS: dict[int, str] = {
    200: "Done.",
    201: "Created.",
    202: "Accepted and stored.",
    204: "Done; there is nothing to say.",
    503: "Not ready; the body says what is missing.",
}

ERRORS: dict[int, tuple[str, str, list[dict[str, Any]]]] = {
    400: (
        "BadRequest",
        "The request is wrong (`INVALID_INPUT`), or the workload's state doesn't allow it (`INVALID_STATE`).",
        [
            {
                "code": "INVALID_INPUT",
                "message": "Workload type 'invalid_type' is not supported",
                "details": {
                    "field": "workload_type",
                    "supported_types": ["report_generation", "video_transcoding"],
                },
            },
            {
                "code": "INVALID_STATE",
                "message": "Cannot cancel a workload that is COMPLETED; cancel takes one that has not ended",
                "details": {"current_status": "COMPLETED"},
            },
        ],
    ),
    401: (
        "Unauthorized",
        "The credentials are missing, unknown, expired or revoked.",
        [{"code": "UNAUTHORIZED", "message": "The API key is not valid", "details": {}}],
    ),
    403: (
        "Forbidden",
        "The credentials are good but don't allow this: it needs the admin role, or the customer is suspended.",
        [{"code": "FORBIDDEN", "message": "This needs a key with the admin role", "details": {}}],
    ),
    404: (
        "NotFound",
        "There is no such object, or it belongs to another customer; the two look the same.",
        [{"code": "NOT_FOUND", "message": "There is no such workload", "details": {}}],
    ),
    406: (
        "NotAcceptable",
        "The `Accept` header excludes what this answers with.",
        [
            {
                "code": "INVALID_INPUT",
                "message": "The answer is application/json, which the Accept header excludes",
                "details": {"field": "Accept", "allowed": ["application/json"]},
            }
        ],
    ),
    408: (
        "RequestTimeout",
        "The request came too slowly.",
        [
            {
                "code": "INVALID_INPUT",
                "message": "The request's head took too long",
                "details": {"field": "request", "allowed": "10 seconds"},
            }
        ],
    ),
    409: (
        "Conflict",
        "It exists already, is in use, or the idempotency key came with another body before.",
        [
            {
                "code": "CONFLICT",
                "message": "This Idempotency-Key was used with another body",
                "details": {"field": "Idempotency-Key"},
            }
        ],
    ),
    413: (
        "PayloadTooLarge",
        "The body is too large.",
        [
            {
                "code": "INVALID_INPUT",
                "message": "The body is larger than 1048576 bytes",
                "details": {"max_bytes": 1048576},
            }
        ],
    ),
    414: (
        "UriTooLong",
        "The URL is too long.",
        [
            {
                "code": "INVALID_INPUT",
                "message": "The URL is too long",
                "details": {"field": "request", "allowed": "8192 bytes"},
            }
        ],
    ),
    415: (
        "UnsupportedMediaType",
        "The body isn't `application/json`.",
        [
            {
                "code": "INVALID_INPUT",
                "message": "The body must be application/json",
                "details": {"field": "Content-Type", "allowed": ["application/json"]},
            }
        ],
    ),
    429: (
        "RateLimited",
        "Too many requests; wait `Retry-After` seconds.",
        [
            {
                "code": "RATE_LIMITED",
                "message": "Rate limit exceeded. Retry after 30 seconds.",
                "details": {"limit": 50, "window_seconds": 60, "retry_after": 30},
            }
        ],
    ),
    431: (
        "HeadersTooLarge",
        "The headers are too large, or too many.",
        [
            {
                "code": "INVALID_INPUT",
                "message": "The request's headers are too large",
                "details": {"field": "request", "allowed": "32768 bytes, 100 headers"},
            }
        ],
    ),
    500: (
        "InternalError",
        "A defect of the service; it has been logged under the request id.",
        [{"code": "INTERNAL_ERROR", "message": "An unexpected error; it has been logged", "details": {}}],
    ),
    503: (
        "ServiceUnavailable",
        "The customer's queue is full, or something the service depends on is away for the moment. Try again.",
        [
            {
                "code": "SERVICE_UNAVAILABLE",
                "message": "The queue is full: 2000 of 2000 workloads are waiting",
                "details": {"current_queue_depth": 2000, "max_queue_depth": 2000},
            }
        ],
    ),
}
"""By status: the name of the shared response, what it means, and its examples."""

_UPDATE_PROPERTIES: dict[str, Any] = {
    "type": {"type": "string", "enum": ["status_update", "log_line", "completed", "failed"]},
    "workload_id": {"type": "string"},
    "version": {"type": "integer"},
    "status": {"type": "string", "enum": [status.value for status in Status]},
    "progress_percent": {"type": "integer", "minimum": 0, "maximum": 100},
    "timestamp": {"type": "string", "format": "date-time"},
    "message": {"type": "string", "nullable": True},
    "level": {"type": "string", "enum": ["DEBUG", "INFO", "WARN", "ERROR"], "description": "`log_line` only."},
    "details": {"type": "object", "additionalProperties": True, "description": "`log_line` only."},
    "result_data": {"type": "object", "additionalProperties": True, "description": "`completed` only."},
    "error_message": {"type": "string", "description": "`failed` only."},
}

WEBSOCKET: dict[str, Any] = {
    "/v1/ws/workloads/{workload_id}": {
        "summary": "Watch one workload",
        "description": """\
JSON messages in order: first how things stand, then each change, last `completed`, `failed` or, for a
cancellation, a `status_update`; then the server closes with 1000. Credentials: the `Authorization` header,
`?token=`, or a first message `{"type": "auth", "token": "…"}` within 5 seconds. Refused with 401 or 404
before the handshake ends, with close code 4401 or 4404 after it.
""",
        "messages": {"type": "object", "required": ["type", "workload_id"], "properties": _UPDATE_PROPERTIES},
        "example": {
            "type": "status_update",
            "workload_id": "wl_abc123",
            "version": 12,
            "status": "RUNNING",
            "progress_percent": 65,
            "timestamp": "2025-10-27T13:05:00.000Z",
            "message": "Processing frame 6500/10000",
        },
    }
}

GRPC: dict[str, Any] = {
    "package": "niyanta.v1",
    "proto": "api/niyanta/v1/workload_service.proto",
    "description": "The same operations over gRPC, with the same credentials in the metadata key `authorization`.",
}
