"""The files that hold the document: what a coordinator serves, and what people read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from scripts.openapi.document import build_document, to_json, to_yaml

from niyanta.server.rest.endpoints import PARTS
from niyanta.server.rest.frame.operation import Operation, declared_by

__all__ = ["document", "files", "operations"]

_ROOT = Path(__file__).resolve().parents[2]
_SERVED = _ROOT / "src" / "niyanta" / "server" / "rest" / "openapi"
_READ = _ROOT / "api" / "openapi" / "niyanta-v1.yaml"


def operations() -> list[Operation]:
    """Every operation that a part of the API declares."""
    return [operation for part in PARTS for operation in declared_by(part)]


def document() -> dict[str, Any]:
    """The document of this version of the code."""
    return build_document(operations())


def files() -> dict[Path, str]:
    """What each file says."""
    found = document()
    text = to_yaml(found)
    return {
        _SERVED / "niyanta-v1.json": to_json(found),
        _SERVED / "niyanta-v1.yaml": text,
        _READ: "# Made by `make generate` from the code; don't edit it by hand.\n" + text,
    }
