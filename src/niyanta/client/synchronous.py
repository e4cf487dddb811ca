"""The client without ``await``. Made by ``make generate`` from the asynchronous one; not edited by hand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import Any, Unpack

from niyanta.client.admin import AsyncAdmin
from niyanta.client.arguments import AffinityRules, BatchFilter, Changes, ListFilter, Submission, TierLimits
from niyanta.client.blocking_link import BlockingHttpLink
from niyanta.client.checkpoints import AsyncCheckpoints, Checkpoint
from niyanta.client.configs import AsyncConfigs, WorkloadType
from niyanta.client.customer import AsyncAccount
from niyanta.client.drains import Drain
from niyanta.client.driver import iterate, run
from niyanta.client.explanations import Explanation
from niyanta.client.failure_models import BatchReplayed, FailureList
from niyanta.client.failures import AsyncFailures
from niyanta.client.join_tokens import JoinToken
from niyanta.client.links import checked_base_url
from niyanta.client.live import LiveEvent
from niyanta.client.models import (
    ApiKey,
    AuditEvent,
    BatchCancelled,
    BatchSubmitted,
    Customer,
    FleetWorker,
    LogLine,
    LogPage,
    Page,
    ResourceLimits,
    Statistics,
    Token,
    Update,
    Workload,
    WorkloadConfig,
)
from niyanta.client.operator_actions import OperatorAction
from niyanta.client.sessions import Session
from niyanta.client.system import Fairness, SystemState
from niyanta.client.tokens import AsyncTokens
from niyanta.client.transport import Transport, find_credentials
from niyanta.client.workloads import AsyncWorkloads

__all__ = ["Client"]


class Workloads:
    """Calls on workloads."""

    def __init__(self, asynchronous: AsyncWorkloads) -> None:
        self._asynchronous = asynchronous

    def submit(
        self,
        workload_type: str,
        input_params: dict[str, Any],
        *,
        priority: int | None = None,
        affinity_rules: AffinityRules | None = None,
        timeout_seconds: int | None = None,
        labels: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
        traceparent: str | None = None,
    ) -> Workload:
        """Submit a workload.

        Args:
            workload_type: One that a worker serves or that has a config.
            input_params: A JSON object.
            priority: 0 to 1000, higher first; 10 when None.
            affinity_rules: Which workers may run it.
            timeout_seconds: Bound on one attempt's running time.
            labels: Up to 16, for lists to find it by.
            idempotency_key: Made when None, so that a repeated request never makes a second workload.
            traceparent: The span to put its trace below, as W3C Trace Context has it; when None the current one of
                OpenTelemetry, where the program uses that.

        Raises:
            InvalidInputError: Something is wrong with it; ``details`` names the field and what is allowed.
            ServiceUnavailableError: The customer's queue is full, still so after the retries.
        """
        return run(
            self._asynchronous.submit(
                workload_type,
                input_params,
                priority=priority,
                affinity_rules=affinity_rules,
                timeout_seconds=timeout_seconds,
                labels=labels,
                idempotency_key=idempotency_key,
                traceparent=traceparent,
            )
        )

    def submit_batch(
        self, workloads: Sequence[Submission], *, idempotency_key: str | None = None, traceparent: str | None = None
    ) -> BatchSubmitted:
        """Submit 1 to 1,000 workloads at once; each has an outcome of its own.

        Args:
            workloads: Dicts with the arguments of `submit`: ``workload_type``, ``input_params`` and so on.
            idempotency_key: For the batch as a whole; made when None.
            traceparent: As for `submit`.
        """
        return run(
            self._asynchronous.submit_batch(workloads, idempotency_key=idempotency_key, traceparent=traceparent)
        )

    def get(self, workload_id: str, *, wait_seconds: int | None = None, version: int | None = None) -> Workload:
        """One workload; with ``wait_seconds`` once its version has passed ``version``, or the time is up."""
        return run(self._asynchronous.get(workload_id, wait_seconds=wait_seconds, version=version))

    def explain(self, workload_id: str) -> Explanation:
        """Why it waits, with numbers and what would start it; or where it runs, who paused it, how it ended."""
        return run(self._asynchronous.explain(workload_id))

    def list(
        self,
        *,
        limit: int | None = None,
        offset: int | None = None,
        order_by: str | None = None,
        order: str | None = None,
        cursor: str | None = None,
        **filters: Unpack[ListFilter],
    ) -> Page:
        """One page of workloads; one by labels may have fewer than ``limit`` though ``pagination.has_more``."""
        return run(
            self._asynchronous.list(
                limit=limit, offset=offset, order_by=order_by, order=order, cursor=cursor, **filters
            )
        )

    def iterate(
        self,
        *,
        order_by: str | None = None,
        order: str | None = None,
        limit: int | None = None,
        **filters: Unpack[ListFilter],
    ) -> Iterator[Workload]:
        """All workloads that fit, page by page; newest first unless an order is given.

        Args:
            order_by: ``created_at`` (when None), ``priority``, ``status``, ``workload_type``, ``progress_percent``,
                ``started_at`` or ``completed_at``.
            order: ``desc`` (when None) or ``asc``.
            limit: How many at most; all when None.
            filters: ``status``, ``workload_type``, ``labels`` and so on: only those.
        """
        return iterate(self._asynchronous.iterate(order_by=order_by, order=order, limit=limit, **filters))

    def cancel(self, workload_id: str, reason: str | None = None) -> Workload:
        """Cancel, at once and for good."""
        return run(self._asynchronous.cancel(workload_id, reason))

    def cancel_batch(
        self,
        workload_ids: Sequence[str] | None = None,
        *,
        filter: BatchFilter | None = None,
        reason: str | None = None,
    ) -> BatchCancelled:
        """Cancel up to 1,000 workloads at once.

        Args:
            workload_ids: Which; or
            filter: what ``status``, ``workload_type``, ``created_before``, ``created_after``, ``labels`` they have;
                oldest first.
            reason: For the history.
        """
        return run(self._asynchronous.cancel_batch(workload_ids, filter=filter, reason=reason))

    def pause(self, workload_id: str) -> Workload:
        """Checkpoint and stop; returns when the checkpoint is safe and the processes are gone."""
        return run(self._asynchronous.pause(workload_id))

    def resume(self, workload_id: str, *, from_checkpoint: int | None = None) -> Workload:
        """Go on from the last checkpoint, or from the kept one with the sequence ``from_checkpoint``."""
        return run(self._asynchronous.resume(workload_id, from_checkpoint=from_checkpoint))

    def update(self, workload_id: str, changes: Changes, *, version: int | None = None) -> Workload:
        """Change it while it waits or is PAUSED; with ``version`` only if this is its version still.

        Raises:
            InvalidStateError: A worker has it, or it has ended.
            ConflictError: It has another version by now.
        """
        return run(self._asynchronous.update(workload_id, changes, version=version))

    def replay(
        self,
        workload_id: str,
        *,
        input_params: dict[str, Any] | None = None,
        priority: int | None = None,
        from_checkpoint: int | None = None,
        idempotency_key: str | None = None,
    ) -> Workload:
        """Submit one that has ended again, as a new one, at the start or a checkpoint; what is None is as it was."""
        return run(
            self._asynchronous.replay(
                workload_id,
                input_params=input_params,
                priority=priority,
                from_checkpoint=from_checkpoint,
                idempotency_key=idempotency_key,
            )
        )

    def fork(
        self,
        workload_id: str,
        *,
        input_params: dict[str, Any] | None = None,
        priority: int | None = None,
        from_checkpoint: int | None = None,
        idempotency_key: str | None = None,
    ) -> Workload:
        """Submit one again, ended or not, to begin at one of its checkpoints, by default the newest. It goes on.

        What else is None is as it was.
        """
        return run(
            self._asynchronous.fork(
                workload_id,
                input_params=input_params,
                priority=priority,
                from_checkpoint=from_checkpoint,
                idempotency_key=idempotency_key,
            )
        )

    def logs(
        self,
        workload_id: str,
        *,
        limit: int | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        level: str | None = None,
        order: str | None = None,
        tail: int | None = None,
        q: str | None = None,
        cursor: str | None = None,
    ) -> LogPage:
        """One page of log lines. To read them all, `iterate_logs` is simpler.

        Args:
            workload_id: Which.
            limit: Lines in a page, up to 1,000; 100 when None.
            since: Only lines after this time. Many lines may share a millisecond: read on by ``cursor``.
            until: Only lines up to this time.
            level: ``DEBUG``, ``INFO``, ``WARN`` or ``ERROR``: lines of this level and above.
            order: ``asc`` (oldest first, when None) or ``desc``.
            tail: The last so many lines, oldest first, in place of ``limit`` and ``order``.
            q: Only lines whose message has this in it, in whatever case. The service looks at 5,000 lines for a page,
                which may be empty although its cursor leads on.
            cursor: ``pagination.next_cursor`` of the page before; of a tail it leads to the lines before.
        """
        return run(
            self._asynchronous.logs(
                workload_id,
                limit=limit,
                since=since,
                until=until,
                level=level,
                order=order,
                tail=tail,
                q=q,
                cursor=cursor,
            )
        )

    def iterate_logs(
        self,
        workload_id: str,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        level: str | None = None,
        order: str | None = None,
        limit: int | None = None,
        tail: int | None = None,
        q: str | None = None,
        follow: bool = False,
    ) -> Iterator[LogLine]:
        """All log lines that fit, page by page: none left out, none twice.

        Args:
            workload_id: Which.
            since: Only lines after this time.
            until: Only lines up to this time.
            level: ``DEBUG``, ``INFO``, ``WARN`` or ``ERROR``: lines of this level and above.
            order: ``asc`` (oldest first, when None) or ``desc``.
            limit: How many at most.
            tail: Begin with the last so many lines, up to 1,000; without ``order`` and ``limit``.
            q: Only lines whose message has this in it, in whatever case.
            follow: Go on with the lines that are still to be written, to the workload's end; without ``order``,
                ``limit`` and ``until``.

        Raises:
            ConfigurationError: Arguments that don't go together.
        """
        return iterate(
            self._asynchronous.iterate_logs(
                workload_id,
                since=since,
                until=until,
                level=level,
                order=order,
                limit=limit,
                tail=tail,
                q=q,
                follow=follow,
            )
        )

    def audit(self, workload_id: str) -> Sequence[AuditEvent]:
        """The workload's whole history, in order."""
        return run(self._asynchronous.audit(workload_id))

    def watch(self, workload_id: str, *, logs: bool = False) -> Iterator[Update]:
        """What happens to it, in order, ending with its terminal state.

        Args:
            workload_id: Which.
            logs: Whether to give the log lines as well that it writes from now on.
        """
        return iterate(self._asynchronous.watch(workload_id, logs=logs))

    def events(self) -> Iterator[LiveEvent]:
        """What happens to all of the customer's workloads from now on, without end.

        Begins with ``ready``; read the list after it. A connection that breaks is replaced; where something may have
        been missed, a ``missed`` says so. It is no history: that is `audit`.
        """
        return iterate(self._asynchronous.events())

    def wait_for_completion(self, workload_id: str, timeout: float | None = None) -> Workload:
        """Wait until it is COMPLETED.

        Raises:
            WorkloadFailedError, WorkloadCancelledError: It ended so; they carry the workload.
            WaitTimeoutError: Not terminal after ``timeout`` seconds; it goes on.
        """
        return run(self._asynchronous.wait_for_completion(workload_id, timeout))


