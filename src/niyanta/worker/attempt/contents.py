"""Looking over what an attempt's process says before it is passed on.

The process runs user code, which can write anything to any descriptor that it has. What the service can't decode or
store must end here, with the attempt that said it: in a batch of events it would hold up all the others.
"""

from __future__ import annotations

from typing import Any

import msgspec

from niyanta.domain.limits import MAX_DETAIL_BYTES, MAX_RESULT_BYTES
from niyanta.domain.records import Encoding, LogLevel
from niyanta.errors import InvalidInputError
from niyanta.wire.messages import LogLine, Progressed
from niyanta.wire.strict_json import StrictDecoder
from niyanta.worker.runner import channel

__all__ = ["UnfitError", "check_report", "check_result", "check_save"]

_LEVELS = frozenset(LogLevel)
_ENCODINGS = frozenset(Encoding)
_results = StrictDecoder(dict[str, Any], MAX_RESULT_BYTES)


class UnfitError(ValueError):
    """The process has said something that can't be passed on."""


def check_result(data: bytes) -> None:
    """Look over a result.

    Raises:
        UnfitError: It isn't a JSON object in UTF-8 that can be stored exactly, or is too large.
    """
    if len(data) > MAX_RESULT_BYTES:
        raise UnfitError(f"the result has {len(data)} bytes, the limit is {MAX_RESULT_BYTES}")
    try:
        _results.decode(data)
    except InvalidInputError as exc:
        raise UnfitError(f"the result can't be kept: {exc.message}") from exc


def check_report(body: LogLine | Progressed) -> None:
    """Look over a log line or progress.

    Raises:
        UnfitError: Its level, its details or its percentage are none.
    """
    if isinstance(body, Progressed):
        if not 0 <= body.percent <= 100:
            raise UnfitError(f"progress of {body.percent} % was reported")
        return
    if body.level not in _LEVELS:
        raise UnfitError(f"a line was logged at the level {body.level!r:.40}")
    if not body.details:
        return
    try:
        size = len(msgspec.json.encode(body.details))
    except (TypeError, ValueError, RecursionError) as exc:
        raise UnfitError(f"a line was logged with details that are not JSON: {exc}") from exc
    if size > MAX_DETAIL_BYTES:
        raise UnfitError(f"a line was logged with {size} bytes of details, the limit is {MAX_DETAIL_BYTES}")


def check_save(save: channel.Save) -> None:
    """Look over a checkpoint.

    Raises:
        UnfitError: Its encoding is none, or its number can't name a file.
    """
    if save.encoding not in _ENCODINGS or save.number < 0:
        raise UnfitError("a checkpoint was sent in an encoding that is none")
