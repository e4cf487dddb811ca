"""Every exception that Niyanta shows its users.

NiyantaError
├── ApiError                      an answer of the service that is not a success
│   ├── InvalidInputError         INVALID_INPUT        400  INVALID_ARGUMENT
│   │   ├── RequestTimeoutError         INVALID_INPUT  408  INVALID_ARGUMENT
│   │   ├── NotAcceptableError          INVALID_INPUT  406  INVALID_ARGUMENT
│   │   ├── PayloadTooLargeError        INVALID_INPUT  413  RESOURCE_EXHAUSTED
│   │   └── UnsupportedMediaTypeError   INVALID_INPUT  415  INVALID_ARGUMENT
│   ├── InvalidStateError         INVALID_STATE        400  FAILED_PRECONDITION
│   ├── UnauthorizedError         UNAUTHORIZED         401  UNAUTHENTICATED
│   ├── ForbiddenError            FORBIDDEN            403  PERMISSION_DENIED
│   ├── NotFoundError             NOT_FOUND            404  NOT_FOUND
│   ├── ConflictError             CONFLICT             409  ALREADY_EXISTS
│   ├── RateLimitedError          RATE_LIMITED         429  RESOURCE_EXHAUSTED
│   ├── ServiceUnavailableError   SERVICE_UNAVAILABLE  503  UNAVAILABLE
│   └── InternalError             INTERNAL_ERROR       500  INTERNAL
├── ConnectionFailedError         the service could not be reached at all
│   └── BrokerRefusedError              the broker is there, and doesn't let in who connects
├── WaitTimeoutError              wait_for_completion ran out of time
├── WorkloadFailedError           a workload that was waited for ended FAILED
├── WorkloadCancelledError        a workload that was waited for ended CANCELLED
├── PermanentError                raised by a handler: do not try again
├── TransientError                raised by a handler: try again
├── CheckpointError               a checkpoint was refused (too large, not JSON)
└── ConfigurationError            a setting, an app or an argument that cannot work
"""

from __future__ import annotations

from typing import Any, ClassVar

__all__ = [
    "ApiError",
    "BrokerRefusedError",
    "CheckpointError",
    "ConfigurationError",
    "ConflictError",
    "ConnectionFailedError",
    "ForbiddenError",
    "InternalError",
    "InvalidInputError",
    "InvalidStateError",
    "NiyantaError",
    "NotAcceptableError",
    "NotFoundError",
    "PayloadTooLargeError",
    "PermanentError",
    "RateLimitedError",
    "RequestTimeoutError",
    "ServiceUnavailableError",
    "TransientError",
    "UnauthorizedError",
    "UnsupportedMediaTypeError",
    "WaitTimeoutError",
    "WorkloadCancelledError",
    "WorkloadFailedError",
]


class NiyantaError(Exception):
    """Root of everything that Niyanta raises on purpose."""


