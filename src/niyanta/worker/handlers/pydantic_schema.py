"""JSON Schemas of pydantic's models that refuse nothing which the models take.

A model is lax: it takes ``"5"`` for an integer, a field by its name or its alias, and whatever a validator that runs
before it makes of the input. Its own schema describes what it hopes for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any

from pydantic import TypeAdapter
from pydantic.errors import PydanticInvalidForJsonSchema
from pydantic.json_schema import DEFAULT_REF_TEMPLATE, GenerateJsonSchema
from pydantic_core import core_schema

__all__ = ["adapted"]

_NUMBER = ["integer", "number", "string", "boolean"]
_TIME = ["string", "integer", "number"]


# Any: no type checker knows what stands in a handler's annotation.
def adapted(kind: Any) -> tuple[Callable[[bytes], Any], dict[str, Any] | None]:
    """How to decode a type, and its schema; None for one that has none."""
    adapter: TypeAdapter[object] = TypeAdapter(kind)
    try:
        return adapter.validate_json, adapter.json_schema(schema_generator=_LaxSchema)
    except PydanticInvalidForJsonSchema:
        return adapter.validate_json, None


class _LaxSchema(GenerateJsonSchema):
    def __init__(
        self,
        by_alias: bool = True,
        ref_template: str = DEFAULT_REF_TEMPLATE,
        **others: Any,  # Any: what later releases of pydantic add
    ) -> None:
        super().__init__(by_alias, ref_template, **others)
        self._configs: list[dict[str, Any]] = []

    # --- what other values are taken for it ---------------------------------------------------------

    def function_before_schema(self, schema: object) -> dict[str, Any]:
        return {}

    function_wrap_schema = function_plain_schema = complex_schema = function_before_schema

    def int_schema(self, schema: core_schema.IntSchema) -> dict[str, Any]:
        return {**super().int_schema(schema), "type": _NUMBER}

    def float_schema(self, schema: core_schema.FloatSchema) -> dict[str, Any]:
        found = {**super().float_schema(schema), "type": _NUMBER}
        found.pop("multipleOf", None)  # the model allows for what floats can't hold exactly
        return found

    def bool_schema(self, schema: object) -> dict[str, Any]:
        return {"type": _NUMBER}

    def decimal_schema(self, schema: object) -> dict[str, Any]:
        return {"type": _TIME}

    date_schema = datetime_schema = time_schema = timedelta_schema = fraction_schema = decimal_schema

    def str_schema(self, schema: core_schema.StringSchema) -> dict[str, Any]:
        found = super().str_schema(schema)
        words = {name for config in (*self._configs[-1:], schema) for name, value in config.items() if value}
        if words & {"strip_whitespace", "to_lower", "to_upper"} or any(
            word.startswith(("str_strip", "str_to")) for word in words
        ):
            found = {"type": "string"}
        if "coerce_numbers_to_str" in words:
            found = {"type": _TIME}
        return found

    def enum_schema(self, schema: core_schema.EnumSchema) -> dict[str, Any]:
        fixed = schema["cls"]._missing_.__func__ is Enum.__dict__["_missing_"].__func__
        exact = fixed and all(isinstance(member.value, str) for member in schema["members"])
        return super().enum_schema(schema) if exact else {}

    def set_schema(self, schema: core_schema.SetSchema) -> dict[str, Any]:
        return self._of_many(super().set_schema(schema))

    def frozenset_schema(self, schema: core_schema.FrozenSetSchema) -> dict[str, Any]:
        return self._of_many(super().frozenset_schema(schema))

    def _of_many(self, found: dict[str, Any]) -> dict[str, Any]:
        """A set is made of a list in which values may come twice."""
        return {key: value for key, value in found.items() if key not in ("uniqueItems", "maxItems")}

    def tagged_union_schema(self, schema: core_schema.TaggedUnionSchema) -> dict[str, Any]:
        found = super().tagged_union_schema(schema)
        if "oneOf" in found:  # what is looser may fit several
            found["anyOf"] = found.pop("oneOf")
        return found

    # --- by which names its fields are known --------------------------------------------------------

    def model_schema(self, schema: core_schema.ModelSchema) -> dict[str, Any]:
        return self._with_names(schema, super().model_schema)

    def dataclass_schema(self, schema: core_schema.DataclassSchema) -> dict[str, Any]:
        return self._with_names(schema, super().dataclass_schema)

    def typed_dict_schema(self, schema: core_schema.TypedDictSchema) -> dict[str, Any]:
        return self._with_names(schema, super().typed_dict_schema)

    def _with_names(self, schema: Mapping[str, object], make: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
        config = _config(schema)
        self._configs.append(config)
        try:
            found = make(schema)
        finally:
            self._configs.pop()
        aliases = [alias for alias in map(_alias, _fields(schema)) if alias is not None]
        by_name = (
            config.get("validate_by_name")
            or config.get("populate_by_name")
            or not config.get("validate_by_alias", True)
        )
        if aliases and (by_name or any(not isinstance(alias, str) for alias in aliases)):
            found = {k: v for k, v in found.items() if k != "required" and (k, v) != ("additionalProperties", False)}
        return found


def _config(schema: Mapping[str, object]) -> dict[str, Any]:
    config = schema.get("config")
    return dict(config) if isinstance(config, dict) else {}


def _fields(schema: object) -> list[Any]:
    """The fields of a model, however many validators are wrapped around them."""
    while isinstance(schema, dict) and schema.get("type") not in ("model-fields", "dataclass-args", "typed-dict"):
        schema = schema.get("schema")
    fields = schema.get("fields", []) if isinstance(schema, dict) else []
    return list(fields.values()) if isinstance(fields, dict) else list(fields)


def _alias(field: dict[str, Any]) -> object:
    return field.get("validation_alias")
