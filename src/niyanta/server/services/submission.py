"""Submitting workloads: checked, then stored in shared transactions, acknowledged after the commit.

**Identity.** A workload's id is made here, before anything is stored, and says when it was created. So is its first
state, by the constructor that all moves have. A submission that comes with an ``Idempotency-Key`` is named by that
key, its customer and the operation for a day: whoever comes with it again gets the first answer, and with another
body a refusal.

**Authority.** Whether there is room in a queue is decided by the customer's row of counts, which is locked first of
all and held until the commit. That makes the limit exact however many replicas take submissions, lets only one of
two with the same key through, and is what an unknown outcome is found out by. What a submission may be (known type,
input that fits its schema) is decided before that, from what this replica has in memory, about a second old.
Whether it is assigned as it is stored is decided by the leader's board (`niyanta.server.leader.shortcut`).

**States.** Checked, waiting for a commit, committed. A batch's items are accepted or refused one by one; what is
refused was never anything. Requests that arrive while a commit is under way share the next (`GroupCommit`).

**Clocks.** The database's, as this replica knows it (`DatabaseClock`), dates the workload and its rank in the queue;
the first audit event's time is kept near the statement's, so that it finds its partition. Nothing is decided by
comparing the two.

**Failures.** A deadlock: run again. A customer whose counts somebody holds for long: the others are committed without
it, and it is told to come back (`HeldUp`). The link breaks before COMMIT: nothing is stored, 503. It breaks at
COMMIT, or during the one statement that needs none: the old transaction may be open and commit yet; it holds the
counts' lock to its end, so whoever gets that lock afterwards reads the truth. If that can't be had in time, the
answer says that it is unknown, and has a ``Retry-After``, at which clients repeat by themselves, only where a key
keeps that from storing twice. The announcement is lost: the scheduler finds the workload by itself.

**In this module.** `submit` and `submit_batch` wait for one shared commit; `_commit` sets the held up aside,
`_commit_together` is the transaction. Mostly it is one statement (`_store_at_once`); what that can't decide is stored
in this order: lock the counts, look for keys that were used, let in what has room (`_admit`), claim keys, insert.
`_find_out` is for a COMMIT whose answer was lost. What may be submitted is `services.checking`'s to say.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from niyanta.errors import ApiError, ServiceUnavailableError
from niyanta.server.directory import Directory
from niyanta.server.leader.shortcut import Shortcut, SlotClaim
from niyanta.server.moves.batcher import GroupCommit
from niyanta.server.moves.feed import ChangeFeed, describe_created
from niyanta.server.moves.held_up import HeldUp
from niyanta.server.observability.tracing import step
from niyanta.server.services.checking import SubmissionChecks, coming_from, refuse_dropped, refuse_unconfigured
from niyanta.server.services.estimator import Estimator
from niyanta.server.services.outcomes import (
    ItemOutcome,
    Submission,
    SubmissionAnswer,
    answered_before,
    found,
    held_up,
    kept,
    queue_full,
    unknown,
)
from niyanta.server.services.requests import SubmitRequest, check_idempotency_key
from niyanta.server.store.customers import Identity
from niyanta.server.store.database import (
    Database,
    LockNotFreeError,
    OutcomeUnknownError,
    Pool,
    TransactionConflictError,
    outcome_unknown,
    retried,
)
from niyanta.server.store.origins import Origin
from niyanta.server.store.queries import Connection
from niyanta.server.store.submissions import KeyName, KeyUse, NewWorkload, Stored, SubmissionStore

__all__ = [
    "SubmissionService",
    "SubmitRequest",
    "check_idempotency_key",
]

_MOST_IN_A_COMMIT = 1000
_BYTES_LIKE_ONE_MORE = 16 * 1024
"""Of input: weighs as much as a workload, so that a commit has some 16 MiB at most, and what waits 320 MiB."""
_LOCK_SECONDS = 1.0
"""How long a commit waits for each lock: long beside others' commits, short beside a transaction that hangs."""
_LOOK_AGAIN_SECONDS = 0.1
_COMMIT_SHARE = 0.4
_LEAST_COMMIT_SECONDS = 3.0
"""How long a commit may take: of the time within which its outcome is to be known, and at the least."""
_STATEMENT_SECONDS = 2.0
"""How long the one statement may be on its way; later it comes to nothing, and a transaction is tried."""


