"""Where a page of a list begins, as every list takes it."""

from __future__ import annotations

from starlette.requests import Request

from niyanta.domain.limits import MAX_CURSOR_LENGTH, MAX_OFFSET
from niyanta.server.rest.frame.parameters import Integer, Text
from niyanta.server.services.cursors import refuse_both

__all__ = ["CURSOR", "OFFSET", "page_cursor"]

CURSOR = Text("cursor", "Where the page begins: next_cursor of the page before.", MAX_CURSOR_LENGTH)
OFFSET = Integer("offset", "How many to leave out before the page. Not together with a cursor.", 0, MAX_OFFSET, 0)


def page_cursor(request: Request) -> str | None:
    """The cursor of a list that takes an offset, too.

    Raises:
        InvalidInputError: Both are given.
    """
    cursor = CURSOR.read(request)
    refuse_both(cursor, has_offset=OFFSET.text(request) is not None)
    return cursor
