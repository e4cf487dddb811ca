"""What Prometheus reads: counters and histograms of this coordinator, and gauges that are read for each scrape.

Counters count what this coordinator committed or answered; the sum over all coordinators is the whole. Gauges from
the database are the same on every coordinator; take the maximum.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

from niyanta.domain.limits import MAX_METRIC_CUSTOMER_TYPES, METRIC_CUSTOMERS
from niyanta.domain.workload import TERMINAL, Status
from niyanta.server.observability.busiest import OTHER, Busiest
from niyanta.server.observability.gauges import Gauges, Reading
from niyanta.wire.changes import WorkloadChange
from niyanta.wire.messages import CheckpointSaved, EventBody

__all__ = ["Metrics"]

_RUN_BUCKETS = (1, 5, 15, 60, 300, 900, 3600, 4 * 3600, 24 * 3600)
_WAIT_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 15, 60, 300, 3600)
_COMMIT_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)
_SIZE_BUCKETS = (100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000)
_COUNT_BUCKETS = (1, 2, 5, 10, 25, 50, 100, 250, 500, 1000)


class Metrics:
    """All instruments of one coordinator, in a registry of their own.

    Args:
        most_customers: How many have a label of their own, the busiest of an hour; the others are ``other``.
    """

    def __init__(self, most_customers: int = METRIC_CUSTOMERS) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call] # the package leaves it untyped
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._workload_instruments()
        self._work_instruments()
        self._request_instruments()
        self._gauges = Gauges(self.registry)
        self._answered: dict[tuple[str, int], Histogram] = {}
        self._busiest = Busiest(most_customers, self._drop_customer)
        self._customer_types: set[tuple[str, str]] = set()

    def _workload_instruments(self) -> None:
        self._submissions = Counter(
            "niyanta_workload_submissions_total",
            "Workload submissions by what became of them; each is counted once, when it reaches its terminal status",
            ["customer", "status"],
            registry=self.registry,
        )
        self._accepted = Counter(
            "niyanta_workload_submissions_accepted_total",
            "Workload submissions that were accepted, counted at once",
            ["customer"],
            registry=self.registry,
        )
        self._durations = Histogram(
            "niyanta_workload_duration_seconds",
            "From the first start of a workload to its end, pauses and retries included",
            ["customer", "workload_type"],
            buckets=_RUN_BUCKETS,
            registry=self.registry,
        )
        self._scheduling = Histogram(
            "niyanta_scheduling_latency_seconds",
            "From a workload's submission to its first assignment",
            buckets=_WAIT_BUCKETS,
            registry=self.registry,
        )
        self._redistributions = Counter(
            "niyanta_workload_redistributions_total",
            "Workloads taken from a worker for another attempt",
            ["reason"],
            registry=self.registry,
        )
        self._lost_work = Counter(
            "niyanta_lost_work_seconds_total",
            "Running time that has to be repeated: from an attempt's last checkpoint, or its start, to its end",
            ["reason"],
            registry=self.registry,
        )
        self._checkpoint_bytes = Histogram(
            "niyanta_checkpoint_size_bytes",
            "Size of checkpoints as workers sent them",
            buckets=_SIZE_BUCKETS,
            registry=self.registry,
        )
        self._checkpoint_seconds = Histogram(
            "niyanta_checkpoint_save_duration_seconds",
            "From taking up a checkpoint to its commit",
            buckets=_COMMIT_BUCKETS,
            registry=self.registry,
        )

    def _work_instruments(self) -> None:
        self._event_batches = Histogram(
            "niyanta_event_batch_size",
            "Worker events committed together",
            buckets=_COUNT_BUCKETS,
            registry=self.registry,
        )
        self._event_commits = Histogram(
            "niyanta_event_commit_duration_seconds",
            "Time to commit a batch of worker events",
            buckets=_COMMIT_BUCKETS,
            registry=self.registry,
        )
        self._event_lag = Histogram(
            "niyanta_event_lag_seconds",
            "From the oldest event of a worker's batch to its commit, as far as their clocks agree",
            buckets=_WAIT_BUCKETS,
            registry=self.registry,
        )
        self._passes = Histogram(
            "niyanta_scheduler_pass_duration_seconds",
            "Time for a pass of the scheduler that found something to assign",
            buckets=_COMMIT_BUCKETS,
            registry=self.registry,
        )
        self._commands = Counter(
            "niyanta_worker_commands_total",
            "Commands to workers, by whether they were sent; a lost one is made good by other means",
            ["command", "outcome"],
            registry=self.registry,
        )
        self._ignored = Counter(
            "niyanta_worker_commands_ignored_total",
            "Commands that workers ignored: from an older leader, or for an earlier incarnation",
            registry=self.registry,
        )

    def _request_instruments(self) -> None:
        self._refused = Counter(
            "niyanta_refused_requests_total",
            "Requests and calls that were refused, by the error's code",
            ["code"],
            registry=self.registry,
        )
        self._requests = Histogram(
            "niyanta_http_request_duration_seconds",
            "Time to answer a request; long polls and pauses wait on purpose",
            ["operation", "status"],
            buckets=(*_COMMIT_BUCKETS, 60),
            registry=self.registry,
        )
        self._calls = Histogram(
            "niyanta_grpc_call_duration_seconds",
            "Time to answer a gRPC call; a stream's is its whole life, and pauses wait on purpose",
            ["method", "code"],
            buckets=(*_COMMIT_BUCKETS, 60),
            registry=self.registry,
        )
        self._limited = Counter(
            "niyanta_rate_limited_requests_total",
            "Requests refused because their customer's rate limit was reached",
            ["customer"],
            registry=self.registry,
        )

        self._cuts = Counter(
            "niyanta_grpc_connections_cut_total",
            "gRPC connections ended for calls that came to nothing: reset at once, or refused again and again",
            registry=self.registry,
        )

    # What happens: called at the seams, on the hot path.

    def workload_changed(self, change: WorkloadChange) -> None:
        """Count one change that this coordinator committed."""
        status = change.status
        if status == Status.PENDING:
            if change.version == 1:
                self._accepted.labels(self._customer(change.customer_id)).inc()
        elif status == Status.SCHEDULED:
            if change.waited_seconds is not None:
                self._scheduling.observe(change.waited_seconds)
        elif status == Status.REDISTRIBUTING:
            if change.cause is not None:
                self._redistributions.labels(change.cause).inc()
        elif status in TERMINAL:
            self._submissions.labels(self._customer(change.customer_id), status).inc()
            if change.ran_seconds is not None:
                pair = self._customer_type(change.customer_id, change.workload_type)
                self._durations.labels(*pair).observe(change.ran_seconds)

    def work_lost(self, reason: str, seconds: float) -> None:
        """Count running time that has to be repeated."""
        self._lost_work.labels(reason).inc(seconds)

    def events_committed(self, bodies: Sequence[EventBody], seconds: float, lags: Iterable[float] = ()) -> None:
        """Count worker events that were committed together.

        Args:
            bodies: All of them.
            seconds: That the commit took.
            lags: For each batch, how many seconds ago its oldest event happened.
        """
        self._event_batches.observe(len(bodies))
        self._event_commits.observe(seconds)
        for lag in lags:
            self._event_lag.observe(max(0.0, lag))
        for body in bodies:
            if isinstance(body, CheckpointSaved):
                self._checkpoint_bytes.observe(body.size_bytes or len(body.data))
                self._checkpoint_seconds.observe(seconds)

    def pass_done(self, seconds: float) -> None:
        """Count a pass of the scheduler that found something."""
        self._passes.observe(seconds)

    def refused(self, code: str) -> None:
        """Count one refused request or call."""
        self._refused.labels(code).inc()

    def command_sent(self, command: str) -> None:
        """Count a command that went to a worker."""
        self._commands.labels(command, "sent").inc()

    def command_lost(self, command: str) -> None:
        """Count a command that could not be sent."""
        self._commands.labels(command, "lost").inc()

    def commands_ignored(self, count: int) -> None:
        """Count commands that a worker ignored."""
        self._ignored.inc(count)

    def request_answered(self, operation_id: str, http_status: int, seconds: float) -> None:
        """Count one answered request."""
        key = (operation_id, http_status // 100)
        child = self._answered.get(key)
        if child is None:
            child = self._answered[key] = self._requests.labels(operation_id, f"{http_status // 100}xx")
        child.observe(seconds)

    def call_answered(self, method: str, code: str, seconds: float) -> None:
        """Count one gRPC call that has ended.

        Args:
            method: Its name, without the service's.
            code: Name of the status code.
            seconds: From its beginning to its end.
        """
        self._calls.labels(method, code).observe(seconds)

    def connection_cut(self) -> None:
        """Count one gRPC connection that was ended for calls that came to nothing."""
        self._cuts.inc()

    def rate_limited(self, customer_id: str) -> None:
        """Count one request refused for its customer's rate limit."""
        self._limited.labels(self._customer(customer_id)).inc()

    def _customer(self, customer_id: str) -> str:
        return self._busiest.label(customer_id)

    def _customer_type(self, customer_id: str, workload_type: str) -> tuple[str, str]:
        pair = (self._customer(customer_id), workload_type)
        if pair not in self._customer_types:
            if len(self._customer_types) >= MAX_METRIC_CUSTOMER_TYPES:
                return OTHER, OTHER
            self._customer_types.add(pair)
        return pair

    def _drop_customer(self, label: str) -> None:
        """Show no more of a customer that isn't among the busiest."""
        for instrument in (self._submissions, self._accepted, self._durations, self._limited):
            instrument.remove_by_labels({"customer": label})
        self._customer_types = {pair for pair in self._customer_types if pair[0] != label}

    # What is so: set for each scrape.

    def show(self, reading: Reading) -> None:
        """Have gauges show this."""
        self._gauges.show(reading)

    async def scrape(self, reading: Reading) -> bytes:
        """Everything in the text format 0.0.4. Written in a thread: it may be long."""
        self.show(reading)
        return await asyncio.to_thread(generate_latest, self.registry)
