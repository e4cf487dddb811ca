"""Tests of the parts together, inside one process."""

from __future__ import annotations

from support.system import system

__all__ = ["system"]
