"""From the JSON Schema that msgspec writes (2020-12) to the dialect of OpenAPI 3.0.3, which is older and smaller."""

from __future__ import annotations

from typing import Any

__all__ = ["to_openapi_3_0"]

_KEPT = (
    "type",
    "format",
    "description",
    "enum",
    "default",
    "pattern",
    "minLength",
    "maxLength",
    "minimum",
    "maximum",
    "multipleOf",
    "minItems",
    "maxItems",
    "uniqueItems",
    "minProperties",
    "maxProperties",
    "deprecated",
    "readOnly",
    "writeOnly",
)
"""Keywords that mean the same in both."""


def to_openapi_3_0(schema: dict[str, Any]) -> dict[str, Any]:
    """Translate one schema.

    Objects with declared properties become closed: the structs they come from hold these fields and no others. A null
    default goes, as an explicit null is as if the field were absent. What 3.0 can't say (``propertyNames``, the order
    of a tuple's items) is left out, which only makes the result more permissive.
    """
    if "$ref" in schema:
        beside = {key: schema[key] for key in ("description", "default") if schema.get(key) is not None}
        reference = {"$ref": schema["$ref"]}
        return {**beside, "allOf": [reference]} if beside else reference
    if "anyOf" in schema:
        return _union(schema)
    found: dict[str, Any] = {key: schema[key] for key in _KEPT if key in schema}
    if isinstance(found.get("type"), list):
        kinds = [kind for kind in found["type"] if kind != "null"]
        return _union({**schema, "anyOf": [{"type": kind} for kind in kinds] + [{"type": "null"}], "type": None})
    if found.get("default", 0) is None:
        del found["default"]
    if "description" in found:
        found["description"] = found["description"].replace("``", "`")
    if "const" in schema:
        found["enum"] = [schema["const"]]
    for bound, limit in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if bound in schema:
            found |= {limit: schema[bound], bound: True}
    if schema.get("examples"):
        found["example"] = schema["examples"][0]
    return found | _parts(schema)


def _parts(schema: dict[str, Any]) -> dict[str, Any]:
    """What a schema says about the values inside."""
    found: dict[str, Any] = {}
    if "properties" in schema:
        found["properties"] = {name: to_openapi_3_0(inner) for name, inner in schema["properties"].items()}
        found["additionalProperties"] = False
    if schema.get("required"):
        found["required"] = schema["required"]
    if "additionalProperties" in schema:
        extra = schema["additionalProperties"]
        found["additionalProperties"] = to_openapi_3_0(extra) if isinstance(extra, dict) else extra
    if schema.get("type") == "array":
        items = schema.get("items")
        found["items"] = to_openapi_3_0(items) if isinstance(items, dict) else {}
    for keyword in ("allOf", "oneOf"):
        if keyword in schema:
            found[keyword] = [to_openapi_3_0(inner) for inner in schema[keyword]]
    return found


def _union(schema: dict[str, Any]) -> dict[str, Any]:
    """Alternatives; null among them becomes ``nullable``."""
    options = [to_openapi_3_0(option) for option in schema["anyOf"] if option.get("type") != "null"]
    nullable = len(options) < len(schema["anyOf"])
    beside = {
        key: value
        for key, value in schema.items()
        if key in ("description", "default", "format") and value is not None
    }
    if len(options) > 1:
        found: dict[str, Any] = {"anyOf": options}
    elif "$ref" in options[0] and (nullable or beside):
        found = {"allOf": options}
    else:
        found = options[0]
    if nullable:
        found = {**found, "nullable": True}
        if "enum" in found and None not in found["enum"]:
            found["enum"] = [*found["enum"], None]
    return {**found, **beside}