class Failures:
    """Calls on what has failed: what errors have in common, and trying many again."""

    def __init__(self, asynchronous: AsyncFailures) -> None:
        self._asynchronous = asynchronous

    def list(
        self,
        *,
        since: datetime | str | None = None,
        until: datetime | str | None = None,
        workload_type: str | None = None,
        order_by: str | None = None,
        limit: int | None = None,
    ) -> FailureList:
        """What workloads FAILED of, those together whose errors are alike.

        Args:
            since: Only what failed in the hour of this time or later.
            until: Only what failed in the hour of this time or before.
            workload_type: Only workloads of this type.
            order_by: ``last_seen_at`` (when None) or ``count``, each the greatest first.
            limit: Fingerprints at the most, 1 to 100; 50 when None.
        """
        return run(
            self._asynchronous.list(
                since=since, until=until, workload_type=workload_type, order_by=order_by, limit=limit
            )
        )

    def replay(
        self,
        filter: BatchFilter | None = None,
        *,
        priority: int | None = None,
        limit: int | None = None,
        cursor: str | None = None,
        idempotency_key: str | None = None,
    ) -> BatchReplayed:
        """Replay up to 1,000 workloads at once, the oldest first: FAILED ones, or of the filter's status.

        Args:
            filter: What ``status`` (``FAILED`` when left out), ``workload_type``, ``created_before``,
                ``created_after``, ``labels``, ``fingerprint`` they have.
            priority: In place of the one they had.
            limit: How many at most.
            cursor: ``next_cursor`` of the call before, with the same filter.
            idempotency_key: For this call; made when None, so that a repeated request replays nothing twice.
        """
        return run(
            self._asynchronous.replay(
                filter, priority=priority, limit=limit, cursor=cursor, idempotency_key=idempotency_key
            )
        )


