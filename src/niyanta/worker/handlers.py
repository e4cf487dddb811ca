"""What a handler takes and gives: typed parameters, their JSON Schema, and results that JSON can hold."""

from __future__ import annotations

import dataclasses
import inspect
import math
import typing
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from niyanta.errors import ConfigurationError, PermanentError

__all__ = ["Handler", "encode_result", "make_handler"]

MAX_RESULT_BYTES = 1 << 20


@dataclass(frozen=True)
class Handler:
    """One workload type's code."""

    workload_type: str
    function: Callable[..., Any]
    isolation: str
    exclusive: bool
    is_async: bool
    params_type: Any
    """Type of the second parameter; None when the handler takes only the context."""
    input_schema: dict[str, Any] | None

    def arguments(self, context: Any, input_json: bytes) -> tuple[Any, ...]:
        """What to call the function with.

        Raises:
            PermanentError: The input doesn't fit; names the field.
        """
        if self.params_type is None:
            return (context,)
        try:
            if _is_pydantic(self.params_type):
                return (context, self.params_type.model_validate_json(input_json))
            return (context, msgspec.json.decode(input_json, type=self.params_type))
        except (msgspec.ValidationError, ValueError) as exc:
            raise PermanentError(f"input_params don't fit the handler: {exc}") from exc

    def call(self, context: Any, input_json: bytes) -> Awaitable[Any] | Any:
        return self.function(*self.arguments(context, input_json))


def _is_pydantic(kind: Any) -> bool:
    return isinstance(kind, type) and hasattr(kind, "model_validate_json")


def make_handler(workload_type: str, function: Callable[..., Any], isolation: str, exclusive: bool) -> Handler:
    """Look a function over.

    Raises:
        ConfigurationError: Its parameters or its isolation can't work; says what can.
    """
    if isolation not in ("process", "inline"):
        raise ConfigurationError(f"isolation of '{workload_type}' must be 'process' or 'inline', not '{isolation}'")
    is_async = inspect.iscoroutinefunction(function)
    if isolation == "inline" and not is_async:
        raise ConfigurationError(f"'{workload_type}' is isolation='inline', which needs an async handler")
    parameters = list(inspect.signature(function).parameters.values())
    if not 1 <= len(parameters) <= 2:
        raise ConfigurationError(f"the handler of '{workload_type}' must take (ctx) or (ctx, params)")
    params_type: Any = None
    if len(parameters) == 2:
        hints = typing.get_type_hints(function)
        params_type = hints.get(parameters[1].name, dict[str, Any])
    return Handler(
        workload_type, function, isolation, exclusive, is_async, params_type, _schema_of(workload_type, params_type)
    )


def _schema_of(workload_type: str, kind: Any) -> dict[str, Any] | None:
    if kind is None or kind is dict or typing.get_origin(kind) is dict:
        return None
    if _is_pydantic(kind):
        return dict(kind.model_json_schema())
    try:
        return msgspec.json.schema(kind)
    except TypeError as exc:
        raise ConfigurationError(
            f"the parameters of '{workload_type}' can't be described as JSON: {exc}. Use a msgspec Struct, a "
            "dataclass, a TypedDict or a pydantic model"
        ) from exc


def encode_result(value: Any) -> bytes:
    """A handler's result as a JSON object in UTF-8.

    Raises:
        PermanentError: JSON can't hold it, or it is too large.
    """
    if value is None:
        value = {}
    elif hasattr(value, "model_dump"):
        value = value.model_dump(mode="json")
    elif not isinstance(value, (dict, msgspec.Struct)) and not dataclasses.is_dataclass(value):
        value = {"value": value}
    try:
        _refuse(value, "result")
        encoded = msgspec.json.encode(value)
        msgspec.json.decode(encoded)
    except (TypeError, ValueError, RecursionError, msgspec.MsgspecError) as exc:
        raise PermanentError(f"the result is not JSON: {exc}") from exc
    if len(encoded) > MAX_RESULT_BYTES:
        raise PermanentError(f"the result has {len(encoded)} bytes, the limit is {MAX_RESULT_BYTES}")
    return encoded


def _refuse(value: Any, place: str) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{place} is {value}")
    if isinstance(value, (set, frozenset, bytes, bytearray, memoryview)):
        raise TypeError(f"{place} is a {type(value).__name__}")
    if isinstance(value, dict):
        for key, inner in value.items():
            if not isinstance(key, str):
                raise TypeError(f"{place} has the key {key!r}, which is not a string")
            _refuse(inner, f"{place}.{key}")
    elif isinstance(value, (list, tuple)):
        for number, inner in enumerate(value):
            _refuse(inner, f"{place}[{number}]")
