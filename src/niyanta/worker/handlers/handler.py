"""What a handler takes and gives: a context, parameters, and a result that JSON can hold."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import math
import types
import typing
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from niyanta.domain.forms import form_of
from niyanta.domain.ids import WORKLOAD_TYPE_PATTERN
from niyanta.domain.json_schema import Schema, SchemaError, TooExpensiveError
from niyanta.domain.limits import MAX_DEPTH, MAX_RESULT_BYTES, MAX_REUSE
from niyanta.domain.workers import Isolation
from niyanta.errors import ConfigurationError, PermanentError
from niyanta.worker.handlers.context import Context, SyncContext
from niyanta.worker.handlers.parameters import NO_DEFAULT, Parameters, parameters_of
from niyanta.worker.handlers.text import clean, describe, plain

__all__ = ["FULL_NETWORK", "NO_NETWORK", "Handler", "MisfitError", "encode_result", "make_handler"]

STRICT = "strict"
"""As the isolation: in a process, with nothing missing of its box."""
FULL_NETWORK, NO_NETWORK = "full", "none"


_MOST_NAMES = 10
_MOST_OF_NAME = 100


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
    isolation: Isolation
    exclusive: bool
    is_async: bool
    parameters: Parameters | None
    """The second parameter; None when the handler takes only the context."""
    strict: bool = False
    """Whether it is served only where every wall of the box holds."""
    network: bool = True
    """Whether it has any."""
    reuse: int = 1
    """How many attempts of one customer a process may serve, one after another."""

    @property
    def input_schema(self) -> dict[str, Any] | None:
        """What the service may check of a submission; None when nothing is known of its input."""
        return None if self.parameters is None else self.parameters.schema

    def arguments(self, context: object, input_json: bytes) -> tuple[Any, ...]:
        """What to call the function with.

        Raises:
            MisfitError: The input doesn't fit; names the field.
        """
        if self.parameters is None:
            return (context,)
        try:
            return (context, self.parameters.decode(input_json))
        except Exception as exc:  # a model's own code may raise anything
            words = str(exc) if isinstance(exc, ValueError | TypeError) else describe(exc)
            hopeless = self._meets_schema(input_json)
            raise MisfitError(f"input_params don't fit the handler: {words}", hopeless=hopeless) from exc

    def remark_on(self, context: Context | SyncContext) -> None:
        """Warn in the workload's log of names that its parameters don't have: most are mistyped."""
        names = self.parameters.passed_over(context.input_params) if self.parameters is not None else []
        if names:
            more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
            shown = ", ".join(repr(plain(name, _MOST_OF_NAME)) for name in names[:_MOST_NAMES])
            context.log.warning("input_params: the handler knows no %s%s", shown, more)

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
        except (SchemaError, TooExpensiveError):
            return True

    def call(self, context: object, input_json: bytes) -> Awaitable[Any] | Any:
        """Decode the input and call the function; gives its result, or an awaitable of it.

        Raises:
            PermanentError: The input doesn't fit.
        """
        return self.function(*self.arguments(context, input_json))


def make_handler(
    workload_type: str,
    function: Callable[..., Any],
    isolation: str,
    exclusive: bool,
    reuse: int = 1,
    network: str = FULL_NETWORK,
) -> Handler:
    """Look a function over.

    Raises:
        ConfigurationError: Its name, its parameters or its isolation can't work; says what can.
    """
    if callable(workload_type):
        raise ConfigurationError('the decorator needs the name of the workload type: @worker.workload("name")')
    if not isinstance(workload_type, str) or not WORKLOAD_TYPE_PATTERN.fullmatch(workload_type):
        raise ConfigurationError(
            "a workload type is 1 to 100 letters, digits, '_', '.' and '-', and begins with a letter or digit, "
            f"not {workload_type!r:.200}"
        )
    strict = isolation == STRICT
    isolation = _isolation(workload_type, isolation, network)
    if not callable(function):
        raise ConfigurationError(f"the handler of '{workload_type}' must be a function, not {function!r:.200}")
    codes = list(_codes(function))
    if any(inspect.isgeneratorfunction(code) or inspect.isasyncgenfunction(code) for code in codes):
        raise ConfigurationError(
            f"the handler of '{workload_type}' is a generator, as it has a yield in it: return the result, and say "
            "how far it is by ctx.report_progress"
        )
    is_async = any(inspect.iscoroutinefunction(code) for code in codes)
    if isolation == Isolation.INLINE and not is_async:
        raise ConfigurationError(f"'{workload_type}' is isolation='inline', which needs an async handler")
    if isolation == Isolation.INLINE and exclusive:
        raise ConfigurationError(
            f"'{workload_type}' is exclusive, which needs isolation='process': only a process can be ended for sure"
        )
    if isinstance(reuse, bool) or not isinstance(reuse, int) or not 1 <= reuse <= MAX_REUSE:
        raise ConfigurationError(
            f"reuse of '{workload_type}' is how many attempts a process may serve: 1 to {MAX_REUSE}, not {reuse!r}"
        )
    if isolation == Isolation.INLINE and reuse > 1:
        raise ConfigurationError(f"'{workload_type}' is isolation='inline', and so has no process to reuse")
    parameters = _parameters(workload_type, function, codes[-1])
    return Handler(
        workload_type, function, isolation, exclusive, is_async, parameters, strict, network == FULL_NETWORK, reuse
    )


def _isolation(workload_type: str, isolation: str, network: str) -> Isolation:
    """Where it runs, by what its author says."""
    if network not in (FULL_NETWORK, NO_NETWORK):
        raise ConfigurationError(f"network of '{workload_type}' must be 'full' or 'none', not '{network}'")
    if isolation == STRICT:
        return Isolation.PROCESS
    if isolation not in tuple(Isolation):
        raise ConfigurationError(
            f"isolation of '{workload_type}' must be 'process', 'strict' or 'inline', not '{isolation}'"
        )
    if isolation == Isolation.INLINE and network == NO_NETWORK:
        raise ConfigurationError(f"'{workload_type}' is isolation='inline', and so has the agent's network")
    return Isolation(isolation)


def _codes(function: object) -> Iterator[Any]:
    """A function, and what it only passes its arguments on to: the last is the code itself."""
    for _ in range(100):  # one may wrap itself
        yield function
        if isinstance(function, functools.partial):
            function = function.func
        elif hasattr(function, "__wrapped__"):
            function = function.__wrapped__
        elif inspect.ismethod(function) or isinstance(function, staticmethod):
            function = function.__func__
        elif not inspect.isroutine(function) and not isinstance(function, type):
            function = type(function).__call__
        else:
            return


def _parameters(workload_type: str, function: Callable[..., Any], code: object) -> Parameters | None:
    """What the function takes beside the context."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError) as exc:
        raise ConfigurationError(f"the handler of '{workload_type}' has no signature: {exc}") from exc
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    required = [p for p in parameters if p.default is p.empty and p.kind in positional]
    if required and required[0].name in ("self", "cls"):
        raise ConfigurationError(
            f"the handler of '{workload_type}' is a method without its object: register the object's own, as in "
            f'worker.workload("{workload_type}")(thing.{getattr(function, "__name__", "method")})'
        )
    if parameters[2:] and all(p.kind is p.KEYWORD_ONLY and p.default is not p.empty for p in parameters[2:]):
        del parameters[2:]  # bound by `functools.partial`, or for tests: nobody passes them here
    if not 1 <= len(parameters) <= 2 or any(p.kind not in positional for p in parameters) or not required:
        raise ConfigurationError(f"the handler of '{workload_type}' must take (ctx) or (ctx, params)")
    if len(parameters) == 1:
        return None
    second = parameters[1]
    try:
        kind = dict[str, Any] if second.annotation is second.empty else _evaluated(second.annotation, code)
    except Exception as exc:
        raise ConfigurationError(
            f"the annotations of '{workload_type}' can't be read: {describe(exc)}. The type of '{second.name}' must "
            "be there where the handler is defined, not only under TYPE_CHECKING"
        ) from exc
    if kind in (Context, SyncContext):
        raise ConfigurationError(f"the handler of '{workload_type}' must take (ctx, params): the context comes first")
    try:
        return parameters_of(kind, NO_DEFAULT if second.default is second.empty else second.default)
    except ConfigurationError as exc:
        raise ConfigurationError(f"the parameters of '{workload_type}': {exc}") from exc


