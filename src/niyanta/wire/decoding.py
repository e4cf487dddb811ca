"""What msgspec's decoders raise on bytes that somebody else has chosen: more than its own errors."""

from __future__ import annotations

import msgspec

__all__ = ["UNREADABLE"]

UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""Text that isn't UTF-8, and nesting beyond the stack also in a field that is skipped, are errors of Python's."""
