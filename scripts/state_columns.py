"""Writes the fields of `WorkloadState` into the query that writes moves, in niyanta/server/store/workloads.sql."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable
from dataclasses import fields
from datetime import datetime
from pathlib import Path
from typing import get_args, get_type_hints

from niyanta.domain.workload import WorkloadState
from niyanta.server.store.states import FIXED_FIELDS

FILE = Path(__file__).resolve().parent.parent / "src/niyanta/server/store/workloads.sql"
WIDTH = 118
REGION = re.compile(
    r"^(?P<indent> +)-- (?P<what>\w+) of the fields that moves change, by `make generate`:\n.*?^ +-- end\n",
    re.M | re.S,
)


def _array(hint: object) -> str:
    """The array type for a field. Integers of every size go as the largest; the column takes its own."""
    kinds = [kind for kind in get_args(hint) or (hint,) if kind is not type(None)]
    for kind, name in ((bool, "boolean"), (int, "bigint"), (datetime, "timestamptz"), (str, "text")):
        if all(isinstance(given, type) and issubclass(given, kind) for given in kinds):
            return f"{name}[]"
    raise TypeError(f"no array type is known for {hint}")


def _assignment(name: str, default: object) -> str:
    """How the column is set; a default that isn't NULL stands for an array that was left out."""
    value = f"c.{name}"
    if isinstance(default, int):
        value = f"coalesce({value}, {str(default).lower()})"
    # JSON travels as text, which PostgreSQL makes JSON of only when told.
    return f"{name} = {value}{'::json' * name.endswith('_json')}"


def _fragments() -> dict[str, list[str]]:
    hints = {name: hint for name, hint in get_type_hints(WorkloadState).items() if name not in FIXED_FIELDS}
    defaults = {field.name: field.default for field in fields(WorkloadState)}
    return {
        "Arrays": [f":{name}::{_array(hint)}" for name, hint in hints.items()],
        "Names": list(hints),
        "Assignments": [_assignment(name, defaults[name]) for name in hints],
    }


def _filled(indent: str, parts: Iterable[str], *, goes_on: bool) -> str:
    # Joined without spaces inside a part, so that no part is broken in two.
    text = ", ".join(part.replace(" ", "\0") for part in parts) + ("," if goes_on else "")
    lines = textwrap.wrap(
        text, WIDTH, initial_indent=indent, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
    return "\n".join(lines).replace("\0", " ") + "\n"


def render(text: str) -> str:
    """The whole file with its regions written anew."""
    fragments = _fragments()

    def write(region: re.Match[str]) -> str:
        what, indent = region["what"], region["indent"]
        first = f"{indent}-- {what} of the fields that moves change, by `make generate`:\n"
        filled = _filled(indent, fragments.pop(what), goes_on=what == "Assignments")
        return f"{first}{filled}{indent}-- end\n"

    written = REGION.sub(write, text)
    if fragments:
        raise ValueError(f"{FILE.name} has no region for: {', '.join(fragments)}")
    return written


if __name__ == "__main__":
    FILE.write_text(render(FILE.read_text(encoding="utf-8")), encoding="utf-8")
