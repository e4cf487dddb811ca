"""One decoder under fire, and the engine that fires.

A check holds when it returns. It fails when it raises anything, takes long, or takes much memory: what a stranger
sends may be refused by the error that the decoder declares, and by nothing else, at a bounded cost. Hypothesis would
make such examples too, at a hundredth of the rate: what counts here is how many are tried.
"""

from __future__ import annotations

import contextlib
import resource
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

__all__ = ["MOST_MIB", "MOST_SECONDS", "Finding", "Outcome", "Target", "TooMuchError", "fire", "try_one"]

MOST_SECONDS = 2.0
"""Of processor time for one example, none of which is larger than some hundred KiB, also on a busy machine."""
MOST_MIB = 128
"""By which one example may lift the memory that the process holds, at its peak."""
_MOST_TRIES = 2_000
"""To make a failing example smaller."""
_MOST_SHRINK_SECONDS = 30.0


class TooMuchError(Exception):
    """An example took more time or memory than any may."""


@dataclass(frozen=True, slots=True)
class Target:
    """A decoder, what it is given, and what must hold then.

    Attributes:
        name: For the command line.
        promise: What must hold, in a few words.
        material: Makes an example: bytes, text, or a tuple or list of them.
        check: Raises when the promise is broken.
    """

    name: str
    promise: str
    material: Callable[[Random], Any]  # Any: the check knows what it is given
    check: Callable[[Any], None]


@dataclass(frozen=True, slots=True)
class Finding:
    """An example that broke a promise, as small as it could be made."""

    example: object
    error: BaseException


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of firing at one target."""

    examples: int
    seconds: float
    finding: Finding | None = None


def try_one(target: Target, example: object) -> None:
    """Check one example.

    Raises:
        TooMuchError: It took too much time or memory.
        Exception: Whatever the check raises.
    """
    with contextlib.suppress(OSError):  # else what is below an earlier example's peak isn't seen
        Path("/proc/self/clear_refs").write_text("5")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.process_time()
    target.check(example)
    took = time.process_time() - began
    grown_mib = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak) >> 10
    if took > MOST_SECONDS:
        raise TooMuchError(f"{took:.1f} s for one example")
    if grown_mib > MOST_MIB:
        raise TooMuchError(f"{grown_mib} MiB for one example")


def fire(target: Target, seconds: float, seed: int, most_examples: int | None = None) -> Outcome:
    """Try examples until the time is up, or one breaks the promise.

    Args:
        target: At what.
        seconds: How long; what is being made small is finished.
        seed: The same seed tries the same examples.
        most_examples: Stop after so many; None for no such bound.
    """
    began = time.monotonic()
    chance = Random(seed)
    tried = 0
    while time.monotonic() - began < seconds and (most_examples is None or tried < most_examples):
        example = target.material(chance)
        tried += 1
        if (error := _error_of(target, example)) is not None:
            return Outcome(tried, time.monotonic() - began, _smallest(target, Finding(example, error)))
    return Outcome(tried, time.monotonic() - began)


def _error_of(target: Target, example: object) -> BaseException | None:
    try:
        try_one(target, example)
    except KeyboardInterrupt:
        raise
    except BaseException as exc:
        return exc
    return None


def _smallest(target: Target, found: Finding) -> Finding:
    """Leave parts out for as long as the same kind of error remains."""
    until, tries = time.monotonic() + _MOST_SHRINK_SECONDS, 0
    progress = True
    while progress:
        progress = False
        for smaller in _smaller(found.example):
            tries += 1
            if tries > _MOST_TRIES or time.monotonic() > until:
                return found
            error = _error_of(target, smaller)
            if type(error) is type(found.error) and error is not None:
                found, progress = Finding(smaller, error), True
                break
    return found


def _smaller(example: Any) -> Iterator[Any]:
    """The same with a part left out, large parts first; of several the same for each."""
    if isinstance(example, tuple | list):
        if isinstance(example, list):
            yield from (example[:at] + example[at + 1 :] for at in range(len(example)))
        for at, part in enumerate(example):
            for smaller in _smaller(part):
                yield type(example)([*example[:at], smaller, *example[at + 1 :]])
    elif isinstance(example, bytes | str):
        whole: Any = example
        size = len(whole)
        while size:
            for begin in range(0, len(whole), size):
                yield whole[:begin] + whole[begin + size :]
            size //= 2
