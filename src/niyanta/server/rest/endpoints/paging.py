"""Where a page of a list begins, as every list takes it."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from starlette.requests import Request

from niyanta.domain.limits import DEFAULT_PAGE, MAX_CURSOR_LENGTH, MAX_OFFSET, MAX_PAGE
from niyanta.server.rest.bodies.workloads import Pagination
from niyanta.server.rest.frame.operation import Call
from niyanta.server.rest.frame.parameters import Integer, Text
from niyanta.server.services.cursors import Cursors, refuse_both

__all__ = ["CURSOR", "LIMIT", "OFFSET", "PAGE", "AdminPage", "note", "page_cursor"]

log = logging.getLogger("niyanta.server.rest.endpoints.admin")

CURSOR = Text("cursor", "Where the page begins: next_cursor of the page before.", MAX_CURSOR_LENGTH)
OFFSET = Integer("offset", "How many to leave out before the page. Not together with a cursor.", 0, MAX_OFFSET, 0)
LIMIT = Integer("limit", "Results per page.", 1, MAX_PAGE, DEFAULT_PAGE)
PAGE = (LIMIT, OFFSET, CURSOR)
"""What the lists of the admin API take."""


def page_cursor(request: Request) -> str | None:
    """The cursor of a list that takes an offset, too.

    Raises:
        InvalidInputError: Both are given.
    """
    cursor = CURSOR.read(request)
    refuse_both(cursor, has_offset=OFFSET.text(request) is not None)
    return cursor


@dataclass(frozen=True, slots=True)
class AdminPage:
    """Which page of which list was asked for."""

    cursors: Cursors
    listed: tuple[str, ...]
    """Names the list with its filters; a cursor is good for this one only."""
    limit: int
    offset: int
    after: str | None
    """Id of the entry that the page comes after; None without a cursor."""

    @classmethod
    def read(cls, call: Call, cursors: Cursors, *listed: str) -> AdminPage:
        """What the request asks for."""
        request = call.request
        limit, offset, cursor = LIMIT.read(request) or 0, OFFSET.read(request) or 0, page_cursor(request)
        if cursor is None:
            return cls(cursors, listed, limit, offset, None)
        return cls(cursors, listed, limit, 0, cursors.read_id(cursor, *listed))

    def pagination(self, found: list[str], total: int) -> Pagination:
        """For the ids that were found, one more than the limit when there is another page."""
        page = Pagination(has_more=len(found) > self.limit)
        if page.has_more:
            page.next_cursor = self.cursors.after_id(found[self.limit - 1], *self.listed)
        if self.after is None:
            page.total, page.total_is_estimate = total, False
            page.limit, page.offset = self.limit, self.offset
        return page


def note(event: str, call: Call, **facts: object) -> None:
    """Log what an operator has done, and which one, and have it recorded with the action."""
    call.noted.update(facts)
    log.info(event, extra={"actor_id": call.identity.actor_id, **facts})
