"""The OpenAPI document as a document: it is the committed one, valid, whole, and its examples fit."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
import yaml
from schemathesis.specs.openapi.definitions import OPENAPI_30_VALIDATOR
from scripts.openapi import generated
from scripts.openapi.dialect import to_openapi_3_0
from scripts.openapi.document import build_document, to_json, to_yaml

from niyanta.domain.json_schema import Schema
from niyanta.domain.placement import WorkerView, eligible
from niyanta.examples import worker as examples_worker
from niyanta.server.store.states import affinity_from_json
from support.openapi_document import DOCUMENT, fits, operations, resolve, walk

UNKNOWN_TO_3_0 = {
    "$defs",
    "const",
    "examples",
    "prefixItems",
    "if",
    "then",
    "propertyNames",
    "patternProperties",
    "title",
}


OPERATIONS = [pytest.param(path, method, id=f"{method} {path}") for path, method, _ in operations()]


def _schemas() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema of the document, the nested ones too."""

    def inside(place: str, schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
        yield place, schema
        for name, inner in schema.get("properties", {}).items():
            yield from inside(f"{place}/properties/{name}", inner)
        for key in ("items", "additionalProperties"):
            if isinstance(schema.get(key), dict):
                yield from inside(f"{place}/{key}", schema[key])
        for key in ("allOf", "anyOf", "oneOf"):
            for number, inner in enumerate(schema.get(key, [])):
                yield from inside(f"{place}/{key}/{number}", inner)

    for name, schema in DOCUMENT["components"]["schemas"].items():
        yield from inside(f"#/components/schemas/{name}", schema)
    for place, value in walk(DOCUMENT):
        if isinstance(value, dict) and place.endswith("/schema"):
            yield from inside(place, value)


def test_the_committed_document_is_what_the_code_says() -> None:
    stale = [page for page, text in generated.files().items() if page.read_text(encoding="utf-8") != text]
    assert stale == [], "run `make generate`"


def test_json_and_yaml_say_the_same() -> None:
    assert yaml.safe_load(to_yaml(DOCUMENT)) == json.loads(to_json(DOCUMENT)) == DOCUMENT


def test_it_is_valid_openapi_3_0() -> None:
    assert DOCUMENT["openapi"] == "3.0.3"
    OPENAPI_30_VALIDATOR.validate(DOCUMENT)


def test_the_order_of_declarations_does_not_matter() -> None:
    assert to_yaml(build_document(reversed(generated.operations()))) == to_yaml(DOCUMENT)


def test_a_tag_that_nobody_described_is_refused() -> None:
    operation = generated.operations()[0]
    with pytest.raises(ValueError, match="Nonsense"):
        build_document([dataclasses.replace(operation, tag="Nonsense")])


def test_every_reference_leads_somewhere_and_every_component_is_used() -> None:
    references = {value["$ref"] for _, value in walk(DOCUMENT) if isinstance(value, dict) and "$ref" in value}
    for reference in references:
        resolve(reference)
    components = {
        f"#/components/{kind}/{name}" for kind in ("schemas", "responses") for name in DOCUMENT["components"][kind]
    }
    assert components - references == set()


def test_schemas_keep_to_the_dialect_of_3_0() -> None:
    for place, schema in _schemas():
        assert not UNKNOWN_TO_3_0 & set(schema), place
        assert "$ref" not in schema or set(schema) == {"$ref"}, f"{place}: 3.0 ignores what stands beside $ref"
        assert schema.get("type") != "null", place
        assert not isinstance(schema.get("type"), list), place
        assert schema.get("type") != "array" or "items" in schema, place
        assert schema.get("required") != [], place


def test_objects_with_known_fields_are_closed() -> None:
    for place, schema in _schemas():
        if "properties" in schema:
            assert schema["additionalProperties"] is False, place


@pytest.mark.parametrize("body", [{}, {"version": 3}])
def test_a_change_of_nothing_does_not_fit(body: dict[str, Any]) -> None:
    schema = DOCUMENT["components"]["schemas"]["UpdateRequest"]
    fits(body | {"timeout_seconds": None}, schema)
    with pytest.raises(jsonschema.ValidationError):
        fits(body, schema)


def test_schemas_are_named_for_what_they_are() -> None:
    """Two structs of one name would show the modules that they are from."""
    assert [name for name in DOCUMENT["components"]["schemas"] if not re.fullmatch(r"[A-Z][A-Za-z]+", name)] == []


def test_operation_ids_are_unique() -> None:
    ids = [item[method]["operationId"] for item in DOCUMENT["paths"].values() for method in item]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_operation_is_whole(path: str, method: str) -> None:
    operation = DOCUMENT["paths"][path][method]
    assert operation["summary"]
    assert operation["tags"][0] in {tag["name"] for tag in DOCUMENT["tags"]}
    declared = {parameter["name"] for parameter in operation.get("parameters", []) if parameter["in"] == "path"}
    assert declared == set(re.findall(r"\{(\w+)\}", path))
    for parameter in operation.get("parameters", []):
        assert parameter["description"].endswith("."), parameter["name"]
    responses = operation["responses"]
    assert "400" in responses
    assert "500" in responses
    if operation["security"]:
        assert {"401", "403", "429", "503"} <= set(responses)
    if "requestBody" in operation:
        assert {"413", "415"} <= set(responses)
    if declared:
        assert "404" in responses


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_examples_are_there_and_fit(path: str, method: str) -> None:
    operation = DOCUMENT["paths"][path][method]
    bodies = {"body": operation["requestBody"]} if operation.get("requestBody", {}).get("required") else {}
    bodies |= {
        status: response
        for status, response in operation["responses"].items()
        if "$ref" not in response and "content" in response
    }
    for name, body in bodies.items():
        for media_type, content in body["content"].items():
            assert "example" in content, f"{name} has no example"
            if media_type == "application/json":
                fits(content["example"], content["schema"])


def test_the_default_body_can_start_on_a_machine_for_development() -> None:
    content = DOCUMENT["paths"]["/v1/workloads"]["post"]["requestBody"]["content"]["application/json"]
    body = content["example"]
    handler = examples_worker.handlers[body["workload_type"]]
    assert Schema(handler.input_schema).problems(body["input_params"]) == []
    rules = affinity_from_json(json.dumps(body["affinity_rules"]))
    idle = WorkerView("w1", "i1", 1, {}, frozenset(examples_worker.handlers), False)
    assert eligible([idle], "cust_any", body["workload_type"], rules)


def test_examples_of_errors_fit() -> None:
    for response in DOCUMENT["components"]["responses"].values():
        content = response["content"]["application/json"]
        examples = (
            [content["example"]] if "example" in content else [e["value"] for e in content["examples"].values()]
        )
        for example in examples:
            fits(example, content["schema"])


@pytest.mark.parametrize(
    ("newer", "older"),
    [
        ({"anyOf": [{"type": "string"}, {"type": "null"}], "default": None}, {"type": "string", "nullable": True}),
        (
            {"anyOf": [{"$ref": "#/x"}, {"type": "null"}], "description": "d"},
            {"allOf": [{"$ref": "#/x"}], "nullable": True, "description": "d"},
        ),
        ({"anyOf": [{"type": "string"}, {"type": "integer"}]}, {"anyOf": [{"type": "string"}, {"type": "integer"}]}),
        (
            {"anyOf": [{"type": "string"}, {"type": "integer"}, {"type": "null"}]},
            {"anyOf": [{"type": "string"}, {"type": "integer"}], "nullable": True},
        ),
        ({"type": ["string", "null"]}, {"type": "string", "nullable": True}),
        ({"const": "a"}, {"enum": ["a"]}),
        (
            {"anyOf": [{"enum": ["a"]}, {"type": "null"}]},
            {"enum": ["a", None], "nullable": True},
        ),
        ({"type": "integer", "exclusiveMinimum": 0}, {"type": "integer", "minimum": 0, "exclusiveMinimum": True}),
        ({"type": "string", "examples": ["a", "b"]}, {"type": "string", "example": "a"}),
        ({"$ref": "#/x", "description": "d"}, {"description": "d", "allOf": [{"$ref": "#/x"}]}),
        ({"type": "array", "prefixItems": [{"type": "string"}], "items": False}, {"type": "array", "items": {}}),
        (
            {"type": "object", "title": "T", "properties": {"const": {"type": "string"}}, "required": []},
            {"type": "object", "properties": {"const": {"type": "string"}}, "additionalProperties": False},
        ),
        (
            {"type": "object", "additionalProperties": {"anyOf": [{"type": "number"}, {"type": "null"}]}},
            {"type": "object", "additionalProperties": {"type": "number", "nullable": True}},
        ),
    ],
)
def test_translation_to_the_older_dialect(newer: dict[str, Any], older: dict[str, Any]) -> None:
    assert to_openapi_3_0(newer) == older
