"""What operators did, as they see it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from niyanta.client.status import Status

__all__ = ["OperatorAction"]


class OperatorAction(msgspec.Struct, kw_only=True):
    """One thing that an operator did, or tried to."""

    action_id: str
    action: str
    """The operation: ``drainWorker``."""
    timestamp: datetime
    actor_id: str
    """The key; of a command in the database, the user and machine."""
    protocol: Status
    """``rest``, ``grpc`` or ``cli``."""
    source: str = ""
    """Address that it came from."""
    request_id: str = ""
    target: dict[str, str] = {}
    """The ids that it named."""
    outcome: Status
    """``succeeded``, ``refused``, ``failed``, or ``unknown`` when its end wasn't recorded."""
    error_code: str | None = None
    facts: dict[str, Any] = {}  # Any: JSON values
    """What was done in particular."""
