"""All targets by name."""

from __future__ import annotations

import logging
import traceback
import warnings
from collections.abc import Mapping

from fuzz import customers, http, workers
from fuzz.target import Outcome, Target, fire

__all__ = ["TARGETS", "fire_at"]

TARGETS: Mapping[str, Target] = {
    target.name: target for target in (*customers.TARGETS, *http.TARGETS, *workers.TARGETS)
}


def fire_at(name: str, seconds: float, first_seed: int) -> tuple[Outcome, str, str]:
    """Fire at one target in a process of its own; gives the outcome, what broke it, and how."""
    logging.disable(logging.CRITICAL)  # each refusal is logged somewhere
    warnings.simplefilter("error")
    outcome = fire(TARGETS[name], seconds, first_seed)
    if outcome.finding is None:
        return outcome, "", ""
    lines = traceback.format_exception(outcome.finding.error)
    return Outcome(outcome.examples, outcome.seconds), repr(outcome.finding.example), "".join(lines[-8:])
