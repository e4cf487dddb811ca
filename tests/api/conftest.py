"""Tests of the contract, over HTTP, against a whole system inside the test process."""

from __future__ import annotations

from support.grpc_calls import calls
from support.system import system

__all__ = ["calls", "system"]
