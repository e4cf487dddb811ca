"""What is said of a span by who imports nothing of OpenTelemetry."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeAlias

__all__ = ["Attributes", "SpanKind"]

Attributes: TypeAlias = Mapping[str, str | int | float | bool]


class SpanKind(StrEnum):
    """Where a span lies between processes; names of OpenTelemetry's ``SpanKind``."""

    INTERNAL = "INTERNAL"
    SERVER = "SERVER"
    CONSUMER = "CONSUMER"
