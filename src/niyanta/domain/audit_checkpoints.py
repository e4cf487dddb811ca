"""Checkpoints of the audit's chains: where each customer's ended at a moment, kept away from the database.

A chain alone doesn't show that its end was cut off; a checkpoint does. It is one JSON object, with a digest over the
rest that is an HMAC when there is a key.

A restore from a backup takes chains back as well. So that it isn't taken for a cut, the operator has a checkpoint
made after it that says so: what later seals older checkpoints have seen is then known to be given up.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from niyanta.domain.audit_chain import AuditKeys

__all__ = ["AuditCheckpoint", "CheckpointHead", "DamagedCheckpointError"]

_KIND = "niyanta.audit-checkpoint.1"


class DamagedCheckpointError(ValueError):
    """What was read is no checkpoint, or was changed since it was made."""


class CheckpointHead(NamedTuple):
    """The end of one customer's chain."""

    sequence: int
    events_total: int
    hash: str
    """Hexadecimal."""


@dataclass(frozen=True, slots=True)
class AuditCheckpoint:
    """Where chains ended at a moment."""

    made_at: datetime
    heads: Mapping[str, CheckpointHead]
    """By customer."""
    restored: str | None = None
    """Why chains went back before this was made; None when they didn't."""

    @property
    def file_name(self) -> str:
        """Sorts by time."""
        return f"audit-{self.made_at.astimezone(UTC):%Y%m%dT%H%M%S.%fZ}.json"

    def encode(self, keys: AuditKeys) -> bytes:
        """As it is written."""
        body: dict[str, Any] = {
            "kind": _KIND,
            "made_at": self.made_at.astimezone(UTC).isoformat(),
            "restored": self.restored,
            "key_id": keys.first,
            "heads": {customer_id: list(head) for customer_id, head in sorted(self.heads.items())},
        }
        body["digest"] = keys.digest(keys.first, _canonical(body)).hex()
        return json.dumps(body, indent=1).encode() + b"\n"

    @classmethod
    def decode(cls, raw: bytes, keys: AuditKeys) -> AuditCheckpoint:
        """From what was written.

        Raises:
            DamagedCheckpointError: It isn't what was written, or was made with a key that isn't given.
        """
        try:
            body = json.loads(raw)
            digest, key_id = body.pop("digest"), body["key_id"]
            if body["kind"] != _KIND:
                raise DamagedCheckpointError(f"it is no {_KIND}")
            if not keys.knows(key_id):
                raise DamagedCheckpointError(f"it was made with the key {key_id}, which isn't given")
            if keys.first is not None and key_id is None:
                raise DamagedCheckpointError("it was made without a key")
            if keys.digest(key_id, _canonical(body)).hex() != digest:
                raise DamagedCheckpointError("it was changed since it was made")
            heads = {name: CheckpointHead(*head) for name, head in body["heads"].items()}
            return cls(datetime.fromisoformat(body["made_at"]), heads, body["restored"])
        except (KeyError, TypeError, AttributeError, ValueError) as exc:
            if isinstance(exc, DamagedCheckpointError):
                raise
            raise DamagedCheckpointError(f"it is no {_KIND}: {exc}") from exc


def _canonical(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body, sort_keys=True, separators=(",", ":")).encode()
