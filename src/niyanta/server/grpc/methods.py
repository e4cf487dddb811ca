"""What a method of a service is: declared where it is served, by a decorator over the Python method.

It is to gRPC what ``rest.frame.operation`` is to REST.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from typing import Any, Generic, TypeAlias, TypeVar, overload

from google.protobuf.message import Message

from niyanta.domain.customers import Scope
from niyanta.domain.ids import ID_PATTERN
from niyanta.errors import ApiError, InvalidInputError, NotFoundError
from niyanta.server.services.requests import BodyLimit
from niyanta.server.store.customers import Identity
from niyanta.wire.v1 import admin_service_pb2, workload_service_pb2

__all__ = [
    "SERVICES",
    "Method",
    "MethodCall",
    "Served",
    "declared_by",
    "methods_of",
    "worker_id_of",
    "workload_id_of",
]

_ADMIN_SERVICE: str = admin_service_pb2.DESCRIPTOR.services_by_name["AdminService"].full_name
_WORKLOAD_SERVICE: str = workload_service_pb2.DESCRIPTOR.services_by_name["WorkloadService"].full_name
SERVICES = (_WORKLOAD_SERVICE, _ADMIN_SERVICE)
"""Full names of the services that have methods."""

Part = TypeVar("Part")
Request = TypeVar("Request", bound=Message)
Answer = TypeVar("Answer", bound=Message)

_DECLARED = "_niyanta_method"


@dataclass(slots=True)
class MethodCall(Generic[Request]):
    """One call on its way through: checked, decoded, and from whom."""

    identity: Identity
    request: Request
    size_bytes: int
    """Of the encoded request."""
    metadata: dict[str, str]
    """What came with the call; of a key that came twice, the first."""
    seconds_left: float | None
    """Until the call's deadline, as the call came in; None without one."""
    source: str
    """Address that it came from."""
    request_id: str
    answer_metadata: dict[str, str] = field(default_factory=dict)
    """Goes with the answer, besides the standard ones."""


Unary: TypeAlias = Callable[[Part, MethodCall[Request]], Coroutine[Any, Any, Answer]]
Stream: TypeAlias = Callable[[Part, MethodCall[Request]], AsyncGenerator[Answer, None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Method(Generic[Request, Answer]):
    """Declares a method of a service: a decorator over the Python method that serves it.

    One that is an async generator serves a stream.
    """

    name: str
    request: type[Request]
    answer: type[Answer]
    admin: bool = False
    """Whether it belongs to the service for keys with the admin role, and needs one."""
    scope: Scope = Scope.WORKLOADS_READ
    """What a customer's credential must be for."""
    body_limit: BodyLimit = BodyLimit.ONE
    """Larger requests are refused."""
    errors: tuple[type[ApiError], ...] = ()
    """What can go wrong, besides what can go wrong everywhere."""
    exists: Callable[[Any, MethodCall[Request]], Awaitable[object]] | None = None
    """Called when the input is refused: raises `NotFoundError` when there isn't anything it could be about."""

    @property
    def needs(self) -> Scope:
        """What a credential must be for."""
        return Scope.ADMIN if self.admin else self.scope

    @property
    def service(self) -> str:
        """Full name of the service that it belongs to."""
        return _ADMIN_SERVICE if self.admin else _WORKLOAD_SERVICE

    @overload
    def __call__(self, serve: Unary[Part, Request, Answer]) -> Unary[Part, Request, Answer]: ...
    @overload
    def __call__(self, serve: Stream[Part, Request, Answer]) -> Stream[Part, Request, Answer]: ...
    def __call__(self, serve: Callable[..., object]) -> Callable[..., object]:
        """Declare that this Python method serves it."""
        setattr(serve, _DECLARED, self)
        return serve


@dataclass(frozen=True, slots=True)
class Served:
    """A method with what serves it."""

    method: Method[Any, Any]
    serve: Callable[[MethodCall[Any]], Any]
    exists: Callable[[MethodCall[Any]], Awaitable[object]] | None

    @property
    def is_stream(self) -> bool:
        """Whether it answers with more than one message."""
        return inspect.isasyncgenfunction(self.serve)


def declared_by(part: type) -> list[Method[Any, Any]]:
    """What a class declares to serve."""
    return [method for _, method in _declarations(part)]


def methods_of(part: object) -> list[Served]:
    """The same, with the Python methods of an instance to serve it."""
    return [
        Served(
            method,
            getattr(part, name),
            None if method.exists is None else method.exists.__get__(part),
        )
        for name, method in _declarations(type(part))
    ]


def _declarations(part: type) -> Iterator[tuple[str, Method[Any, Any]]]:
    for name, member in vars(part).items():
        if (method := getattr(member, _DECLARED, None)) is not None:
            yield name, method


def workload_id_of(call: MethodCall[Any]) -> str:
    """The request's ``workload_id``; one that can't be an id is as missing as one that doesn't exist.

    Raises:
        InvalidInputError: None was given.
        NotFoundError: It can't be an id.
    """
    return _id_of(call, "workload_id", "There is no such workload")


def worker_id_of(call: MethodCall[Any]) -> str:
    """The request's ``worker_id``, in the same way.

    Raises:
        InvalidInputError: None was given.
        NotFoundError: It can't be an id.
    """
    return _id_of(call, "worker_id", "There is no such worker")


def _id_of(call: MethodCall[Any], name: str, missing: str) -> str:
    found: str = getattr(call.request, name)
    if not found:
        raise InvalidInputError(f"{name} is needed", details={"field": name})
    if not ID_PATTERN.fullmatch(found):
        raise NotFoundError(missing)
    return found