class Checkpoints:
    """The checkpoints of workloads."""

    def __init__(self, asynchronous: AsyncCheckpoints) -> None:
        self._asynchronous = asynchronous

    def list(self, workload_id: str) -> Sequence[Checkpoint]:
        """Those that are kept of a workload: the last ones and pinned ones, the newest first."""
        return run(self._asynchronous.list(workload_id))

    def download(self, workload_id: str, sequence: int) -> bytes:
        """What the handler saved: JSON or bytes, as its ``encoding`` says. Of a large one `iterate` gives parts."""
        return run(self._asynchronous.download(workload_id, sequence))

    def iterate(self, workload_id: str, sequence: int) -> Iterator[bytes]:
        """The same in parts, as they come: a checkpoint may be larger than memory."""
        return iterate(self._asynchronous.iterate(workload_id, sequence))

    def pin(self, workload_id: str, sequence: int) -> Checkpoint:
        """Keep one, however many come after it.

        Raises:
            ConflictError: As many of the customer's are pinned as may be.
        """
        return run(self._asynchronous.pin(workload_id, sequence))

    def unpin(self, workload_id: str, sequence: int) -> Checkpoint:
        """Keep one no longer than others."""
        return run(self._asynchronous.unpin(workload_id, sequence))


class Configs:
    """Calls on workload configurations."""

    def __init__(self, asynchronous: AsyncConfigs) -> None:
        self._asynchronous = asynchronous

    def create(
        self,
        workload_type: str,
        *,
        description: str | None = None,
        config_json: dict[str, Any] | None = None,
        resource_limits: ResourceLimits | dict[str, Any] | None = None,
        checkpoint_interval_sec: int | None = None,
        max_retries: int | None = None,
        timeout_seconds: int | None = None,
        input_schema: dict[str, Any] | None = None,
    ) -> WorkloadConfig:
        """Set up a workload type.

        Args:
            workload_type: Its name; one config a type.
            description: For people.
            config_json: What handlers see as ``ctx.config``.
            resource_limits: ``cpu_cores``, ``memory_mb``, ``disk_mb`` of one attempt.
            checkpoint_interval_sec: How often a checkpoint is due, seconds.
            max_retries: Attempts that may fail by themselves before the workload does.
            timeout_seconds: Bound on one attempt's running time.
            input_schema: JSON Schema that each submission's ``input_params`` must fit.

        Raises:
            ConflictError: The type has a config already.
        """
        return run(
            self._asynchronous.create(
                workload_type,
                description=description,
                config_json=config_json,
                resource_limits=resource_limits,
                checkpoint_interval_sec=checkpoint_interval_sec,
                max_retries=max_retries,
                timeout_seconds=timeout_seconds,
                input_schema=input_schema,
            )
        )

    def types(self) -> list[WorkloadType]:
        """What can be submitted at this moment, by name: what live workers serve, and what has a config."""
        return run(self._asynchronous.types())

    def list(self) -> Sequence[WorkloadConfig]:
        """All of the customer's configs."""
        return run(self._asynchronous.list())

    def get(self, config_id: str) -> WorkloadConfig:
        """One config."""
        return run(self._asynchronous.get(config_id))

    def update(
        self,
        config_id: str,
        *,
        description: str | None = None,
        config_json: dict[str, Any] | None = None,
        resource_limits: ResourceLimits | dict[str, Any] | None = None,
        checkpoint_interval_sec: int | None = None,
        max_retries: int | None = None,
        timeout_seconds: int | None = None,
        input_schema: dict[str, Any] | None = None,
    ) -> WorkloadConfig:
        """Change the fields that are given; running workloads keep what they began with."""
        return run(
            self._asynchronous.update(
                config_id,
                description=description,
                config_json=config_json,
                resource_limits=resource_limits,
                checkpoint_interval_sec=checkpoint_interval_sec,
                max_retries=max_retries,
                timeout_seconds=timeout_seconds,
                input_schema=input_schema,
            )
        )

    def delete(self, config_id: str) -> None:
        """Remove a config.

        Raises:
            ConflictError: Workloads of its type exist.
        """
        run(self._asynchronous.delete(config_id))


