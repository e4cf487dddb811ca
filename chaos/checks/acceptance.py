"""What was acknowledged is there, once, and only for whom it belongs to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from chaos.history import Call, History, Row, Violation

__all__ = ["CHECKS"]

_TERMINAL = ("COMPLETED", "FAILED", "CANCELLED")


def _nothing_lost(history: History) -> Iterator[Violation]:
    stored = {row.workload_id for row in history.rows}
    for call in history.calls:
        if call.operation == "submit" and call.outcome == "ok" and call.workload_id not in stored:
            yield Violation("I1", "an acknowledged submission is gone", [call])
        if call.operation == "get" and call.http_status == 404:
            yield Violation("I1", "an acknowledged submission could not be read", [call])


def _nothing_twice(history: History) -> Iterator[Violation]:
    by_key: dict[str, list[Row]] = defaultdict(list)
    for row in history.rows:
        if row.token:
            by_key[row.token].append(row)
    for rows in by_key.values():
        if len(rows) > 1:
            yield Violation("I2", "one idempotency key made two workloads", [*rows])
    calls: dict[str, list[Call]] = defaultdict(list)
    for call in history.calls:
        if call.operation == "submit" and call.key:
            calls[call.key].append(call)
    for key, group in calls.items():
        answered = [call for call in group if call.outcome == "ok"]
        if len({call.workload_id for call in answered}) > 1:
            yield Violation("I2", "one idempotency key was answered with two ids", [*answered])
        if key in by_key and all(call.outcome == "refused" for call in group):
            yield Violation("I4", "every submission with a key was refused, yet it is stored", [*group, *by_key[key]])


def _reads_see_writes(history: History) -> Iterator[Violation]:
    """A read that began after an acknowledged write, or after another read, doesn't go back before it."""
    by_workload: dict[str, list[Call]] = defaultdict(list)
    for call in history.calls:
        if call.workload_id and call.outcome == "ok" and call.version is not None and call.operation != "foreign":
            by_workload[call.workload_id].append(call)
    for calls in by_workload.values():
        newest: Call | None = None
        ends = sorted(calls, key=lambda call: call.returned)
        position = 0
        for call in sorted(calls, key=lambda call: call.invoked):
            while position < len(ends) and ends[position].returned < call.invoked:
                if newest is None or (ends[position].version or 0) > (newest.version or 0):
                    newest = ends[position]
                position += 1
            # A submission that is answered again gives its first answer, as it was.
            if newest is not None and (call.version or 0) < (newest.version or 0) and call.operation != "submit":
                yield Violation("I29", "a call went back before what an earlier one had shown", [newest, call])


def _no_foreign_reads(history: History) -> Iterator[Violation]:
    for call in history.calls:
        if call.operation == "foreign" and call.http_status not in (0, 404, 429, 503):
            yield Violation(
                "I25", "another customer's workload, or one that never was, isn't answered with 404", [call]
            )


def _no_server_errors(history: History) -> Iterator[Violation]:
    for call in history.calls:
        if call.http_status >= 500 and call.http_status != 503:
            yield Violation("I32", f"an answer of {call.http_status}", [call])


def _ends_stand(history: History) -> Iterator[Violation]:
    """What a call said was terminal is what is stored."""
    stored = {row.workload_id: row for row in history.rows}
    for call in history.calls:
        row = stored.get(call.workload_id or "")
        if call.outcome == "ok" and call.status in _TERMINAL and row is not None and row.status != call.status:
            yield Violation("I6", "a terminal state that was answered didn't last", [call, row])
        if call.operation == "cancel" and call.outcome == "ok" and row is not None and row.status != "CANCELLED":
            yield Violation("I17", "an acknowledged cancel didn't last", [call, row])


CHECKS = (_nothing_lost, _nothing_twice, _reads_see_writes, _no_foreign_reads, _no_server_errors, _ends_stand)
