"""From a JSON Schema to one function, by the keywords that it is given."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from niyanta.domain.json_schema.checks import Check, SchemaError, all_of, never
from niyanta.domain.json_value import Json
from niyanta.domain.patterns import Pattern, PatternError

__all__ = ["DIALECT", "Build", "Compiler"]

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_MOST_PATTERN_STEPS = 20_000
_UNSUPPORTED = frozenset(
    {
        "$anchor",
        "$dynamicAnchor",
        "$dynamicRef",
        "$id",
        "$recursiveRef",
        "$vocabulary",
        "dependencies",
        "unevaluatedItems",
        "unevaluatedProperties",
    }
)


class Compiler:
    """Turns a schema into one function.

    Args:
        root: The whole schema.
        keywords: What each keyword means.
    """

    def __init__(self, root: Json, keywords: Mapping[str, Build]) -> None:
        self._root = root
        self._keywords = keywords
        self._referred: dict[str, list[Check]] = {}
        self._patterns: dict[str, Pattern] = {}
        self._pattern_steps = 0

    def whole(self) -> Check:
        """The check of the whole schema."""
        return self.compile(self._root, "")

    def compile(self, schema: Json, at: str) -> Check:
        """The check of a schema at a pointer."""
        if schema is True:
            return lambda value, path, run, report: True
        if schema is False:
            return never
        if not isinstance(schema, dict):
            raise SchemaError(at, "a schema must be an object, true or false")
        if schema.get("$schema", DIALECT) not in (DIALECT, DIALECT + "#"):
            raise SchemaError(f"{at}/$schema", f"must be {DIALECT}, or left out")
        checks: list[Check] = []
        for keyword, argument in schema.items():
            if keyword in _UNSUPPORTED:
                raise SchemaError(f"{at}/{keyword}", "is not supported; use $defs and $ref within the schema")
            build = self._keywords.get(keyword)
            if build is not None and (check := build(self, argument, schema, f"{at}/{keyword}")) is not None:
                checks.append(check)
        return all_of(checks)

    def reference(self, pointer: Json, at: str) -> Check:
        """The check of what a ``$ref`` names; it may name a schema that encloses it."""
        if not isinstance(pointer, str) or not (pointer == "#" or pointer.startswith("#/")):
            raise SchemaError(at, "must be a pointer into the same schema, such as #/$defs/name")
        holder = self._referred.get(pointer)
        if holder is None:
            holder = self._referred[pointer] = []
            holder.append(self.compile(self._find(pointer, at), pointer[1:]))
        return lambda value, path, run, report: holder[0](value, path, run, report)

    def pattern(self, source: Json, at: str) -> Pattern:
        """A regular expression, compiled once however often it comes."""
        if not isinstance(source, str):
            raise SchemaError(at, "must be a string")
        found = self._patterns.get(source)
        if found is None:
            try:
                found = self._patterns[source] = Pattern(source)
            except PatternError as exc:
                raise SchemaError(at, str(exc)) from exc
            self._pattern_steps += found.size
            if self._pattern_steps > _MOST_PATTERN_STEPS:
                raise SchemaError(at, "the schema's patterns are too large together")
        return found

    def _find(self, pointer: str, at: str) -> Json:
        found = self._root
        for step in pointer.split("/")[1:]:
            key = step.replace("~1", "/").replace("~0", "~")
            if isinstance(found, dict) and key in found:
                found = found[key]
            elif isinstance(found, list) and key in map(str, range(len(found))):
                found = found[int(key)]
            else:
                raise SchemaError(at, f"there is nothing at {pointer[:100]}")
        return found


Build = Callable[[Compiler, Json, Mapping[str, Json], str], Check | None]
"""Makes the check of one keyword: from its argument, the schema it stands in, and the pointer to it."""