class Account:
    """Calls on the customer's own account."""

    def __init__(self, asynchronous: AsyncAccount) -> None:
        self._asynchronous = asynchronous

    def get(self) -> Customer:
        """The account with its limits and what it uses now."""
        return run(self._asynchronous.get())

    def stats(
        self,
        start_date: date | str,
        end_date: date | str,
        *,
        group_by: str | None = None,
        workload_type: str | None = None,
    ) -> Statistics:
        """What was used between two days.

        Args:
            start_date: First day (UTC), a date or ``YYYY-MM-DD``.
            end_date: Last day, included.
            group_by: ``workload_type`` (when None), ``day`` or ``hour``.
            workload_type: Only workloads of this type.
        """
        return run(self._asynchronous.stats(start_date, end_date, group_by=group_by, workload_type=workload_type))


class Tokens:
    """Short-lived tokens made of the client's own key: for a browser, a script, or one workload."""

    def __init__(self, asynchronous: AsyncTokens) -> None:
        self._asynchronous = asynchronous

    def create(
        self,
        *,
        scopes: Sequence[str] | None = None,
        workload_id: str | None = None,
        expires_in_seconds: int | None = None,
    ) -> Token:
        """Make one; its ``token`` is shown this once, and used as an API key is.

        Args:
            scopes: Some of ``workloads:read``, ``workloads:write``, ``configs:write`` and ``admin``; all that the key
                is for when None.
            workload_id: The only workload that it is to be good for.
            expires_in_seconds: How long it is to be good, up to a day; an hour when None. It ends with its key.
        """
        return run(
            self._asynchronous.create(scopes=scopes, workload_id=workload_id, expires_in_seconds=expires_in_seconds)
        )

    def list(self) -> Sequence[Token]:
        """Those of the key that are good now, the newest first; a thousand at most."""
        return run(self._asynchronous.list())

    def revoke(self, token_id: str) -> None:
        """End one, or the one that the client itself uses."""
        run(self._asynchronous.revoke(token_id))