def _evaluated(annotation: object, code: object) -> object:
    """An annotation that may be text; of this one only, as others may name what isn't there at run time."""
    holder = types.SimpleNamespace(__annotations__={"it": annotation})
    names = getattr(code, "__globals__", {})
    inner: dict[str, Any] = {}
    if inspect.isfunction(code):
        inner = dict(inspect.getclosurevars(code).nonlocals)
    return typing.get_type_hints(holder, names, inner, include_extras=True)["it"]


def encode_result(value: object) -> bytes:
    """A handler's result as a JSON object in UTF-8. NUL and lone surrogates in its texts become U+FFFD.

    Raises:
        PermanentError: JSON can't hold it, or it is too large; says which part of it.
    """
    if value is None:
        value = {}
    try:
        plain_value = _plain_value(value, "result", 0, [MAX_RESULT_BYTES])
        encoded = msgspec.json.encode(plain_value if isinstance(plain_value, dict) else {"value": plain_value})
    except (TypeError, ValueError, OverflowError) as exc:
        raise PermanentError(f"the result is not JSON: {exc}") from exc
    if len(encoded) > MAX_RESULT_BYTES:
        raise PermanentError(f"the result has {len(encoded)} bytes, the limit is {MAX_RESULT_BYTES}")
    return encoded


