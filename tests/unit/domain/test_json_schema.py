"""JSON Schema: the same verdicts as the reference library, and no schema or value that makes a check endless."""

from __future__ import annotations

import contextlib
import time
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from niyanta.domain.json_schema import Schema, SchemaError, TooExpensiveError

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 12)
    | st.sampled_from([0.5, 1.0, 2.5, 1e308])
    | st.text(alphabet="ab1-", max_size=4),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["a", "b", "c", "x-1"]), inner, max_size=4)
    ),
    max_leaves=8,
)

SCHEMAS: list[Any] = [
    True,
    False,
    {},
    {"type": "object"},
    {"type": ["integer", "null"]},
    {"type": "number", "minimum": 1, "exclusiveMaximum": 10},
    {"maximum": 3, "exclusiveMinimum": -1},
    {"multipleOf": 2},
    {"multipleOf": 0.5},
    {"enum": [1, "a", None, [1], {"a": 1}, True]},
    {"const": 1},
    {"const": {"a": [0]}},
    {"minLength": 1, "maxLength": 2},
    {"pattern": "^a+$"},
    {"items": {"type": "integer"}},
    {"prefixItems": [{"type": "integer"}, {"type": "string"}], "items": False},
    {"prefixItems": [{"type": "integer"}]},
    {"minItems": 1, "maxItems": 2, "uniqueItems": True},
    {"uniqueItems": True},
    {"uniqueItems": False},
    {"contains": {"type": "integer"}},
    {"contains": {"type": "integer"}, "minContains": 0, "maxContains": 1},
    {"minProperties": 1, "maxProperties": 2},
    {"required": ["a"]},
    {"properties": {"a": {"type": "integer"}, "b": {"minLength": 2}}, "required": ["b"]},
    {"properties": {"a": {}}, "additionalProperties": False},
    {"properties": {"a": {}}, "patternProperties": {"^x-": {"minimum": 1}}, "additionalProperties": {"minLength": 1}},
    {"propertyNames": {"maxLength": 1}},
    {"dependentRequired": {"a": ["b"]}},
    {"dependentSchemas": {"a": {"required": ["c"]}}},
    {"allOf": [{"type": "object"}, {"required": ["a"]}]},
    {"anyOf": [{"type": "integer"}, {"minLength": 2}]},
    {"oneOf": [{"type": "integer"}, {"minimum": 2}]},
    {"not": {"type": "object"}},
    {"if": {"type": "object"}, "then": {"required": ["a"]}, "else": {"type": "string"}},
    {"if": {"type": "object"}, "then": {"required": ["a"]}},
    {"$ref": "#/$defs/n", "$defs": {"n": {"type": "object", "properties": {"a": {"$ref": "#/$defs/n"}}}}},
    {"properties": {"a": {"$ref": "#"}}, "type": ["object", "integer"]},
    {"$ref": "#/$defs/a~1b/allOf/0", "$defs": {"a/b": {"allOf": [{"type": "integer"}]}}},
    {"title": "t", "description": "d", "default": 1, "examples": [1], "format": "date", "x-own": 1},
    {"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object"},
]  # fmt: skip


@pytest.mark.parametrize("source", SCHEMAS, ids=str)
@given(value=values)
def test_the_verdict_is_that_of_the_reference_library(source: Any, value: Any) -> None:
    expected = jsonschema.Draft202012Validator(source).is_valid(value)
    assert (Schema(source).problems(value) == []) is expected


def test_problems_say_where_and_what_is_allowed() -> None:
    schema = Schema(
        {
            "properties": {
                "a/b": {"items": {"type": "integer"}},
                "c": {"enum": [1, 2]},
                "d": {"anyOf": [{"type": "null"}]},
            },
            "required": ["e"],
        }
    )
    found = schema.problems({"a/b": [1, "x", 2.5], "c": 3, "d": 1})
    assert [tuple(one) for one in found] == [
        ("/a~1b/1", "must be of type integer"),
        ("/a~1b/2", "must be of type integer"),
        ("/c", "must be one of: 1, 2"),
        ("/d", "must fit at least one of 1 alternatives"),
        ("", "needs the property 'e'"),
    ]
    assert len(Schema({"items": False}).problems([0] * 100, most=20)) == 20