class Admin:
    """Calls of operators."""

    def __init__(self, asynchronous: AsyncAdmin) -> None:
        self._asynchronous = asynchronous

    def events(self) -> Iterator[LiveEvent]:
        """What happens to everybody's workloads and to the fleet from now on; as `AsyncWorkloads.events`."""
        return iterate(self._asynchronous.events())

    def workers(self, *, status: str | None = None) -> Sequence[FleetWorker]:
        """The registered workers; ``status`` is ``HEALTHY``, ``DRAINING`` or ``DEAD``."""
        return run(self._asynchronous.workers(status=status))

    def drain_worker(self, worker_id: str, *, mode: str | None = None) -> Drain:
        """Give it nothing new. Holds for its id, over restarts, until it is undrained.

        Args:
            worker_id: Which.
            mode: ``finish`` (when None): what it runs, finishes there. ``move``: it goes on elsewhere, each from its
                next checkpoint; what no other live worker suits, or never saves a checkpoint, finishes.
        """
        return run(self._asynchronous.drain_worker(worker_id, mode=mode))

    def worker_drain(self, worker_id: str) -> Drain:
        """How far a worker's drain has come."""
        return run(self._asynchronous.worker_drain(worker_id))

    def undrain_worker(self, worker_id: str) -> None:
        """End a drain or a removal: the worker's id may take workloads again."""
        run(self._asynchronous.undrain_worker(worker_id))

    def remove_worker(self, worker_id: str) -> None:
        """Take everything away from it, at once. Its id can't come back until it is undrained."""
        run(self._asynchronous.remove_worker(worker_id))

    def create_customer(
        self, name: str, *, customer_id: str | None = None, tier: str | None = None, limits: TierLimits | None = None
    ) -> Customer:
        """Add a customer.

        Args:
            name: For people.
            customer_id: ``cust_…``; made when None.
            tier: ``free``, ``standard``, ``premium`` or ``enterprise``.
            limits: Where it gets others than its tier gives.
        """
        return run(self._asynchronous.create_customer(name, customer_id=customer_id, tier=tier, limits=limits))

    def customers(self) -> Iterator[Customer]:
        """All customers, page by page."""
        return iterate(self._asynchronous.customers())

    def get_customer(self, customer_id: str) -> Customer:
        """One customer."""
        return run(self._asynchronous.get_customer(customer_id))

    def update_customer(
        self,
        customer_id: str,
        *,
        name: str | None = None,
        tier: str | None = None,
        limits: TierLimits | None = None,
        status: str | None = None,
    ) -> Customer:
        """Change what is given; ``status`` is ``active`` or ``suspended``. A limit of None is the tier's again."""
        return run(
            self._asynchronous.update_customer(customer_id, name=name, tier=tier, limits=limits, status=status)
        )

    def create_key(
        self,
        customer_id: str,
        name: str,
        *,
        role: str | None = None,
        expires_at: datetime | None = None,
        scopes: Sequence[str] | None = None,
    ) -> ApiKey:
        """Make an API key; its ``api_key`` is shown this once.

        Args:
            customer_id: Whose.
            name: For people.
            role: ``customer`` (when None) or ``admin``.
            expires_at: Never when None.
            scopes: Some of ``workloads:read``, ``workloads:write``, ``configs:write`` and ``admin``; when None, all
                that the role may do.
        """
        return run(self._asynchronous.create_key(customer_id, name, role=role, expires_at=expires_at, scopes=scopes))

    def keys(self, customer_id: str) -> Sequence[ApiKey]:
        """A customer's keys."""
        return run(self._asynchronous.keys(customer_id))

    def rotate_key(self, customer_id: str, key_id: str, *, overlap_seconds: int | None = None) -> ApiKey:
        """Make a key that takes the place of another; its ``api_key`` is shown this once.

        Args:
            customer_id: Whose.
            key_id: The other.
            overlap_seconds: How long the other stays good, up to 30 days; a day when None.
        """
        return run(self._asynchronous.rotate_key(customer_id, key_id, overlap_seconds=overlap_seconds))

    def tokens(self, customer_id: str) -> Sequence[Token]:
        """A customer's tokens that are good now, of all its keys, the newest first; a thousand at most."""
        return run(self._asynchronous.tokens(customer_id))

    def revoke_key(self, customer_id: str, key_id: str) -> None:
        """End a key for ever, with all tokens made of it, or one token."""
        run(self._asynchronous.revoke_key(customer_id, key_id))

    def sessions(
        self,
        *,
        customer_id: str | None = None,
        kind: str | None = None,
        used_within_seconds: int | None = None,
        most: int = 1000,
    ) -> Sequence[Session]:
        """Who is in: credentials that are good now, those used last first.

        Args:
            customer_id: Only this customer's.
            kind: ``api_key``, ``api_token`` or ``json_web_token``; all when None.
            used_within_seconds: Only what was used so lately.
            most: How many, up to a thousand.
        """
        return run(
            self._asynchronous.sessions(
                customer_id=customer_id, kind=kind, used_within_seconds=used_within_seconds, most=most
            )
        )

    def revoke_session(self, session_id: str) -> None:
        """End a key with its tokens, a token, or all JSON Web Tokens that a subject was given so far."""
        run(self._asynchronous.revoke_session(session_id))

    def create_join_token(
        self,
        name: str,
        *,
        worker_pattern: str | None = None,
        workload_types: Sequence[str] | None = None,
        tags: Mapping[str, str] | None = None,
        customers: Sequence[str] | None = None,
        expires_at: datetime | None = None,
    ) -> JoinToken:
        """Make a join token for workers; its ``join_token`` is shown this once. What isn't named isn't bounded."""
        return run(
            self._asynchronous.create_join_token(
                name,
                worker_pattern=worker_pattern,
                workload_types=workload_types,
                tags=tags,
                customers=customers,
                expires_at=expires_at,
            )
        )

    def join_tokens(self) -> Sequence[JoinToken]:
        """All join tokens, the ended ones included."""
        return run(self._asynchronous.join_tokens())

    def revoke_join_token(self, token_id: str) -> None:
        """End a join token for ever; the workers that came in with it are out within seconds."""
        run(self._asynchronous.revoke_join_token(token_id))

    def audit(
        self,
        *,
        actor_id: str | None = None,
        action: str | None = None,
        kind: str | None = None,
        target: str | None = None,
        outcome: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        most: int = 1000,
    ) -> Sequence[OperatorAction]:
        """What operators did, the newest first.

        Args:
            actor_id: Only what this key did.
            action: Only this operation, such as ``drainWorker``.
            kind: Only ``change``, what may have changed something, or only ``read``.
            target: Only what named or made the thing with this id.
            outcome: ``succeeded``, ``refused``, ``failed`` or ``unknown``.
            since: Only what was begun then or later.
            until: Only what was begun before.
            most: How many at the most.
        """
        return run(
            self._asynchronous.audit(
                actor_id=actor_id,
                action=action,
                kind=kind,
                target=target,
                outcome=outcome,
                since=since,
                until=until,
                most=most,
            )
        )

    def system(self) -> SystemState:
        """Who leads, how many workers there are, and what waits, as the coordinator that answers sees it."""
        return run(self._asynchronous.system())

    def fairness(self) -> Fairness:
        """Each customer's share of the slots against what it deserves, of those with something under way."""
        return run(self._asynchronous.fairness())


