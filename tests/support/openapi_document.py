"""The OpenAPI document, as tests look at it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jsonschema
from scripts.openapi import generated

__all__ = ["DOCUMENT", "answer_schema", "fits", "operations", "resolve", "walk"]

DOCUMENT = generated.document()


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(path, method, operation) of each operation."""
    for path, item in DOCUMENT["paths"].items():
        for method, operation in item.items():
            yield path, method, operation


def walk(value: Any, place: str = "#") -> Iterator[tuple[str, Any]]:
    """Every value inside, and where it is."""
    yield place, value
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from walk(inner, f"{place}/{key}")
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from walk(inner, f"{place}/{number}")


def resolve(reference: str) -> Any:
    """What a reference inside the document means."""
    found: Any = DOCUMENT
    for part in reference.removeprefix("#/").split("/"):
        found = found[part]
    return found


def fits(value: Any, schema: dict[str, Any]) -> None:
    """Fail when a value doesn't fit a schema of the document."""

    def plain(found: Any) -> Any:
        if isinstance(found, list):
            return [plain(inner) for inner in found]
        if not isinstance(found, dict):
            return found
        if "$ref" in found:
            return plain(resolve(found["$ref"]))
        inner = {key: plain(value) for key, value in found.items() if key != "nullable"}
        return {"anyOf": [inner, {"type": "null"}]} if found.get("nullable") is True else inner

    jsonschema.Draft4Validator(plain(schema), format_checker=jsonschema.FormatChecker()).validate(value)


def answer_schema(path: str, method: str, status: int) -> dict[str, Any] | None:
    """The schema of an answer's JSON body; None where there is none.

    Raises:
        AssertionError: The document doesn't know that this operation can answer so.
    """
    responses = DOCUMENT["paths"][path][method]["responses"]
    assert str(status) in responses, f"{method} {path} answered {status}, which the document doesn't have"
    response = responses[str(status)]
    if "$ref" in response:
        response = resolve(response["$ref"])
    found: dict[str, Any] | None = response.get("content", {}).get("application/json", {}).get("schema")
    return found
