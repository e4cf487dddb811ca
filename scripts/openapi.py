"""Writes api/openapi/niyanta-v1.yaml from the declared operations."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from pathlib import Path
from typing import Any

from niyanta.server.rest import endpoints
from niyanta.server.rest.frame.operation import Access, Operation
from niyanta.server.rest.openapi.document import build_document, to_yaml

_GIVEN: dict[str, Any] = {"metrics_access": Access.ADMIN}
"""What a declaration depends on, as it is by default."""

PAGE = Path(__file__).resolve().parent.parent / "api" / "openapi" / "niyanta-v1.yaml"


def operations() -> list[Operation]:
    """Every operation that a class ``…Routes`` declares.

    Declaring asks nothing of the services behind, so they are left out here. That the running server serves the same
    document is tested.
    """
    found: list[Operation] = []
    for module in pkgutil.iter_modules(endpoints.__path__, f"{endpoints.__name__}."):
        for name, kind in vars(importlib.import_module(module.name)).items():
            if name.endswith("Routes") and kind.__module__ == module.name and hasattr(kind, "operations"):
                given = [_GIVEN.get(parameter) for parameter in inspect.signature(kind).parameters]
                found += kind(*given).operations()
    return found


def document() -> dict[str, Any]:
    """The document of this version of the code."""
    return build_document(operations())


def render() -> str:
    """The file's content."""
    return "# Made by `make generate` from the code; don't edit it by hand.\n" + to_yaml(document())


if __name__ == "__main__":
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(render(), encoding="utf-8")