class Client:
    """A connection to Niyanta; arguments, attributes and errors as for `AsyncClient`.

    Each call runs in the thread that makes it, and many may share a client. One that nobody closes is closed quietly
    when it and all of its parts are gone, or the program ends.
    """

    def __init__(
        self,
        api_key: str | None = None,
        base_url: str | None = None,
        timeout: float = 30.0,
        max_retries: int = 4,
    ) -> None:
        own = find_credentials(api_key, base_url)
        self._base_url = own.base_url
        self._link = BlockingHttpLink(checked_base_url(own.base_url))
        transport = Transport(own, timeout, max_retries, self._link)
        admin = Transport(find_credentials(api_key, base_url, admin=True), timeout, max_retries, self._link)
        self.workloads = Workloads(AsyncWorkloads(transport))
        self.failures = Failures(AsyncFailures(transport))
        self.checkpoints = Checkpoints(AsyncCheckpoints(transport))
        self.configs = Configs(AsyncConfigs(transport))
        self.customer = Account(AsyncAccount(transport))
        self.tokens = Tokens(AsyncTokens(transport))
        self.admin = Admin(AsyncAdmin(admin))

    def close(self) -> None:
        """Close the connections. Idempotent; the client can't be used afterwards."""
        run(self._link.close())

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Client(base_url={self._base_url!r})"
