"""The chain over a customer's audit events: what is hashed, how seals hang together, and how a break is named.

**Event.** Its digest is the SHA-256 of all its columns as text, with a NUL after each: none of them can hold one, so
no two events have the same text.

**Seal.** It holds a run of a customer's events, in the order of their numbers: the digest of their digests, and a
*manifest* with a line for each, so that a missing event can be named. Its hash covers both and the hash of the seal
before. With a key it is an HMAC, which nobody can make who only has the database.

**Month.** A seal's events are all of one month (UTC), so that retention drops all of them or none.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

__all__ = [
    "NO_HEAD",
    "OPERATORS",
    "ZERO_HASH",
    "AuditKeys",
    "BreakKind",
    "ChainHead",
    "Difference",
    "EventDigest",
    "EventKey",
    "Seal",
    "content_sha256",
    "differences",
    "event_sha256",
    "micros",
    "month_of",
]

OPERATORS = "operators"
"""Whose chain operators' own actions are in; no customer's id looks like it."""

ZERO_HASH = bytes(32)
"""What stands before a customer's first seal."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MARK_LENGTH = 16
"""Hexadecimal digits of an event's digest in a manifest: they name a change, which the content's digest proves."""


class BreakKind(StrEnum):
    """What can be wrong with a record."""

    CHANGED = "changed"
    MISSING = "missing"
    INSERTED = "inserted"
    REORDERED = "reordered"
    SEAL_DAMAGED = "seal_damaged"
    SEAL_MISSING = "seal_missing"
    CUT = "cut"
    NUMBERS = "numbers"
    UNKEYED = "unkeyed"


EventKey = tuple[str, int]
"""Workload and ``event_id``."""


class EventDigest(NamedTuple):
    """One event of a run."""

    workload_id: str
    event_id: int
    sha256: bytes

    @property
    def key(self) -> EventKey:
        """What names it within its customer."""
        return self.workload_id, self.event_id

    @property
    def mark(self) -> str:
        """How its digest begins, as manifests have it."""
        return self.sha256.hex()[:_MARK_LENGTH]


class SealedLine(NamedTuple):
    """A line of a manifest."""

    key: EventKey
    mark: str

    @classmethod
    def read(cls, line: str) -> SealedLine:
        """From its text; what isn't one is a line for nothing."""
        workload_id, event_id, mark = [*line.split(" "), "", "", ""][:3]
        return cls((workload_id, int(event_id) if event_id.isdecimal() else 0), mark)


class Difference(NamedTuple):
    """One event that isn't as it was sealed."""

    kind: BreakKind
    workload_id: str
    event_id: int


class ChainHead(NamedTuple):
    """The end of a customer's chain."""

    sequence: int
    """Of the newest seal; 0 before the first."""
    events_total: int
    """In all seals so far."""
    hash: bytes
    sealed_at: datetime | None


NO_HEAD = ChainHead(0, 0, ZERO_HASH, None)
"""Before the first seal."""


def micros(moment: datetime) -> int:
    """Microseconds since 1970, exact."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def month_of(moment: datetime) -> date:
    """The first day of a moment's month, in UTC."""
    return moment.astimezone(UTC).date().replace(day=1)


def _text(fields: Iterable[object]) -> bytes:
    return b"".join(str(field).encode() + b"\0" for field in fields)


def event_sha256(  # noqa: PLR0913 -- one for each column
    customer_id: str,
    workload_id: str,
    event_id: int,
    event_type: str,
    occurred_at: datetime,
    actor_type: str,
    actor_id: str,
    entry_number: int,
    details: str,
) -> bytes:
    """An event's digest; the sealer's query makes the same."""
    return hashlib.sha256(
        _text(
            (
                "niyanta.audit-event.1",
                customer_id,
                workload_id,
                event_id,
                event_type,
                micros(occurred_at),
                actor_type,
                actor_id,
                entry_number,
                details,
            )
        )
    ).digest()


def content_sha256(events: Iterable[EventDigest]) -> bytes:
    """The digest of a run of events."""
    return hashlib.sha256(b"".join(event.sha256 for event in events)).digest()