class _Request(msgspec.Struct, frozen=True, eq=False):
    """One call on its way to the database."""

    customer_id: str
    items: list[NewWorkload | ApiError]
    key: KeyName | None
    body_sha256: bytes
    weight: int
    """In a commit."""
    needs_config: bool
    """Whether some item does."""
    has_more: bool


_encode_sorted = msgspec.json.Encoder(order="deterministic").encode


class SubmissionService:
    """Takes submissions of all customers."""

    def __init__(
        self,
        database: Database,
        held_up: HeldUp,
        feed: ChangeFeed,
        directory: Directory,
        estimator: Estimator,
        shortcut: Shortcut,
        *,
        outcome_wait_seconds: float,
    ) -> None:
        self._database = database
        self._feed = feed
        self._directory = directory
        self._checks = SubmissionChecks(directory, estimator)
        self._held_up = held_up
        self._shortcut = shortcut
        self._outcome_wait_seconds = outcome_wait_seconds
        self._store = SubmissionStore()
        self._group = GroupCommit[_Request, SubmissionAnswer](
            self._commit, most=_MOST_IN_A_COMMIT, weigh=lambda request: request.weight
        )

    async def run(self) -> None:
        """Commit until cancelled."""
        await self._group.run()

    async def submit(
        self, identity: Identity, request: SubmitRequest, idempotency_key: str | None = None
    ) -> Submission:
        """Store one workload.

        Raises:
            InvalidInputError: Says which field is wrong and what is allowed.
            ConflictError: The idempotency key came with another body before.
            ServiceUnavailableError: The customer's queue is full, or the database is away.
        """
        answer = await self.store(identity, "submit", [request], idempotency_key)
        (outcome,) = answer.outcomes
        if isinstance(outcome, ApiError):
            raise outcome
        return msgspec.structs.replace(outcome, replayed=True) if answer.replayed else outcome

    async def submit_batch(
        self, identity: Identity, requests: Sequence[SubmitRequest], idempotency_key: str | None = None
    ) -> SubmissionAnswer:
        """Store up to 1000 workloads in one transaction, each accepted or refused by itself.

        The key covers the batch as a whole; its answer is kept when at least one workload was accepted.

        Raises:
            ConflictError: The idempotency key came with another body before.
            ServiceUnavailableError: The database is away.
        """
        return await self.store(identity, "submit_batch", requests, idempotency_key)

    async def store(
        self,
        identity: Identity,
        operation: str,
        requests: Sequence[SubmitRequest],
        key: str | None,
        *,
        origins: Sequence[Origin] = (),
        named_by: object = None,
    ) -> SubmissionAnswer:
        """Store; ``origins`` say what each comes from, ``named_by`` what the key covers, if not the requests."""
        deadline = time.monotonic() + self._outcome_wait_seconds
        items = await self._checks.check(identity, requests)
        if origins:
            items = [coming_from(item, origin) for item, origin in zip(items, origins, strict=True)]
        if key is None and all(isinstance(item, ApiError) for item in items):
            return SubmissionAnswer([item for item in items if isinstance(item, ApiError)])
        if self._group.is_full:
            raise ServiceUnavailableError("Too many submissions wait to be stored; try again", retry_after_seconds=1)
        name, body_sha256 = None, b""
        if key is not None:
            name = KeyName(identity.customer_id, operation, key)
            body_sha256 = hashlib.sha256(_encode_sorted(requests if named_by is None else named_by)).digest()
        size = sum(len(item.input_json) for item in items if isinstance(item, NewWorkload))
        weight = len(items) + size // _BYTES_LIKE_ONE_MORE
        needs_config = any(isinstance(item, NewWorkload) and item.needs_config for item in items)
        has_more = any(isinstance(item, NewWorkload) and item.has_more for item in items)
        asked = _Request(identity.customer_id, items, name, body_sha256, weight, needs_config, has_more)
        try:
            async with asyncio.timeout(deadline - time.monotonic()):
                try:
                    with step("commit"):
                        return await self._group.submit(asked)
                except OutcomeUnknownError as lost:
                    return await self._find_out(asked, lost.until, lock_seconds=deadline - time.monotonic())
        except TimeoutError:
            raise unknown(has_key=asked.key is not None) from None

    async def _commit(self, requests: Sequence[_Request]) -> list[SubmissionAnswer | Exception]:
        """Commit together, unless the database hangs: others wait behind, and theirs may take as long."""
        try:
            async with asyncio.timeout(max(_LEAST_COMMIT_SECONDS, _COMMIT_SHARE * self._outcome_wait_seconds)):
                return await self._commit_all(requests)
        except TimeoutError as exc:
            raise outcome_unknown(self._until()) from exc

    async def _commit_all(self, requests: Sequence[_Request]) -> list[SubmissionAnswer | Exception]:
        """Nobody waits for long because of another customer whose counts somebody holds."""
        keys = [(request.customer_id, "") for request in requests]
        aside = await self._held_up.among(keys)
        try:
            return await self._commit_but(requests, aside)
        except LockNotFreeError:
            aside |= await self._held_up.look(key for key in keys if key[0] not in aside)
            return await self._commit_but(requests, aside)

    async def _commit_but(
        self, requests: Sequence[_Request], aside: frozenset[str]
    ) -> list[SubmissionAnswer | Exception]:
        prompt = [request for request in requests if request.customer_id not in aside]
        answers = iter(await self._commit_together(prompt) if prompt else [])
        return [held_up() if request.customer_id in aside else next(answers) for request in requests]

    @retried
    async def _commit_together(self, requests: Sequence[_Request]) -> list[SubmissionAnswer | Exception]:
        asking = {request.customer_id: self._directory.known_customer(request.customer_id) for request in requests}
        limits = {key: customer.max_queue_depth if customer else 0 for key, customer in asking.items()}
        with self._shortcut.claim() as claim:
            done = None
            if not any(request.needs_config or request.has_more for request in requests):
                until = self._until()
                async with self._database.statement(until) as conn:
                    done = await self._store_at_once(conn, requests, limits, claim, until)
            if done is None:
                async with self._database.transaction(Pool.API) as conn:
                    done = await self._store_after_reading(conn, requests, limits, claim)
        answers, stored = done
        if stored:
            assigned = claim.changes()
            self._feed.announce([*describe_created(stored, assigned), *assigned.values()])
            self._feed.moved(claim.moves())
        return answers

    def _until(self) -> datetime:
        """When a statement comes to nothing that has been held up, by the database's clock."""
        seconds = min(_STATEMENT_SECONDS, self._outcome_wait_seconds / 4)
        return datetime.fromtimestamp(self._directory.clock.now_ms() / 1000 + seconds, UTC)

    async def _store_at_once(
        self,
        conn: Connection,
        requests: Sequence[_Request],
        limits: dict[str, int],
        claim: SlotClaim,
        until: datetime,
    ) -> tuple[list[SubmissionAnswer | Exception], list[NewWorkload]] | None:
        """By one statement, which locks the counts, claims the keys and stores what there is room for.

        None when nothing was stored: it came too late, or something has to be read first, as a key was used before,
        comes twice or with nothing to store, or not all of a batch with keys fits, whose kept answers then would be
        others.
        """
        keyed = [request for request in requests if request.key is not None]
        uses = [use for request in keyed if (use := _use(request)) is not None]
        if len({use.name for use in uses}) < len(keyed):
            return None
        new = [item for request in requests for item in request.items if isinstance(item, NewWorkload)]
        stored = await self._insert(conn, new, limits, claim, uses, until)
        if stored.is_taken or stored.is_late:
            return None
        decided = [_admit(request, stored.depth, limits) for request in requests]
        answers: list[SubmissionAnswer | Exception] = [SubmissionAnswer(outcomes) for outcomes, _ in decided]
        return answers, [workload for _, accepted in decided for workload in accepted]

    async def _insert(
        self,
        conn: Connection,
        new: Sequence[NewWorkload],
        limits: dict[str, int],
        claim: SlotClaim,
        uses: Sequence[KeyUse] = (),
        until: datetime | None = None,
    ) -> Stored:
        """Store, and assign at once what may be; what begins at a checkpoint gets that first."""
        at_start = all(w.checkpoint is None for w in new)
        if at_start and (assigning := claim.plan(new)) is not None:
            stored = await self._store.insert_batch(
                conn, new, limits, assigning=assigning, uses=uses, lock_seconds=_LOCK_SECONDS, until=until
            )
            claim.settle(new, stored)
            if stored.is_taken or stored.is_late or not stored.is_refused:
                return stored
        return await self._store.insert_batch(conn, new, limits, uses=uses, lock_seconds=_LOCK_SECONDS, until=until)

    async def _store_after_reading(
        self, conn: Connection, requests: Sequence[_Request], limits: dict[str, int], claim: SlotClaim
    ) -> tuple[list[SubmissionAnswer | Exception], list[NewWorkload]]:
        """Holding the customers' counts: nobody else can use their keys, delete their configs or take their room.

        And the checkpoints that something begins at: nobody can drop one before it is copied.
        """
        answers: list[SubmissionAnswer | Exception] = []
        stored: list[NewWorkload] = []
        uses: list[KeyUse] = []
        depth = await self._store.admit(conn, list(limits), lock_seconds=_LOCK_SECONDS)
        unproven = sorted({request.customer_id for request in requests if request.needs_config})
        configured = await self._store.configured(conn, unproven) if unproven else set()
        new = (item for request in requests for item in request.items if isinstance(item, NewWorkload))
        wanted = sorted({item.checkpoint for item in new if item.checkpoint is not None})
        there = await self._store.hold_checkpoints(conn, wanted) if wanted else set()
        names = sorted({request.key for request in requests if request.key is not None})
        used = await self._store.keyed(conn, names) if names else {}
        for request in requests:
            earlier = used.get(request.key) if request.key is not None else None
            if earlier is not None:
                answers.append(answered_before(request.body_sha256, earlier))
                continue
            if request.needs_config:
                refuse_unconfigured(request.items, configured, self._directory.served_for(request.customer_id))
            refuse_dropped(request.items, there)
            outcomes, accepted = _admit(request, depth, limits)
            answers.append(SubmissionAnswer(outcomes))
            stored += accepted
            if request.key is not None and accepted:
                used[request.key] = KeyUse(request.key, request.body_sha256, kept(outcomes))
                uses.append(used[request.key])
        if uses and await self._store.claim_keys(conn, uses) < len(uses):
            raise TransactionConflictError("an idempotency key was used meanwhile")
        if stored:
            await self._insert(conn, stored, limits, claim)
            await self._store.add_more(conn, stored)
        return answers, stored

    async def _find_out(self, request: _Request, until: datetime | None, *, lock_seconds: float) -> SubmissionAnswer:
        """The link broke around the COMMIT: read what is stored, rather than guess or store twice.

        The transaction may be open still, and commit yet. It holds the customer's counts: who gets that lock comes
        after its end. A statement may not even have arrived; if it gets that lock after ``until``, it stores nothing.
        """
        sent = [item for item in request.items if isinstance(item, NewWorkload)]
        while True:
            try:
                async with self._database.transaction(lock_seconds=lock_seconds) as conn:
                    await self._store.admit(conn, [request.customer_id])
                    # In a statement of its own, so that it sees what was committed while this waited for the lock.
                    stored = await self._store.existing(conn, sent)
                    is_over = stored or until is None or await self._store.is_past(conn, until)
            except ServiceUnavailableError:
                is_over = False
            if not is_over:
                await asyncio.sleep(_LOOK_AGAIN_SECONDS)
                continue
            if there := [new for new in sent if new.workload_id in stored]:
                self._feed.announce(describe_created(there))
            return found(request.items, stored)


def _admit(
    request: _Request, depth: dict[str, int], limits: dict[str, int]
) -> tuple[list[ItemOutcome], list[NewWorkload]]:
    """The outcomes, and the workloads for which the customer's queue has room; ``depth`` grows by these."""
    customer_id = request.customer_id
    limit, queued = (limits[customer_id], depth[customer_id]) if customer_id in depth else (0, 0)
    outcomes: list[ItemOutcome] = []
    accepted: list[NewWorkload] = []
    for item in request.items:
        if isinstance(item, ApiError):
            outcomes.append(item)
        elif queued >= limit:
            outcomes.append(queue_full(queued, limit))
        else:
            queued += 1
            accepted.append(item)
            outcomes.append(Submission(item.workload_id, item.created_at, item.estimated_start_at))
    if customer_id in depth:
        depth[customer_id] = queued
    return outcomes, accepted


def _use(request: _Request) -> KeyUse | None:
    """What its key is used for, if all of it fits; None without a key, or with nothing to store."""
    if request.key is None or not any(isinstance(item, NewWorkload) for item in request.items):
        return None
    outcomes, _ = _admit(request, {request.customer_id: 0}, {request.customer_id: len(request.items)})
    return KeyUse(request.key, request.body_sha256, kept(outcomes))
