"""What a handler's parameters are: how they are decoded, and what the service may check of them ahead.

Whether an input fits is the model's own decision: msgspec's for structs, dataclasses and typed dicts, pydantic's for
whatever holds one of its models. The schema that travels to the service may be looser than the model, never stricter.
"""

from __future__ import annotations

import copy
import dataclasses
import enum
import fractions
import ipaddress
import pathlib
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from niyanta.domain.json_value import Json
from niyanta.errors import ConfigurationError
from niyanta.worker.handlers.text import describe

__all__ = ["NO_DEFAULT", "Parameters", "parameters_of"]

NO_DEFAULT = object()
_FROM_TEXT: tuple[type, ...] = (
    pathlib.PurePath,
    fractions.Fraction,
    ipaddress.IPv4Address,
    ipaddress.IPv6Address,
    ipaddress.IPv4Network,
    ipaddress.IPv6Network,
)
"""Types beyond msgspec's own that are made of their text."""


@dataclass(frozen=True)
class Parameters:
    """One handler's second argument."""

    decode: Callable[[bytes], Any]
    """Makes it of the JSON of ``input_params``; raises whatever the model raises when it doesn't fit."""
    schema: dict[str, Any] | None
    """JSON Schema (2020-12) that all inputs fit which ``decode`` takes; None when nothing is known."""
    names: frozenset[str] | None = None
    """What it makes something of; other names are passed over. None when that isn't known, or they are refused."""

    def passed_over(self, given: Iterable[str]) -> list[str]:
        """Those of an input's names that ``decode`` makes nothing of."""
        return [] if self.names is None else sorted(set(given) - self.names)


def parameters_of(kind: object, default: object = NO_DEFAULT) -> Parameters:
    """Look a parameter's type over.

    Args:
        kind: Its annotation, evaluated.
        default: Used when ``input_params`` is empty.

    Raises:
        ConfigurationError: No JSON object can be one of these; says what can.
    """
    parts = list(_parts(kind, set()))
    if any(_is_pydantic(part) for part in parts):
        found = _by_pydantic(kind)
    elif kind in (dict, Any, object, Mapping, typing.Mapping):
        found = Parameters(msgspec.json.Decoder(dict[str, Any]).decode, None)
    else:
        for part in parts:
            _refuse_own_making(part)
        found = _by_msgspec(kind, [part.__name__ for part in parts if _takes_more(part)])
    if found.schema is not None and not _takes_objects(found.schema, found.schema):
        raise ConfigurationError(
            f"input_params are always a JSON object, and {kind!r} is none: use a dataclass, a msgspec Struct, a "
            "TypedDict or a pydantic model"
        )
    return found if default is NO_DEFAULT else _with_default(found, default)


def _refuse_own_making(part: object) -> None:
    """Refuse a class with code that its maker runs, and msgspec, which sets the fields itself, would pass over."""
    if not isinstance(part, type):
        return
    if any(field.converter is not None for field in getattr(part, "__attrs_attrs__", ())):
        raise ConfigurationError(f"{part!r} has converters, which aren't run on input_params: use a pydantic model")
    # What dataclasses and attrs write comes from no file; a Struct may have none of its own.
    is_made = dataclasses.is_dataclass(part) or hasattr(part, "__attrs_attrs__")
    init = next(vars(kind)["__init__"] for kind in part.__mro__ if "__init__" in vars(kind))
    code = getattr(init, "__code__", None)
    if is_made and code is not None and not code.co_filename.startswith("<"):
        raise ConfigurationError(
            f"{part!r} has an __init__ of its own, which is not called for input_params: use __post_init__, or a "
            "pydantic model"
        )


def _takes_more(part: object) -> bool:
    """Whether it is an enum that makes members of other values than its own: flags, and what looks them up."""
    return (
        isinstance(part, type)
        and issubclass(part, enum.Enum)
        and getattr(part._missing_, "__func__", None) is not getattr(enum.Enum._missing_, "__func__", None)
    )


def _by_msgspec(kind: object, open_enums: Iterable[str]) -> Parameters:
    """``open_enums`` are the names of those that take more than their members' values."""
    try:
        decoder = msgspec.json.Decoder(kind, dec_hook=_from_text)
        schema = msgspec.json.schema(kind, schema_hook=_schema_of_text)
    except Exception as exc:  # msgspec has several, and code of the type's own may run
        raise ConfigurationError(
            f"{kind!r} can't be described as JSON: {describe(exc)}. Use a msgspec Struct, a dataclass, a TypedDict "
            "or a pydantic model"
        ) from exc
    for name in [name for name in schema.get("$defs", {}) if name.endswith(tuple(open_enums))]:
        schema["$defs"][name] = {"title": name}
    return Parameters(decoder.decode, {key: _loosened(value) for key, value in schema.items()}, _taken(schema))


