"""A JSON Schema, ready to check values."""

from __future__ import annotations

from niyanta.domain.json_schema.checks import CheckRun, Mismatch, SchemaError, TooExpensiveError
from niyanta.domain.json_schema.compiler import Compiler
from niyanta.domain.json_schema.keywords import KEYWORDS
from niyanta.domain.json_value import Json

__all__ = ["Schema"]


class Schema:
    """A schema, ready to check values.

    Args:
        source: The decoded JSON Schema; bounded in size and depth by the caller.

    Raises:
        SchemaError: Not a JSON Schema, or one with something unsupported; ``pointer`` says where.
    """

    def __init__(self, source: Json) -> None:
        try:
            self._check = Compiler(source, KEYWORDS).whole()
        except RecursionError as exc:  # a chain of references, however flat it is written
            raise SchemaError("", "its references lead too far") from exc

    def problems(self, value: Json, most: int = 20) -> list[Mismatch]:
        """Why the value doesn't fit, ``most`` reasons at the most; empty when it fits.

        Raises:
            TooExpensive: The value is too large for such a schema.
        """
        run = CheckRun(most)
        try:
            self._check(value, None, run, True)
        except RecursionError as exc:
            raise TooExpensiveError("the schema refers to itself too often") from exc
        return run.problems
