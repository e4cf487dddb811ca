"""The OpenAPI 3.0.3 document, made from the declared operations and the structs of their bodies."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import yaml
from scripts.openapi.dialect import to_openapi_3_0
from scripts.openapi.texts import load_texts

from niyanta import __version__
from niyanta.server.rest.bodies import workloads as bodies
from niyanta.server.rest.frame.operation import Access, Operation

__all__ = ["build_document", "to_json", "to_yaml"]

_SCHEMA = "#/components/schemas/{name}"
_JSON = "application/json"
_PLACE = re.compile(r"\{(\w+)(?::\w+)?\}")
_RATE_HEADERS = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")

_INFO = {
    "title": "Niyanta",
    "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
}
_SECURITY: dict[Access, list[dict[str, list[str]]]] = {
    Access.PUBLIC: [],
    Access.CUSTOMER: [{"ApiKey": []}, {"Jwt": []}],
    Access.ADMIN: [{"AdminApiKey": []}],
}


def build_document(operations: Iterable[Operation]) -> dict[str, Any]:
    """The whole document.

    The order of the operations doesn't matter: they are sorted by tag and path, so that the same operations always
    give the same document.
    """
    texts = load_texts()
    operations = sorted(operations, key=_place)
    used = {operation.tag for operation in operations}
    tags = [tag for tag in texts.tags if tag["name"] in used]
    if unknown := used - {tag["name"] for tag in tags}:
        raise ValueError(f"texts.yaml describes no tag {sorted(unknown)}")
    paths: dict[str, dict[str, Any]] = {}
    schemas = _Schemas(operations)
    for operation in operations:
        path = _PLACE.sub(r"{\1}", operation.path)
        paths.setdefault(path, {})[operation.method.lower()] = _operation(operation, schemas)
    return {
        "openapi": "3.0.3",
        "info": {**_INFO, "description": texts.description, "version": __version__},
        "servers": [{"url": "/", "description": "The server that this document comes from"}],
        "tags": tags,
        "paths": paths,
        "components": {
            "securitySchemes": texts.security_schemes,
            "schemas": schemas.components,
            "responses": dict(_shared_error(status) for status in texts.errors),
            "headers": texts.headers,
        },
        "x-websocket": texts.websocket,
        "x-grpc": texts.grpc,
    }


def to_json(document: dict[str, Any]) -> str:
    """As ``/v1/openapi.json`` serves it, in lines, so that changes can be read."""
    return json.dumps(document, ensure_ascii=False, indent=1) + "\n"


def to_yaml(document: dict[str, Any]) -> str:
    """As ``/v1/openapi.yaml`` serves it."""
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)


class _Dumper(yaml.CSafeDumper):
    """Long texts as blocks; no anchors, which many readers of OpenAPI don't know."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 -- overrides PyYAML's
        return True


