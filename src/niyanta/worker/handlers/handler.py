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

from niyanta.domain.forms import form_of
from niyanta.domain.json_schema import Schema, SchemaError, TooExpensive
from niyanta.errors import ConfigurationError, PermanentError
from niyanta.wire.strict_json import MAX_DEPTH
from niyanta.worker.handlers.text import clean, describe

__all__ = ["Handler", "MisfitError", "encode_result", "make_handler"]

MAX_RESULT_BYTES = 1 << 20


class MisfitError(PermanentError):
    """The input doesn't fit the handler's parameters.

    Attributes:
        hopeless: It fits their JSON Schema, as the service could have told; only the handler's own checks refuse it.
    """

    def __init__(self, message: str, *, hopeless: bool) -> None:
        super().__init__(message)
        self.hopeless = hopeless


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
            MisfitError: The input doesn't fit; names the field.
        """
        if self.params_type is None:
            return (context,)
        try:
            if _is_pydantic(self.params_type):
                return (context, self.params_type.model_validate_json(input_json))
            return (context, msgspec.json.decode(input_json, type=self.params_type))
        except (ValueError, TypeError, RecursionError) as exc:
            hopeless = self._meets_schema(input_json)
            raise MisfitError(f"input_params don't fit the handler: {exc}", hopeless=hopeless) from exc

    @property
    def form(self) -> str:
        """Names the form of input that it takes."""
        return form_of(self.input_schema)

    def _meets_schema(self, input_json: bytes) -> bool:
        """Whether an input is one that the service would accept for this handler alone."""
        if self.input_schema is None:
            return True
        try:
            return not Schema(self.input_schema).problems(msgspec.json.decode(input_json), most=1)
        except (SchemaError, TooExpensive):
            return True

    def call(self, context: Any, input_json: bytes) -> Awaitable[Any] | Any:
        """Call the function with its arguments made from the input; an async one gives an awaitable."""
        return self.function(*self.arguments(context, input_json))


def _is_pydantic(kind: Any) -> bool:
    return isinstance(kind, type) and hasattr(kind, "model_validate_json")


def make_handler(workload_type: str, function: Callable[..., Any], isolation: str, exclusive: bool) -> Handler:
    """Look a function over.

    Raises:
        ConfigurationError: Its name, its parameters or its isolation can't work; says what can.
    """
    if not isinstance(workload_type, str) or not 1 <= len(workload_type) <= 255 or not workload_type.isprintable():
        raise ConfigurationError(f"a workload type must be 1 to 255 printable characters, not {workload_type!r}")
    if isolation not in ("process", "inline"):
        raise ConfigurationError(f"isolation of '{workload_type}' must be 'process' or 'inline', not '{isolation}'")
    is_async = inspect.iscoroutinefunction(function)
    if isolation == "inline" and not is_async:
        raise ConfigurationError(f"'{workload_type}' is isolation='inline', which needs an async handler")
    if isolation == "inline" and exclusive:
        raise ConfigurationError(
            f"'{workload_type}' is exclusive, which needs isolation='process': only a process can be ended for sure"
        )
    parameters = list(inspect.signature(function).parameters.values())
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    required = [p for p in parameters if p.default is p.empty and p.kind in positional]
    if not 1 <= len(parameters) <= 2 or any(p.kind not in positional for p in parameters) or not required:
        raise ConfigurationError(f"the handler of '{workload_type}' must take (ctx) or (ctx, params)")
    params_type: Any = None
    if len(parameters) == 2:
        try:
            params_type = typing.get_type_hints(function).get(parameters[1].name, dict[str, Any])
        except Exception as exc:
            raise ConfigurationError(f"the annotations of '{workload_type}' can't be read: {describe(exc)}") from exc
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
    """A handler's result as a JSON object in UTF-8. NUL and lone surrogates in its texts become U+FFFD.

    Raises:
        PermanentError: JSON can't hold it, or it is too large; says which part of it.
    """
    if value is None:
        value = {}
    try:
        plain_value = _plain_value(value, "result", 0)
        encoded = msgspec.json.encode(plain_value if isinstance(plain_value, dict) else {"value": plain_value})
    except (TypeError, ValueError, OverflowError) as exc:
        raise PermanentError(f"the result is not JSON: {exc}") from exc
    if len(encoded) > MAX_RESULT_BYTES:
        raise PermanentError(f"the result has {len(encoded)} bytes, the limit is {MAX_RESULT_BYTES}")
    return encoded


def _plain_value(value: Any, place: str, depth: int) -> Any:
    """A value of JSON's own types, or why there is none. Never more than `MAX_DEPTH` calls deep."""
    if depth > MAX_DEPTH:
        raise ValueError(f"it is nested deeper than {MAX_DEPTH} levels, or holds itself")
    match value:
        case None | bool():
            return value
        case str():
            return clean(value)
        case int():
            if not -(2**63) <= value < 2**63:
                raise ValueError(f"{place} is an integer beyond 64 bits")
            return int(value)
        case float():
            if not math.isfinite(value):
                raise ValueError(f"{place} is {value}")
            return float(value)
        case dict():
            for key in value:
                if not isinstance(key, str):
                    raise TypeError(f"{place} has the key {key!r}, which is not a string")
            return {clean(k): _plain_value(v, f"{place}.{k}", depth + 1) for k, v in value.items()}
        case list() | tuple():
            return [_plain_value(v, f"{place}[{number}]", depth + 1) for number, v in enumerate(value)]
        case set() | frozenset() | bytes() | bytearray() | memoryview():
            raise TypeError(f"{place} is a {type(value).__name__}")
    if hasattr(value, "model_dump"):
        return _plain_value(value.model_dump(mode="json"), place, depth + 1)
    if isinstance(value, msgspec.Struct):
        # Tag and renamed fields included; only one level, so that what is inside is looked at as well.
        fields = {f.encode_name: getattr(value, f.name) for f in msgspec.structs.fields(value)}
        config = value.__struct_config__
        tag = {config.tag_field: config.tag} if config.tag_field else {}
        return _plain_value({**tag, **fields}, place, depth)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
        return _plain_value(fields, place, depth)
    try:
        simple = msgspec.to_builtins(value)
    except TypeError:
        raise TypeError(f"{place} is a {type(value).__name__}") from None
    if type(simple) is type(value):
        raise TypeError(f"{place} is a {type(value).__name__}")
    return _plain_value(simple, place, depth + 1)
