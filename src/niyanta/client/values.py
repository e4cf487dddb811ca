"""Which values can be sent as JSON and arrive as what they were."""

from __future__ import annotations

import math
from collections.abc import Mapping

from niyanta.errors import InvalidInputError

__all__ = ["refuse_lossy"]


def refuse_lossy(value: object, field: str) -> None:
    """Refuse what would silently arrive as something else.

    Args:
        value: To be sent.
        field: Where it stands in the request, for the message.

    Raises:
        InvalidInputError: A number that isn't finite (it would arrive as null), or a key that isn't text; says where.
    """
    if isinstance(value, float):
        if not math.isfinite(value):
            raise InvalidInputError(f"{field} is {value}, which JSON can't hold", details={"field": field})
    elif isinstance(value, Mapping):
        for key, item in value.items():
            if not isinstance(key, str):
                raise InvalidInputError(f"{field} has the key {key!r}; keys must be text", details={"field": field})
            refuse_lossy(item, f"{field}.{key}")
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            refuse_lossy(item, f"{field}[{index}]")
