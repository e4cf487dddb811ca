"""Tests of the contract, over HTTP, against a whole system inside the test process."""

from __future__ import annotations

from system import system

__all__ = ["system"]