# C901: one branch for each kind of value
def _plain_value(value: object, place: str, depth: int, room: list[int]) -> object:  # noqa: C901
    """A value of JSON's own types, or why there is none. Never more than `MAX_DEPTH` calls deep.

    ``room`` is how many bytes are left, at the least that each value takes: one that stands in many places takes it
    in each.
    """
    if depth > MAX_DEPTH:
        raise ValueError(f"it is nested deeper than {MAX_DEPTH} levels, or holds itself")
    match value:
        case None | bool():
            return value
        case str():
            return clean(str.__str__(value))
        case int():
            if not -(2**63) <= value < 2**63:
                raise ValueError(f"{place} is an integer beyond 64 bits")
            return int(value)
        case float():
            if not math.isfinite(value):
                raise ValueError(f"{place} is {value}")
            return float(value)
        case dict():
            _take_room(room, len(value), place)
            return _plain_dict(value, place, depth, room)
        case list() | tuple():
            _take_room(room, len(value), place)
            return [_plain_value(v, f"{place}[{number}]", depth + 1, room) for number, v in enumerate(value)]
        case set() | frozenset() | bytes() | bytearray() | memoryview():
            raise TypeError(f"{place} is a {type(value).__name__}")
    if hasattr(value, "model_dump"):
        return _plain_value(value.model_dump(mode="json"), place, depth + 1, room)
    if isinstance(value, msgspec.Struct):
        # Tag and renamed fields included; only one level, so that what is inside is looked at as well.
        fields = {f.encode_name: getattr(value, f.name) for f in msgspec.structs.fields(value)}
        config = value.__struct_config__
        tag = {config.tag_field: config.tag} if config.tag_field else {}
        return _plain_value({**tag, **fields}, place, depth, room)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
        return _plain_value(fields, place, depth, room)
    try:
        simple = msgspec.to_builtins(value)
    except TypeError:
        advice = ": give its .tolist()" if hasattr(value, "tolist") else ""
        raise TypeError(f"{place} is a {type(value).__name__}{advice}") from None
    if type(simple) is type(value):
        raise TypeError(f"{place} is a {type(value).__name__}")
    return _plain_value(simple, place, depth + 1, room)


def _take_room(room: list[int], values: int, place: str) -> None:
    room[0] -= values + 2  # a bracket at either end, and a character for each value
    if room[0] < 0:
        raise ValueError(f"it is larger than {MAX_RESULT_BYTES} bytes; {place} is beyond them")


def _plain_dict(value: dict[object, object], place: str, depth: int, room: list[int]) -> dict[str, object]:
    for key in value:
        if not isinstance(key, str):
            raise TypeError(f"{place} has the key {key!r}, which is not a string")
    found = {clean(str.__str__(k)): _plain_value(v, f"{place}.{k}", depth + 1, room) for k, v in dict.items(value)}
    if len(found) < len(value):
        raise ValueError(f"{place} has keys that are the same once U+FFFD stands for what can't be stored in them")
    return found
