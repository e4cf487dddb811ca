"""What operators do, as the record of it has it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

__all__ = ["ActionKind", "ActionOutcome", "Doing", "Protocol", "plain_target"]

_MOST_LETTERS = 200


class ActionOutcome(StrEnum):
    """What became of an action."""

    SUCCEEDED = "succeeded"
    REFUSED = "refused"
    """For what it asked: an input, a state, something that isn't there."""
    FAILED = "failed"
    """Though nothing was wrong with it. It may have been done in part."""
    UNKNOWN = "unknown"
    """It was begun, and whoever did it was ended before the end was recorded."""


class ActionKind(StrEnum):
    """Whether an action may change something."""

    CHANGE = "change"
    READ = "read"


class Protocol(StrEnum):
    """How an operator came."""

    REST = "rest"
    GRPC = "grpc"
    CLI = "cli"
    """``niyanta admin``, straight in the database."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Doing:
    """An action that is about to be done."""

    action: str
    """The operation's id: ``drainWorker``."""
    actor_id: str
    """The key's or token's id; of a command, the user and machine."""
    protocol: Protocol
    source: str = ""
    """Address that it came from."""
    request_id: str = ""
    target: Mapping[str, str]
    """The ids that it names: ``worker_id`` and the like."""
    changes: bool
    """Whether it may change anything; then it is recorded before it is done, and isn't done when that fails."""


def plain_target(names: Mapping[str, object]) -> dict[str, str]:
    """The ids that a request names, whatever was sent as one, bounded and storable."""
    return {
        name: str(value)[:_MOST_LETTERS].encode("utf-8", "replace").decode().replace("\0", "\ufffd")
        for name, value in names.items()
        if value
    }
