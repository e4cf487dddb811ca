"""``python -m fuzz [NAME …]``: hostile bytes at every decoder, ten minutes each.

Prints a line for each target as it is done. The exit code is 1 when a promise was broken; then the example is shown,
as small as it could be made: it belongs in ``tests/unit/fuzz/test_crashers.py`` with the mend.
"""

from __future__ import annotations

import argparse
import random
import sys
from concurrent.futures import ProcessPoolExecutor, as_completed

from fuzz.targets import TARGETS, fire_at

__all__ = ["main"]


def main() -> int:
    """Fire at those that were named, or at all."""
    parser = argparse.ArgumentParser(prog="python -m fuzz")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(TARGETS)}; all when none is given")
    parser.add_argument("--minutes", type=float, default=10.0, help="for each target")
    parser.add_argument("--seed", type=int, help="drawn by chance otherwise, and shown")
    parser.add_argument("--at-once", type=int, default=2, help="how many targets at a time")
    arguments = parser.parse_args()
    if unknown := sorted(set(arguments.names) - set(TARGETS)):
        parser.error(f"no such target: {', '.join(unknown)}")
    seed = random.randrange(1 << 32) if arguments.seed is None else arguments.seed
    print(f"seed {seed}", flush=True)
    broken = 0
    with ProcessPoolExecutor(arguments.at_once, max_tasks_per_child=1) as pool:
        firing = {
            pool.submit(fire_at, name, arguments.minutes * 60, seed): name for name in arguments.names or TARGETS
        }
        for done in as_completed(firing):
            name, (outcome, example, told) = firing[done], done.result()
            state = "BROKEN" if example else "holds"
            print(f"{name:15} {state:6} {outcome.examples:9,} examples in {outcome.seconds:.0f} s", flush=True)
            if example:
                broken += 1
                print(f"{TARGETS[name].promise}; but for {example}:\n{told}", flush=True)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
