"""What the OpenAPI document says beyond the declared operations.

It is data: ``texts.yaml``, ``description.md`` and the examples by operation in ``examples``, beside this file.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import yaml

__all__ = ["SharedError", "Texts", "load_texts"]

_FOLDER = Path(__file__).parent


class SharedError(msgspec.Struct, frozen=True):
    """What all answers of one status that are errors share."""

    name: str
    description: str
    examples: list[dict[str, Any]]
    """Errors as they stand in the envelope, without a request id."""


class Texts(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Everything that is written by hand."""

    description: str
    """Of the API as a whole, in Markdown."""
    tags: list[dict[str, str]]
    """In the order in which they are shown."""
    security_schemes: dict[str, Any]
    headers: dict[str, Any]
    """Of answers, by name."""
    request_headers: dict[str, Any]
    path_parameters: dict[str, Any]
    success: dict[int, str]
    """What a status means that is no error."""
    errors: dict[int, SharedError]
    websocket: dict[str, Any]
    grpc: dict[str, Any]
    examples: dict[str, dict[str, Any]]
    """By operation id: ``body``, ``answer``, other answers by status or media type."""

    def examples_of(self, operation_id: str) -> dict[str, Any]:
        """Those of an operation; one that is served at the root too has the same there."""
        return self.examples.get(operation_id.removesuffix("AtRoot"), {})


@cache
def load_texts() -> Texts:
    """Read the files; once, as they don't change while the program runs."""
    found = _read(_FOLDER / "texts.yaml")
    found["description"] = (_FOLDER / "description.md").read_text(encoding="utf-8")
    found["examples"] = {}
    for page in sorted((_FOLDER / "examples").glob("*.yaml")):
        found["examples"] |= _read(page)
    return msgspec.convert(found, Texts)


def _read(page: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.load(page.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    return found
