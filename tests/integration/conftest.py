"""Tests of the parts together, inside one process."""

from __future__ import annotations

from system import system

__all__ = ["system"]
