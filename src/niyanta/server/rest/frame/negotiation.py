"""Which of the media types that an operation can answer with the caller would rather have."""

from __future__ import annotations

import re
from collections.abc import Sequence

from niyanta.errors import NotAcceptableError

__all__ = ["best_media_type"]

_QUALITY = re.compile(r"q\s*=\s*([01](?:\.[0-9]{0,3})?)", re.ASCII)


def best_media_type(accept: str | None, offered: Sequence[str]) -> str:
    """The one of ``offered`` that the ``Accept`` header ranks highest; the first of them when it has no preference.

    Source: RFC 9110, section 12.5.1.

    Raises:
        NotAcceptableError: The header excludes them all.
    """
    if accept is None or not accept.strip() or accept in ("*/*", offered[0]):
        return offered[0]
    qualities: dict[str, float] = {}
    for part in accept.lower().split(","):
        kind, *parameters = (piece.strip() for piece in part.split(";"))
        given = next((found for parameter in parameters if (found := _QUALITY.fullmatch(parameter))), None)
        qualities[kind] = float(given[1]) if given else 1.0
    ranked = max(offered, key=lambda media_type: _quality(media_type, qualities))
    if not _quality(ranked, qualities):
        raise NotAcceptableError(
            f"The answer is {' or '.join(offered)}, which the Accept header excludes",
            details={"field": "Accept", "allowed": list(offered)},
        )
    return ranked


def _quality(media_type: str, qualities: dict[str, float]) -> float:
    """By the most specific part of the header that fits."""
    names = (media_type, media_type.partition("/")[0] + "/*", "*/*")
    return next((qualities[name] for name in names if name in qualities), 0.0)
