"""Where the next page begins: opaque to clients, authenticated, tied to whose list it is, its filters and its order.

A cursor is a place and a tag over the place and everything it is tied to, keyed with a secret that all replicas
share. So a cursor that was changed, made up, or is used for another list is refused, and the query never sees it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from datetime import datetime

import msgspec

from niyanta.errors import InvalidInputError
from niyanta.server.store.list_query import FIRST_ID, LAST_ID, ListQuery, Place
from niyanta.server.store.logs import LogPlace

__all__ = ["Cursors", "refuse_both"]

_TAG_BYTES = 16


class _Place(msgspec.Struct, array_like=True):
    workload_id: str
    value: str | int | None = None
    at: datetime | None = None


def refuse_both(cursor: str | None, *, has_offset: bool) -> None:
    """A page begins behind a cursor or after an offset.

    Raises:
        InvalidInputError: Both are given.
    """
    if cursor and has_offset:
        raise InvalidInputError(
            "Give either cursor or offset, not both", details={"field": "cursor", "allowed": ["cursor", "offset"]}
        )


class Cursors:
    """Makes cursors and reads them.

    Args:
        secret: At least 32 random bytes, the same on all replicas.
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._encode = msgspec.msgpack.Encoder().encode
        self._place = msgspec.msgpack.Decoder(_Place).decode
        self._number = msgspec.msgpack.Decoder(int).decode
        self._line = msgspec.msgpack.Decoder(LogPlace).decode

    def after_place(self, query: ListQuery, place: Place) -> str:
        """The cursor behind a place in a list of workloads."""
        value, workload_id = place
        found = _Place(workload_id, at=value) if isinstance(value, datetime) else _Place(workload_id, value)
        return self._seal(self._encode(found), _list_of(query))

    def read_place(self, text: str, query: ListQuery) -> Place:
        """Behind which place a page of workloads begins.

        Raises:
            InvalidInputError: Not one of ours, or of another list.
        """
        place = self._place(self._open(text, _list_of(query)))
        return place.value if place.at is None else place.at, place.workload_id

    def after_number(self, number: int, *listed: str) -> str:
        """The cursor behind a numbered entry of the list that ``listed`` names."""
        return self._seal(self._encode(number), self._encode(listed))

    def read_number(self, text: str, *listed: str) -> int:
        """Behind which number a page begins.

        Raises:
            InvalidInputError: Not one of ours, or of another list.
        """
        return self._number(self._open(text, self._encode(listed)))

    def after_id(self, identifier: str, *listed: str) -> str:
        """The cursor behind an entry, named by its id, of the list that ``listed`` names."""
        return self._seal(identifier.encode(), self._encode(listed))

    def read_id(self, text: str, *listed: str) -> str:
        """Behind which entry a page begins.

        Raises:
            InvalidInputError: Not one of ours, or of another list.
        """
        return self._open(text, self._encode(listed)).decode()

    def after_line(self, place: LogPlace, *listed: str) -> str:
        """The cursor behind a log line of the reading that ``listed`` names."""
        return self._seal(self._encode(place), self._encode(listed))

    def read_line(self, text: str, *listed: str) -> LogPlace:
        """Behind which log line a page begins.

        Raises:
            InvalidInputError: Not one of ours, or of another reading.
        """
        return self._line(self._open(text, self._encode(listed)))

    def _seal(self, place: bytes, listed: bytes) -> str:
        return base64.urlsafe_b64encode(self._tag(place, listed) + place).decode().rstrip("=")

    def _open(self, text: str, listed: bytes) -> bytes:
        try:
            raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError) as exc:
            raise _foreign() from exc
        tag, place = raw[:_TAG_BYTES], raw[_TAG_BYTES:]
        # Decoding lets the unused bits of the last letter differ; a cursor has one spelling only.
        canonical = base64.urlsafe_b64encode(raw).decode().rstrip("=")
        if canonical != text or not hmac.compare_digest(tag, self._tag(place, listed)):
            raise _foreign()
        return place

    def _tag(self, place: bytes, listed: bytes) -> bytes:
        message = len(listed).to_bytes(4, "big") + listed + place
        return hmac.digest(self._secret, message, hashlib.sha256)[:_TAG_BYTES]


def _list_of(query: ListQuery) -> bytes:
    """All that names a list of workloads; its page size doesn't."""
    names = ("workloads", query.customer_id, query.status, query.workload_type, query.order_by, query.descending)
    if query.labels or (query.above, query.below) != (FIRST_ID, LAST_ID):
        return msgspec.msgpack.encode((*names, query.above, query.below, query.labels))
    return msgspec.msgpack.encode(names)


def _foreign() -> InvalidInputError:
    return InvalidInputError(
        "The cursor is not one of ours for this list, these filters and this order; begin again without it",
        details={"field": "cursor", "allowed": "next_cursor of the page before, with the same filters and order"},
    )