def _text(dumper: yaml.CSafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def _place(operation: Operation) -> tuple[int, str, int]:
    tags = [tag["name"] for tag in load_texts().tags]
    methods = ["POST", "GET", "PUT", "PATCH", "DELETE"]
    tag = tags.index(operation.tag) if operation.tag in tags else len(tags)
    return tag, operation.path, methods.index(operation.method)


class _Schemas:
    """The schema of each body, and the components that they refer to."""

    def __init__(self, operations: Sequence[Operation]) -> None:
        types: list[Any] = [bodies.ErrorEnvelope]
        for operation in operations:
            types += [kind for kind in (operation.body, operation.answer, *operation.other_answers.values()) if kind]
        types = list(dict.fromkeys(types))
        found, components = msgspec.json.schema_components(types, ref_template=_SCHEMA)
        self._of: dict[Any, dict[str, Any]] = dict(
            zip(types, (to_openapi_3_0(schema) for schema in found), strict=True)
        )
        self.components = {name: to_openapi_3_0(components[name]) for name in sorted(components)}
        for operation in operations:
            if operation.body is not None and operation.one_of_fields:
                needed = [{"required": [name]} for name in operation.one_of_fields]
                self.components[operation.body.__name__]["anyOf"] = needed

    def of(self, kind: type) -> dict[str, Any]:
        return self._of[kind]


def _operation(operation: Operation, schemas: _Schemas) -> dict[str, Any]:
    found: dict[str, Any] = {
        "tags": [operation.tag],
        "summary": operation.summary,
        "operationId": operation.operation_id,
    }
    if operation.description:
        found["description"] = operation.description
    if parameters := _parameters(operation):
        found["parameters"] = parameters
    examples = load_texts().examples_of(operation.operation_id)
    if operation.body is not None:
        content = _content(schemas.of(operation.body), examples.get("body"))
        found["requestBody"] = {"required": operation.body_required, "content": {_JSON: content}}
    found["responses"] = _responses(operation, schemas, examples)
    if operation.deprecation is not None:
        found["deprecated"] = True
    found["security"] = _SECURITY[operation.access]
    if operation.needs is not None:
        found["x-scope"] = operation.needs.value
    return found


def _parameters(operation: Operation) -> list[dict[str, Any]]:
    in_path = [
        {"name": name, "in": "path", "required": True, **load_texts().path_parameters[name]}
        for name in _PLACE.findall(operation.path)
    ]
    in_query = [
        {
            "name": parameter.name,
            "in": "query",
            "required": getattr(parameter, "required", False),
            "description": parameter.description,
            "schema": parameter.schema(),
        }
        for parameter in operation.query
    ]
    in_header = [
        {"name": name, "in": "header", "required": False, **load_texts().request_headers[name]}
        for name in operation.request_headers
    ]
    return [*in_path, *in_query, *in_header]


def _content(schema: dict[str, Any], example: object) -> dict[str, Any]:
    return {"schema": schema} if example is None else {"schema": schema, "example": example}


def _responses(operation: Operation, schemas: _Schemas, examples: dict[str, Any]) -> dict[str, Any]:
    success: dict[str, Any] = {"description": load_texts().success[operation.status]}
    headers = ["X-Request-ID", *operation.headers]
    if operation.access is Access.CUSTOMER:
        headers += _RATE_HEADERS
    if operation.deprecation is not None:
        headers += ("Deprecation", "Sunset", "Link")
    success["headers"] = {name: _header(name) for name in headers}
    if operation.answer is not None:
        content = _content(schemas.of(operation.answer), examples.get("answer"))
        success["content"] = {operation.media_type: content}
        for other in operation.other_media_types:
            success["content"][other] = _content({"type": "string"}, examples.get(other))
    elif operation.status != 204:
        success["content"] = {operation.media_type: _content({"type": "string"}, examples.get("answer"))}
    found = {str(operation.status): success}
    for status, kind in operation.other_answers.items():
        found[str(status)] = {
            "description": load_texts().success[status],
            "headers": {"X-Request-ID": _header("X-Request-ID")},
            "content": {_JSON: _content(schemas.of(kind), examples.get(str(status)))},
        }
    for error in _error_statuses(operation):
        name = load_texts().errors[error].name
        found.setdefault(str(error), {"$ref": f"#/components/responses/{name}"})
    return dict(sorted(found.items()))


def _header(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/headers/{name}"}


def _error_statuses(operation: Operation) -> set[int]:
    """Everything that can go wrong, by what the frame does for such an operation and by what it declares."""
    statuses = {error.http_status for error in operation.errors} | {400, 408, 414, 431, 500}
    if operation.access is not Access.PUBLIC:
        statuses |= {401, 403, 429, 503}
    if operation.answer is not None:
        statuses |= {406}
    if operation.body is not None:
        statuses |= {413, 415}
    if _PLACE.search(operation.path):
        statuses |= {404}
    return statuses


def _shared_error(status: int) -> tuple[str, dict[str, Any]]:
    shared = load_texts().errors[status]
    headers = ["X-Request-ID"]
    if status in (429, 503):
        headers += ["Retry-After"]
    if status == 429:
        headers += _RATE_HEADERS
    examples = [{"error": {**error, "request_id": "req_01jb6z8y5m3q4r7s9t0v2w4x6y"}} for error in shared.examples]
    content: dict[str, Any] = {"schema": {"$ref": _SCHEMA.format(name="ErrorEnvelope")}}
    if len(examples) == 1:
        content["example"] = examples[0]
    else:
        content["examples"] = {example["error"]["code"]: {"value": example} for example in examples}
    response = {"description": shared.description, "headers": {header: _header(header) for header in headers}}
    return shared.name, {**response, "content": {_JSON: content}}