def _taken(schema: dict[str, Any]) -> frozenset[str] | None:
    """The names that an object of one shape has, where others do no harm."""
    part: dict[str, Any] = schema
    if reference := schema.get("$ref"):
        part = schema["$defs"][reference.rpartition("/")[2]]
    if "properties" not in part or "additionalProperties" in part:
        return None
    return frozenset(part["properties"])


def _from_text(kind: type, value: object) -> object:
    if issubclass(kind, _FROM_TEXT) and isinstance(value, str):
        made: Callable[[str], Any] = kind
        return made(value)
    raise TypeError(f"expected text for {kind.__name__}")


def _schema_of_text(kind: type) -> dict[str, Any]:
    if issubclass(kind, _FROM_TEXT):
        return {"type": "string"}
    raise TypeError(f"type {kind.__name__} is not known")


def _loosened(schema: Json) -> Json:
    """What msgspec says of a type where it takes more: decimals may be numbers too, and a set's items come twice."""
    if isinstance(schema, list):
        return [_loosened(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("format") == "decimal" and schema.get("type") == "string":
        return {**schema, "type": ["string", "number"]}
    return {key: _loosened(value) for key, value in schema.items() if key != "uniqueItems"}


def _by_pydantic(kind: object) -> Parameters:
    try:
        from niyanta.worker.handlers.pydantic_schema import adapted
    except ImportError as exc:
        raise ConfigurationError(
            f"{kind!r} needs pydantic 2.10 or newer: pip install 'niyanta[pydantic]' ({exc})"
        ) from exc
    try:
        return Parameters(*adapted(kind))
    except Exception as exc:
        raise ConfigurationError(f"pydantic can't make anything of {kind!r}: {describe(exc)}") from exc


def _is_pydantic(part: object) -> bool:
    if isinstance(part, type):
        if any(hasattr(part, name) for name in ("__pydantic_core_schema__", "__get_pydantic_core_schema__")):
            return True
        if hasattr(part, "parse_obj") and hasattr(part, "__fields__"):
            raise ConfigurationError(f"{part!r} is a model of pydantic 1; pydantic 2.10 or newer is needed")
    return not isinstance(part, type) and type(part).__module__.startswith("pydantic")


def _parts(kind: object, seen: set[int]) -> Iterator[Any]:
    """A type, all that it is made of, and what is written beside it (``Annotated``)."""
    if id(kind) in seen:
        return
    seen.add(id(kind))
    yield kind
    for inner in (*typing.get_args(kind), *getattr(kind, "__metadata__", ())):
        yield from _parts(inner, seen)
    if isinstance(kind, type) and (
        dataclasses.is_dataclass(kind) or hasattr(kind, "__required_keys__") or issubclass(kind, msgspec.Struct)
    ):
        try:
            fields = typing.get_type_hints(kind, include_extras=True)
        except Exception:  # whoever decodes it will say it better
            return
        for inner in fields.values():
            yield from _parts(inner, seen)


def _takes_objects(schema: object, root: Mapping[str, Any]) -> bool:
    if not isinstance(schema, dict):
        return True
    if isinstance(pointer := schema.get("$ref"), str) and pointer.startswith("#/$defs/"):
        name = pointer.removeprefix("#/$defs/").replace("~1", "/").replace("~0", "~")
        return _takes_objects(root.get("$defs", {}).get(name), root)
    for word in ("anyOf", "oneOf"):
        if word in schema:
            return any(_takes_objects(one, root) for one in schema[word])
    if "enum" in schema:
        return any(isinstance(value, dict) for value in schema["enum"])
    kinds = schema.get("type", "object")
    return "object" in ([kinds] if isinstance(kinds, str) else kinds)


def _with_default(found: Parameters, default: object) -> Parameters:
    def decode(data: bytes) -> object:
        return copy.deepcopy(default) if msgspec.json.decode(data) == {} else found.decode(data)

    schema = found.schema
    if schema is not None:
        body = {key: value for key, value in schema.items() if key != "$defs"}
        schema = {"anyOf": [{"type": "object", "maxProperties": 0}, body]}
        if "$defs" in found.schema:  # type: ignore[operator]  # not None, as above
            schema["$defs"] = found.schema["$defs"]  # type: ignore[index]
    return Parameters(decode, schema)
