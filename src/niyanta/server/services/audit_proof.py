"""Verifying the audit: seals against the seal before and their events, chains against heads and checkpoints.

Nothing is taken from the database but rows: digests are made anew here. What retention drops is no break, as long as
it was old enough: of a month whose partition is gone the seals are checked alone, and of seals that are gone the
first one left tells how old the one before was.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

from niyanta.domain.audit_chain import (
    NO_HEAD,
    AuditKeys,
    BreakKind,
    ChainHead,
    EventDigest,
    Seal,
    differences,
    event_sha256,
    month_of,
)
from niyanta.domain.audit_checkpoints import AuditCheckpoint
from niyanta.server.store.audit_proof import AuditProofStore, ChainState, StoredEntry
from niyanta.server.store.database import Database
from niyanta.server.store.queries import Connection
from niyanta.server.store.retention import SEALS_KEPT_LONGER

__all__ = ["AuditProof", "Break", "ProofReport"]

_MOST_BREAKS = 1000
_SLACK = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Break:
    """One thing that is wrong, named."""

    kind: BreakKind
    customer_id: str
    text: str
    workload_id: str = ""
    event_id: int = 0
    sequence: int = 0
    """Of the seal."""


@dataclass(slots=True)
class ProofReport:
    """What was verified, and what is wrong."""

    customers: int = 0
    seals: int = 0
    events: int = 0
    """That are as they were sealed."""
    unsealed: int = 0
    """Written so lately that they aren't sealed."""
    dropped: int = 0
    """Sealed, and dropped by retention."""
    before: int = 0
    """Written before there were seals: nothing is known of them."""
    checkpoints: int = 0
    """Ends of chains in checkpoints that were found again."""
    given_up: int = 0
    """Ends of chains in checkpoints that a restore, which is declared, went back behind."""
    breaks: list[Break] = field(default_factory=list)
    """At most a thousand are listed."""
    more_breaks: int = 0

    def add(self, found: Break) -> None:
        """Note what is wrong."""
        if len(self.breaks) < _MOST_BREAKS:
            self.breaks.append(found)
        else:
            self.more_breaks += 1


