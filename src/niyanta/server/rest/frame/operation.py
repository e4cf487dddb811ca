"""What an endpoint is: declared where it is served, by a decorator over its method."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import Enum
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import Response

from niyanta.domain.customers import Scope
from niyanta.domain.limits import MAX_VALUES
from niyanta.errors import ApiError
from niyanta.server.rest.frame import parameters
from niyanta.server.rest.frame.parameters import Parameter
from niyanta.server.services.requests import BodyLimit
from niyanta.server.store.customers import Identity

__all__ = ["Access", "Call", "Deprecation", "Endpoint", "Operation", "declared_by", "endpoints_of"]


class Access(Enum):
    """Who may call an endpoint."""

    PUBLIC = "public"
    CUSTOMER = "customer"
    ADMIN = "admin"
    METRICS = "metrics"
    """What the settings say of metrics: everybody or admins."""


@dataclass(frozen=True, slots=True)
class Deprecation:
    """Announces the end of an endpoint in its responses' headers."""

    deprecated_at: datetime
    sunset_at: datetime
    successor: str
    """Address of the page that tells what to use instead."""


@dataclass(slots=True)
class Call:
    """One request on its way through: checked, decoded, and from whom."""

    request: Request
    identity: Identity
    """Who asks; only to be read where the operation isn't public."""
    body: Any = None  # Any: of the type that the operation declares
    """The decoded body; None when the operation takes none, or it is optional and was left out."""
    media_type: str = "application/json"
    """What the answer's body is to be, of those that the operation offers."""
    noted: dict[str, object] = field(default_factory=dict)
    """What was done in particular, for the record of what operators do."""

    def path_id(self, name: str) -> str:
        """An id from the path; one that can't be an id is as missing as one that doesn't exist."""
        return parameters.path_id(self.request, name)


Serve = Callable[[Call], Awaitable[Response]]
"""Serves a call."""
_Method = Callable[[Any, Call], Awaitable[Response]]
"""The same as it stands in its class."""
M = TypeVar("M", bound=_Method)

_DECLARED = "_niyanta_operations"


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """Declares an endpoint: a decorator over the method that serves it.

    The route, the checks and the OpenAPI document are all made from it, so that none of them can say something else
    than the others.
    """

    method: str
    path: str
    """Below the server's root, as in ``/v1/workloads/{workload_id}``."""
    operation_id: str
    summary: str
    tag: str
    access: Access = Access.CUSTOMER
    scope: Scope | None = None
    """What a customer's credential must be for; None: to read for a GET, else to write workloads."""
    any_scope: bool = False
    """Whether any good credential will do."""
    query: tuple[Parameter, ...] = ()
    """Every query parameter there is; any other is refused."""
    body: type | None = None
    """Type of the JSON body."""
    body_required: bool = True
    one_of_fields: tuple[str, ...] = ()
    """Fields of which a body must have one at least, for the document; whoever serves it refuses others."""
    body_limit: BodyLimit = BodyLimit.ONE
    """Larger bodies are refused."""
    max_values: int = MAX_VALUES
    """Values that a body may hold."""
    answer: type | None = None
    """Type of a success's JSON body; None for none, or for another media type."""
    media_type: str = "application/json"
    other_media_types: tuple[str, ...] = ()
    """What a success may also come as, as text, for callers whose ``Accept`` header asks for it."""
    status: int = 200
    other_answers: dict[int, type] = field(default_factory=dict)
    """Types of the bodies of other statuses that are no errors, by status."""
    headers: tuple[str, ...] = ()
    """Headers that a success carries besides the standard ones."""
    request_headers: tuple[str, ...] = ()
    errors: tuple[type[ApiError], ...] = ()
    """What can go wrong, besides what can go wrong everywhere."""
    description: str = ""
    exists: Callable[[Any, Call], Awaitable[object]] | None = None
    """Called when the input is refused: raises `NotFoundError` when there isn't anything it could be about."""
    recorded: bool = True
    """Whether calls of an admin's operation go into the record of what operators do."""
    also_at_root: bool = False
    """Whether it is served without ``/v1`` too, as an operation of its own."""
    deprecation: Deprecation | None = None

    @property
    def needs(self) -> Scope | None:
        """What a credential must be for; None when any good one will do, or none is needed."""
        if self.access is Access.ADMIN:
            return Scope.ADMIN
        if self.access is Access.PUBLIC or self.any_scope:
            return None
        return self.scope or (Scope.WORKLOADS_READ if self.method == "GET" else Scope.WORKLOADS_WRITE)

    def __call__(self, method: M) -> M:
        """Declare that this method serves the operation; a method may serve several."""
        setattr(method, _DECLARED, (*getattr(method, _DECLARED, ()), self))
        return method


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An operation with what serves it."""

    operation: Operation
    handler: Serve
    exists: Callable[[Call], Awaitable[object]] | None = None


def declared_by(part: type, metrics_access: Access = Access.ADMIN) -> list[Operation]:
    """What the methods of a class declare to serve.

    Args:
        part: The class.
        metrics_access: What `Access.METRICS` means.
    """
    return [operation for _, operation in _declarations(part, metrics_access)]


def endpoints_of(part: object, metrics_access: Access = Access.ADMIN) -> list[Endpoint]:
    """The same, with the methods of an instance to serve it."""
    return [
        Endpoint(
            operation,
            getattr(part, name),
            None if operation.exists is None else operation.exists.__get__(part),
        )
        for name, operation in _declarations(type(part), metrics_access)
    ]


def _declarations(part: type, metrics_access: Access) -> Iterator[tuple[str, Operation]]:
    for name, method in vars(part).items():
        for operation in getattr(method, _DECLARED, ()):
            if operation.access is Access.METRICS:
                operation = replace(operation, access=metrics_access)
            yield name, operation
            if operation.also_at_root:
                path, operation_id = operation.path.removeprefix("/v1"), f"{operation.operation_id}AtRoot"
                yield name, replace(operation, path=path, operation_id=operation_id)
