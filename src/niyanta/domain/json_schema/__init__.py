"""JSON Schema for inputs of customers: compiled once, and checked at a cost that has a bound.

Schemas come from customers too, and a general validator can be made to run for hours by a small one (references that
double, patterns that backtrack, alternatives that each quote a large value). So every check counts its work and stops
at a limit. The vocabulary is that of draft 2020-12 without what needs other documents (remote ``$ref``, ``$id``,
anchors, dynamic references) or annotations (``unevaluated…``); ``format`` is not enforced.
Source: https://json-schema.org/draft/2020-12.
"""

from niyanta.domain.json_schema.checks import Mismatch, SchemaError, TooExpensiveError
from niyanta.domain.json_schema.compiler import DIALECT
from niyanta.domain.json_schema.schema import Schema

__all__ = ["DIALECT", "Mismatch", "Schema", "SchemaError", "TooExpensiveError"]