class AuditProof:
    """Verifies the audit in one snapshot of the database.

    Args:
        database: Whose.
        keys: To check seals that were made with one.
        keep: How long audit events are kept; what is gone must be older.
        keyed_since: Seals after this must have been made with a key; all, when None and there are keys.
    """

    def __init__(
        self, database: Database, keys: AuditKeys, keep: timedelta, keyed_since: datetime | None = None
    ) -> None:
        self._database = database
        self._keys = keys
        self._keep = keep
        self._keyed_since = keyed_since
        self._store = AuditProofStore()

    async def verify(
        self, customer_id: str | None = None, checkpoints: Sequence[AuditCheckpoint] = ()
    ) -> ProofReport:
        """Verify one customer's record, or all.

        Raises:
            ServiceUnavailableError: The database went away.
        """
        report = ProofReport()
        async with (
            self._database.new_connection() as conn,
            conn.transaction(isolation="repeatable_read", readonly=True),
        ):
            state, heads = await self._store.state(conn), await self._store.heads(conn)
            known = {*await self._store.customers(conn), *(name for c in checkpoints for name in c.heads)}
            months = await self._store.months(conn)
            for customer in sorted(known) if customer_id is None else [customer_id]:
                chain = _Chain(self, report, customer, state, months, conn)
                await chain.verify(heads.get(customer, NO_HEAD), checkpoints)
                report.customers += 1
        return report

    def must_be_keyed(self, seal: Seal) -> bool:
        """Whether a seal without a key is a break."""
        if self._keys.first is None:
            return False
        return self._keyed_since is None or seal.sealed_at > self._keyed_since

    def is_over(self, month: date, now: datetime, longer: timedelta = timedelta(0)) -> bool:
        """Whether retention may have dropped what is of a month."""
        end = datetime(month.year + month.month // 12, month.month % 12 + 1, 1, tzinfo=UTC)
        return end <= now - self._keep - longer + _SLACK

    @property
    def keys(self) -> AuditKeys:
        """To check with."""
        return self._keys

    @property
    def store(self) -> AuditProofStore:
        """To read with."""
        return self._store


class _Chain:
    """Verifies one customer's."""

    def __init__(
        self,
        proof: AuditProof,
        report: ProofReport,
        customer_id: str,
        state: ChainState,
        months: set[date],
        conn: Connection,
    ) -> None:
        self._proof = proof
        self._report = report
        self._customer_id = customer_id
        self._state = state
        self._months = months
        self._conn = conn

    def _broken(
        self, kind: BreakKind, text: str, workload_id: str = "", event_id: int = 0, sequence: int = 0
    ) -> None:
        self._report.add(Break(kind, self._customer_id, text, workload_id, event_id, sequence))

    async def verify(self, head: ChainHead, checkpoints: Sequence[AuditCheckpoint]) -> None:
        store = self._proof.store
        wanted = _wanted(self._customer_id, checkpoints, self._report)
        entries = _Entries(store.entries(self._conn, self._customer_id))
        last: Seal | None = None
        first_sequence = 0
        async for batch in _batches(store.seals(self._conn, self._customer_id)):
            events = await entries.up_to(batch[0].entries_to, self._customer_id)
            for seal in batch:
                first_sequence = first_sequence or seal.sequence
                self._check_link(seal, last)
                self._check_events(seal, events.pop(seal.month, []))
                self._check_hashes(seal.sequence, seal.hash, wanted.pop(seal.sequence, set()))
                self._report.seals += 1
                last = seal
            self._extra([event for run in events.values() for event in run])
        self._check_head(head, last, wanted, first_sequence)
        left = await entries.up_to(self._state.sealed_to, self._customer_id)
        self._extra([event for run in left.values() for event in run])
        self._report.unsealed += await entries.count_rest()
        await self._check_numbers()

    def _check_link(self, seal: Seal, last: Seal | None) -> None:
        name = f"seal {seal.sequence}"
        keys = self._proof.keys
        if not keys.knows(seal.key_id):
            self._broken(BreakKind.UNKEYED, f"{name} was made with the key {seal.key_id}, which isn't given")
        elif seal.expected_hash(keys) != seal.hash:
            self._broken(BreakKind.SEAL_DAMAGED, f"{name} was changed: its hash is wrong", sequence=seal.sequence)
        if seal.key_id is None and self._proof.must_be_keyed(seal):
            self._broken(BreakKind.UNKEYED, f"{name} was made without the key", sequence=seal.sequence)
        if last is None:
            now = self._state.db_now
            if seal.sequence > 1 and not self._may_be_gone(seal.previous_at, now):
                self._broken(BreakKind.SEAL_MISSING, f"the seals before {name} are gone", sequence=seal.sequence - 1)
            return
        if seal.sequence != last.sequence + 1:
            text = f"seals {last.sequence + 1} to {seal.sequence - 1} are gone"
            self._broken(BreakKind.SEAL_MISSING, text, sequence=last.sequence + 1)
        elif (seal.previous_hash, seal.previous_at) != (last.hash, last.sealed_at):
            text = f"{name} doesn't follow on the seal before: one of them was replaced"
            self._broken(BreakKind.SEAL_DAMAGED, text, sequence=seal.sequence)

    def _may_be_gone(self, sealed_at: datetime | None, now: datetime) -> bool:
        """Whether retention may have dropped a seal of that time."""
        return sealed_at is not None and self._proof.is_over(month_of(sealed_at), now, SEALS_KEPT_LONGER)

    def _check_events(self, seal: Seal, events: Sequence[EventDigest]) -> None:
        if seal.month not in self._months and self._proof.is_over(seal.month, self._state.db_now):
            self._report.dropped += seal.event_count
            return
        found = differences(seal, events)
        for difference in found:
            text = _TEXTS[difference.kind].format(
                event=f"event {difference.event_id} of {difference.workload_id}", seal=f"seal {seal.sequence}"
            )
            self._broken(difference.kind, text, difference.workload_id, difference.event_id, seal.sequence)
        self._report.events += max(0, len(events) - len(found))

    def _extra(self, events: Sequence[EventDigest]) -> None:
        """Events that ought to be in a seal by their number, and aren't in any."""
        for event in events:
            text = f"event {event.event_id} of {event.workload_id} was inserted, or its time changed: no seal has it"
            self._broken(BreakKind.INSERTED, text, event.workload_id, event.event_id)

    def _check_hashes(self, sequence: int, found: bytes, wanted: set[str]) -> None:
        """A seal against what checkpoints have seen of it."""
        for hash_ in wanted:
            if hash_ == found.hex():
                self._report.checkpoints += 1
            else:
                text = f"seal {sequence} isn't the one that a checkpoint has seen: the chain was made anew"
                self._broken(BreakKind.SEAL_DAMAGED, text, sequence=sequence)

    def _check_head(
        self, head: ChainHead, last: Seal | None, wanted: dict[int, set[str]], first_sequence: int
    ) -> None:
        now = self._state.db_now
        end = head.sequence if last is None else last.sequence
        if last is None and head.sequence and not self._may_be_gone(head.sealed_at, now):
            self._broken(BreakKind.CUT, f"all seals up to {head.sequence} are gone", sequence=head.sequence)
        if last is not None and last.head != head:
            text = f"the chain ends with seal {last.sequence}, its head is {head.sequence}: it was cut or changed"
            self._broken(BreakKind.CUT, text, sequence=last.sequence)
        for sequence in sorted(wanted):
            if sequence > end:
                text = f"the chain ends with seal {end}, a checkpoint has seen seal {sequence}: its end was cut off"
                self._broken(BreakKind.CUT, text, sequence=end)
            elif last is None and sequence == head.sequence:
                self._check_hashes(sequence, head.hash, wanted[sequence])
            elif sequence >= first_sequence > 0:
                text = f"seal {sequence}, which a checkpoint has seen, is gone"
                self._broken(BreakKind.SEAL_MISSING, text, sequence=sequence)

    async def _check_numbers(self) -> None:
        store = self._proof.store
        unnumbered = await store.unnumbered(self._conn, self._customer_id, self._state.began_at)
        self._report.before += unnumbered.before
        if unnumbered.later:
            text = f"{unnumbered.later} events without a number are younger than the first seal: they were inserted"
            self._broken(BreakKind.INSERTED, text)
        for found in await store.miscounted(self._conn, self._customer_id, _MOST_BREAKS):
            text = (
                f"{found.workload_id} has {found.events} events with the numbers {found.least} to {found.greatest}"
                + ("" if found.event_count is None else f", and should have {found.event_count}")
            )
            self._broken(BreakKind.NUMBERS, text, found.workload_id)


_TEXTS = {
    BreakKind.CHANGED: "{event} was changed since {seal}",
    BreakKind.MISSING: "{event} is gone, or its number or time was changed; {seal} has it",
    BreakKind.INSERTED: "{event} was inserted: {seal} hasn't got it",
    BreakKind.REORDERED: "{event} stands in another place than in {seal}",
}


class _Entries:
    """A customer's events, taken off in order."""

    def __init__(self, entries: AsyncIterator[StoredEntry]) -> None:
        self._entries = entries
        self._next: StoredEntry | None = None

    async def up_to(self, number: int, customer_id: str) -> dict[date, list[EventDigest]]:
        """The digests of the next ones up to a number, by month."""
        found: dict[date, list[EventDigest]] = defaultdict(list)
        while (entry := self._next or await anext(self._entries, None)) is not None:
            if entry.entry_number > number:
                self._next = entry
                break
            self._next = None
            found[month_of(entry.occurred_at)].append(_digest(customer_id, entry))
        return found

    async def count_rest(self) -> int:
        """How many are left."""
        count = 0 if self._next is None else 1
        async for _ in self._entries:
            count += 1
        return count


def _digest(customer_id: str, entry: StoredEntry) -> EventDigest:
    digest = event_sha256(
        customer_id,
        entry.workload_id,
        entry.event_id,
        entry.event_type,
        entry.occurred_at,
        entry.actor_type,
        entry.actor_id,
        entry.entry_number,
        entry.details_json,
    )
    return EventDigest(entry.workload_id, entry.event_id, digest)


async def _batches(seals: AsyncIterator[Seal]) -> AsyncIterator[list[Seal]]:
    """Seals that were made together."""
    batch: list[Seal] = []
    async for seal in seals:
        if batch and batch[0].entries_to != seal.entries_to:
            yield batch
            batch = []
        batch.append(seal)
    if batch:
        yield batch


def _wanted(customer_id: str, checkpoints: Sequence[AuditCheckpoint], report: ProofReport) -> dict[int, set[str]]:
    """What checkpoints have seen of a customer's chain and must be there: hashes by the seal's sequence."""
    wanted: dict[int, set[str]] = defaultdict(set)
    bound: int | None = None
    for checkpoint in sorted(checkpoints, key=lambda c: c.made_at, reverse=True):
        head = checkpoint.heads.get(customer_id)
        sequence = 0 if head is None else head.sequence
        if head is not None and bound is not None and sequence > bound:
            report.given_up += 1
        elif head is not None:
            wanted[sequence].add(head.hash)
        if checkpoint.restored is not None:
            bound = sequence if bound is None else min(bound, sequence)
    return wanted