class AuditKeys:
    """The keys that seals are made and checked with: the first makes, all check.

    Args:
        keys: Secrets of at least 32 bytes; with none, hashes are plain SHA-256.
    """

    def __init__(self, keys: Sequence[bytes] = ()) -> None:
        self._keys = {hashlib.sha256(b"niyanta.audit-key\0" + key).hexdigest()[:16]: key for key in keys}
        self.first = next(iter(self._keys), None)

    @classmethod
    def parse(cls, text: str) -> AuditKeys:
        """Keys separated by commas."""
        return cls([key.strip().encode() for key in text.split(",") if key.strip()])

    def __repr__(self) -> str:
        return f"AuditKeys({', '.join(self._keys)})"

    def knows(self, key_id: str | None) -> bool:
        """Whether hashes made with it can be checked."""
        return key_id is None or key_id in self._keys

    def digest(self, key_id: str | None, data: bytes) -> bytes:
        """The hash of something, with a key or without."""
        if key_id is None:
            return hashlib.sha256(data).digest()
        return hmac.digest(self._keys[key_id], data, "sha256")


@dataclass(frozen=True, slots=True, kw_only=True)
class Seal:
    """One seal of a customer's chain."""

    customer_id: str
    sequence: int
    month: date
    entries_after: int
    entries_to: int
    event_count: int
    events_total: int
    content_sha256: bytes
    manifest: str
    previous_hash: bytes
    previous_at: datetime | None
    hash: bytes
    key_id: str | None
    sealed_at: datetime

    @classmethod
    def after(  # noqa: PLR0913 -- one for each fact
        cls,
        head: ChainHead,
        keys: AuditKeys,
        *,
        customer_id: str,
        month: date,
        entries: tuple[int, int],
        event_count: int,
        content_sha256: bytes,
        manifest: str,
        now: datetime,
    ) -> Seal:
        """The next seal of a chain that ends with ``head``; its time never goes back."""
        unsigned = cls(
            customer_id=customer_id,
            sequence=head.sequence + 1,
            month=month,
            entries_after=entries[0],
            entries_to=entries[1],
            event_count=event_count,
            events_total=head.events_total + event_count,
            content_sha256=content_sha256,
            manifest=manifest,
            previous_hash=head.hash,
            previous_at=head.sealed_at,
            hash=ZERO_HASH,
            key_id=keys.first,
            sealed_at=now if head.sealed_at is None else max(now, head.sealed_at),
        )
        return unsigned.with_hash(unsigned.expected_hash(keys))

    def with_hash(self, hash_: bytes) -> Seal:
        """The same with another hash."""
        fields = {name: getattr(self, name) for name in self.__slots__}
        return Seal(**(fields | {"hash": hash_}))

    @property
    def head(self) -> ChainHead:
        """The chain's end as long as this is the newest."""
        return ChainHead(self.sequence, self.events_total, self.hash, self.sealed_at)

    def expected_hash(self, keys: AuditKeys) -> bytes:
        """What the hash must be."""
        previous_at = "" if self.previous_at is None else micros(self.previous_at)
        return keys.digest(
            self.key_id,
            _text(
                (
                    "niyanta.audit-seal.1",
                    self.customer_id,
                    self.sequence,
                    self.month.isoformat(),
                    self.entries_after,
                    self.entries_to,
                    self.event_count,
                    self.events_total,
                    self.content_sha256.hex(),
                    hashlib.sha256(self.manifest.encode()).hexdigest(),
                    self.previous_hash.hex(),
                    previous_at,
                    micros(self.sealed_at),
                )
            ),
        )


def differences(seal: Seal, events: Sequence[EventDigest]) -> list[Difference]:
    """How the events that are there differ from those that were sealed; names each, as far as the manifest knows."""
    if len(events) == seal.event_count and content_sha256(events) == seal.content_sha256:
        return []
    sealed = [SealedLine.read(line) for line in seal.manifest.split("\n")]
    marks = {line.key: line.mark for line in sealed}
    as_sealed = {event.key for event in events if marks.get(event.key) == event.mark}
    found: list[Difference] = []
    seen: set[EventKey] = set()
    for event in events:
        if event.key not in marks or event.key in seen or (event.key in as_sealed and event.mark != marks[event.key]):
            found.append(Difference(BreakKind.INSERTED, *event.key))
            continue
        seen.add(event.key)
        if event.key not in as_sealed:
            found.append(Difference(BreakKind.CHANGED, *event.key))
    found += [Difference(BreakKind.MISSING, *key) for key in marks if key not in seen]
    if found:
        return found
    # All are there and look as they did: in another order, or made to look so.
    pairs = zip((line.key for line in sealed), (event.key for event in events), strict=False)
    moved = [Difference(BreakKind.REORDERED, *is_) for was, is_ in pairs if was != is_]
    return moved or [Difference(BreakKind.CHANGED, *event.key) for event in events]
