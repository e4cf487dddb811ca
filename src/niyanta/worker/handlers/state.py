"""A checkpoint's state as bytes, and back."""

from __future__ import annotations

from typing import Any

import msgspec

from niyanta.errors import CheckpointError

__all__ = ["MAX_CHECKPOINT_BYTES", "MAX_LARGE_CHECKPOINT_BYTES", "decode_state", "encode_state"]

MAX_CHECKPOINT_BYTES = 10 << 20
"""Of a checkpoint that the database keeps."""
MAX_LARGE_CHECKPOINT_BYTES = 1 << 30
"""Of one that an object store keeps."""


def encode_state(state: Any, most_bytes: int = MAX_CHECKPOINT_BYTES) -> tuple[bytes, str]:
    """A checkpoint's bytes and encoding.

    Raises:
        CheckpointError: JSON can't hold it, or it is too large.
    """
    if isinstance(state, (bytes, bytearray, memoryview)):
        data, encoding = bytes(state), "bytes"
    else:
        try:
            data, encoding = msgspec.json.encode(state), "json"
        except (TypeError, ValueError, RecursionError) as exc:
            raise CheckpointError(f"a checkpoint must be JSON or bytes: {exc}") from exc
    if len(data) > most_bytes:
        advice = ""
        if most_bytes == MAX_CHECKPOINT_BYTES:
            advice = "; larger ones need an object store: set NIYANTA_OBJECT_STORE_URL for the worker"
        raise CheckpointError(
            f"the checkpoint has {len(data)} bytes, the limit is {most_bytes}{advice}. The last good one still stands"
        )
    return data, encoding


def decode_state(data: bytes, encoding: str) -> Any:
    """The state that a checkpoint holds."""
    return data if encoding == "bytes" else msgspec.json.decode(data)
