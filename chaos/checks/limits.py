"""Limits hold in every snapshot, and counters say what there is."""

from __future__ import annotations

from collections.abc import Iterator

from chaos.history import History, Violation

__all__ = ["CHECKS"]


def _limits(history: History) -> Iterator[Violation]:
    for sample in history.samples:
        if sample.held > sample.most_held:
            yield Violation("I23", f"{sample.subject} holds more than it may", [sample])
        if sample.untried > sample.most_queued and sample.counted_held is not None:
            yield Violation("I23", f"more of {sample.subject} was admitted than may wait", [sample])


def _counters(history: History) -> Iterator[Violation]:
    for sample in history.samples:
        if sample.counted_held is not None and (
            (sample.counted_held, sample.counted_queued) != (sample.held, sample.queued)
        ):
            yield Violation("I5", f"the counters of {sample.subject} aren't what one snapshot holds", [sample])


CHECKS = (_limits, _counters)
