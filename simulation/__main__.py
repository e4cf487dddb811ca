"""``python -m simulation [--seeds 2000] [--first 1] [--only NAME]``: each scenario on virtual time, seed after seed.

Prints what happened how often, the worst figures, and for each violation the seed and the command that plays it
again. The exit code is 1 if there was any.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from functools import partial

from simulation import scale
from simulation.outcome import Outcome
from simulation.scenarios import SCENARIOS

_SHARE = {
    "faults": 1.0,
    "control": 0.5,
    "poison": 0.5,
    "crowd": 0.05,
    "shares": 0.01,
    "estimates": 0.05,
    "scale": 0.0,
}
"""Of the seeds that each scenario gets; one at least."""


def _run(name: str, seed: int) -> Outcome:
    return scale.run(seed) if name == "scale" else SCENARIOS[name](seed)


def _report(name: str, seeds: range, pool: ProcessPoolExecutor) -> int:
    """Run one scenario; gives how many seeds violated something."""
    began = time.monotonic()
    counts: Counter[str] = Counter()
    figures: dict[str, list[float]] = {}
    bad = 0
    for seed, outcome in zip(seeds, pool.map(partial(_run, name), seeds, chunksize=4), strict=True):
        counts.update(outcome.counts)
        for figure, value in outcome.figures.items():
            figures.setdefault(figure, []).append(value)
        if outcome.violations:
            bad += 1
            for violation in outcome.violations[:5]:
                print(f"  {name}, seed {seed}: {violation}")
            print(f"  again: python -m simulation --only {name} --first {seed} --seeds 1", flush=True)
    took = time.monotonic() - began
    print(f"{name}: {len(seeds)} seeds from {seeds[0]} in {took:.0f} s, {bad} with violations")
    for what, count in sorted(counts.items()):
        print(f"  {what:<20} {count}")
    for figure, values in figures.items():
        ordered = sorted(values)
        print(f"  {figure:<24} {ordered[0]:.3f} to {ordered[-1]:.3f}, median {ordered[len(ordered) // 2]:.3f}")
    sys.stdout.flush()
    return bad


def main() -> int:
    """Run the scenarios."""
    parser = argparse.ArgumentParser(prog="python -m simulation")
    parser.add_argument("--seeds", type=int, default=200, help="how many; some scenarios get a share of them")
    parser.add_argument("--first", type=int, default=1, help="the first seed")
    parser.add_argument("--only", choices=_SHARE, action="append", help="one scenario; may be given several times")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    arguments = parser.parse_args()
    bad = 0
    with ProcessPoolExecutor(arguments.processes) as pool:
        for name in arguments.only or _SHARE:
            share = 1.0 if arguments.only else _SHARE[name]
            count = max(1, round(arguments.seeds * share))
            bad += _report(name, range(arguments.first, arguments.first + count), pool)
    return 1 if bad else 0


if __name__ == "__main__":
    if os.environ.get("PYTHONHASHSEED") != "0":
        # Sets of names have the order of their hashes, and a seed must give the same run again.
        os.execve(
            sys.executable, [sys.executable, "-m", "simulation", *sys.argv[1:]], os.environ | {"PYTHONHASHSEED": "0"}
        )
    sys.exit(main())