@pytest.mark.parametrize(
    ("source", "pointer"),
    [
        (1, ""),
        (None, ""),
        ([], ""),
        ({"type": "text"}, "/type"),
        ({"type": []}, "/type"),
        ({"type": [[]]}, "/type"),
        ({"properties": []}, "/properties"),
        ({"properties": {"a": 5}}, "/properties/a"),
        ({"required": "a"}, "/required"),
        ({"required": [1]}, "/required"),
        ({"minimum": "1"}, "/minimum"),
        ({"minLength": -1}, "/minLength"),
        ({"maxItems": 1.5}, "/maxItems"),
        ({"multipleOf": 0}, "/multipleOf"),
        ({"enum": 1}, "/enum"),
        ({"allOf": []}, "/allOf"),
        ({"anyOf": {}}, "/anyOf"),
        ({"items": [{}]}, "/items"),
        ({"uniqueItems": 1}, "/uniqueItems"),
        ({"pattern": "("}, "/pattern"),
        ({"pattern": 1}, "/pattern"),
        ({"pattern": "(?=a)"}, "/pattern"),
        ({"patternProperties": {"[": {}}}, "/patternProperties"),
        ({"not": {"items": {"type": "x"}}}, "/not/items/type"),
        ({"$defs": {"a": {"type": "x"}}}, "/$defs/a/type"),
        ({"$ref": "#/$defs/a"}, "/$ref"),
        ({"$ref": "http://example.com/schema"}, "/$ref"),
        ({"$ref": "file:///etc/passwd"}, "/$ref"),
        ({"$ref": 1}, "/$ref"),
        ({"$ref": "#anchor"}, "/$ref"),
        ({"$id": "http://example.com/"}, "/$id"),
        ({"$dynamicRef": "#a"}, "/$dynamicRef"),
        ({"unevaluatedProperties": False}, "/unevaluatedProperties"),
        ({"$schema": "http://json-schema.org/draft-07/schema#"}, "/$schema"),
        ({"$schema": 7}, "/$schema"),
    ],
)
def test_what_is_no_schema_is_refused_with_its_place(source: Any, pointer: str) -> None:
    with pytest.raises(SchemaError) as caught:
        Schema(source)
    assert caught.value.pointer == pointer


def doubling(levels: int) -> dict[str, Any]:
    definitions: dict[str, Any] = {
        f"d{level}": {"allOf": [{"$ref": f"#/$defs/d{level + 1}"}] * 2} for level in range(levels)
    }
    return {"$defs": {**definitions, f"d{levels}": {}}, "$ref": "#/$defs/d0"}


tree: Any = {"$defs": {"t": {"allOf": [{"properties": {"a": {"$ref": "#/$defs/t"}}}] * 2}}, "$ref": "#/$defs/t"}
deep: Any = {}
for _ in range(60):
    deep = {"a": deep}


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ({"$ref": "#"}, {}),
        ({"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"}, {}),
        (doubling(60), {}),
        (tree, deep),
        ({"properties": {"a": {"pattern": "(x{30}){30}y"}}}, {"a": "x" * 1_000_000}),
        ({"properties": {"a": {"anyOf": [{"type": "string"}] * 3000}}}, {"a": [0] * 100_000}),
        ({"items": {"enum": list(range(2000))}, "uniqueItems": True}, [[n] for n in range(100_000)]),
        ({"uniqueItems": True}, [{"n": n} for n in range(100_000)]),
    ],
)
def test_no_check_runs_for_long(source: Any, value: Any) -> None:
    schema = Schema(source)
    began = time.thread_time()
    with contextlib.suppress(TooExpensiveError):
        schema.problems(value)
    assert time.thread_time() - began < 2


def test_endless_references_are_refused() -> None:
    with pytest.raises(TooExpensiveError):
        Schema(doubling(60)).problems({})
    with pytest.raises(TooExpensiveError):
        Schema({"$ref": "#"}).problems({})


def test_a_long_chain_of_references_is_refused() -> None:
    links: dict[str, Any] = {str(number): {"$ref": f"#/$defs/{number + 1}"} for number in range(2_000)}
    with pytest.raises(SchemaError, match="too far"):
        Schema({"$ref": "#/$defs/0", "$defs": {**links, "2000": True}})


def test_many_patterns_are_refused() -> None:
    with pytest.raises(SchemaError):
        Schema({"patternProperties": {f"^a{{1900}}{n}": {} for n in range(50)}})