class ApiError(NiyantaError):
    """An answer of the service that is not a success.

    The server raises these and the clients raise the same classes for the same answers.

    Attributes:
        message: One sentence that says what was wrong.
        details: JSON object with what is allowed, which field, and so on.
        retry_after_seconds: How long to wait before trying again; None where waiting doesn't help.
        request_id: The id under which the service logged the request; None on the server side.
    """

    code: ClassVar[str] = "INTERNAL_ERROR"
    http_status: ClassVar[int] = 500
    grpc_code: ClassVar[str] = "INTERNAL"
    """Name of the gRPC status code that says the same."""
    retryable: ClassVar[bool] = False

    def __init__(
        self,
        message: str,
        *,
        details: dict[str, Any] | None = None,
        retry_after_seconds: float | None = None,
        request_id: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.details: dict[str, Any] = details or {}
        self.retry_after_seconds = retry_after_seconds
        self.request_id = request_id


class InvalidInputError(ApiError):
    """The request itself is wrong; ``details`` names the field and what is allowed."""

    code = "INVALID_INPUT"
    http_status = 400
    grpc_code = "INVALID_ARGUMENT"


class PayloadTooLargeError(InvalidInputError):
    """The body is larger than the service takes."""

    http_status = 413
    grpc_code = "RESOURCE_EXHAUSTED"


class RequestTimeoutError(InvalidInputError):
    """The request took too long to arrive."""

    http_status = 408


class UnsupportedMediaTypeError(InvalidInputError):
    """The body is of a type that the service doesn't take."""

    http_status = 415


class NotAcceptableError(InvalidInputError):
    """The caller says that it can't read what the service answers."""

    http_status = 406


class InvalidStateError(ApiError):
    """The operation isn't allowed in the workload's state; ``details.current_status`` names it."""

    code = "INVALID_STATE"
    http_status = 400
    grpc_code = "FAILED_PRECONDITION"


class UnauthorizedError(ApiError):
    """No credentials, or credentials that are unknown, expired or revoked."""

    code = "UNAUTHORIZED"
    http_status = 401
    grpc_code = "UNAUTHENTICATED"


class ForbiddenError(ApiError):
    """The credentials are good but don't allow this (role, suspended customer)."""

    code = "FORBIDDEN"
    http_status = 403
    grpc_code = "PERMISSION_DENIED"


class NotFoundError(ApiError):
    """No such object, or one of another customer: the two look the same."""

    code = "NOT_FOUND"
    http_status = 404
    grpc_code = "NOT_FOUND"


class ConflictError(ApiError):
    """The object exists already, is in use, or an idempotency key came with another body."""

    code = "CONFLICT"
    http_status = 409
    grpc_code = "ALREADY_EXISTS"


class RateLimitedError(ApiError):
    """Too many requests; ``retry_after_seconds`` says how long to wait."""

    code = "RATE_LIMITED"
    http_status = 429
    grpc_code = "RESOURCE_EXHAUSTED"
    retryable = True


class ServiceUnavailableError(ApiError):
    """Queue full, or a dependency of the service is away for the moment."""

    code = "SERVICE_UNAVAILABLE"
    http_status = 503
    grpc_code = "UNAVAILABLE"
    retryable = True


class InternalError(ApiError):
    """A defect in the service."""


class ConnectionFailedError(NiyantaError):
    """The service could not be reached: nothing listens, the name doesn't resolve, the link broke."""


class BrokerRefusedError(ConnectionFailedError):
    """The broker is there, and doesn't let in who connects.

    Attributes:
        at_once: Whether the answer came at once, so that somebody gave it; else nobody is there to say yes.
    """

    def __init__(self, message: str, *, at_once: bool) -> None:
        super().__init__(message)
        self.at_once = at_once


class WaitTimeoutError(NiyantaError, TimeoutError):
    """The workload wasn't terminal when the caller's time ran out; it goes on all the same."""


class WorkloadFailedError(NiyantaError):
    """A workload that was waited for ended FAILED; ``workload`` carries it."""

    # Any: the client's `Workload`; this module stands below all others.
    def __init__(self, message: str, workload: Any) -> None:
        super().__init__(message)
        self.workload = workload


class WorkloadCancelledError(NiyantaError):
    """A workload that was waited for ended CANCELLED; ``workload`` carries it."""

    # Any: the client's `Workload`; this module stands below all others.
    def __init__(self, message: str, workload: Any) -> None:
        super().__init__(message)
        self.workload = workload


class PermanentError(NiyantaError):
    """Raised by a handler: this input can never succeed, so the workload fails at once."""


class TransientError(NiyantaError):
    """Raised by a handler: this attempt failed, another may succeed."""


class CheckpointError(NiyantaError):
    """A checkpoint was refused (too large, not JSON); the last good one still stands."""


class ConfigurationError(NiyantaError):
    """A setting, an app or an argument that cannot work; the message says what to change."""
