"""Writes api/openapi/niyanta-v1.yaml from the declared operations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from niyanta.server.rest.endpoints import PARTS
from niyanta.server.rest.frame.operation import Operation, declared_by
from niyanta.server.rest.openapi.document import build_document, to_yaml

PAGE = Path(__file__).resolve().parent.parent / "api" / "openapi" / "niyanta-v1.yaml"


def operations() -> list[Operation]:
    """Every operation that a part of the API declares."""
    return [operation for part in PARTS for operation in declared_by(part)]


def document() -> dict[str, Any]:
    """The document of this version of the code."""
    return build_document(operations())


def render() -> str:
    """The file's content."""
    return "# Made by `make generate` from the code; don't edit it by hand.\n" + to_yaml(document())


if __name__ == "__main__":
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(render(), encoding="utf-8")
