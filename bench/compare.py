"""``python -m bench.compare BEFORE.json AFTER.json``: two runs' figures side by side, and their ratios.

Rates and latencies mean something only when both were measured on the same idle machine; the CPU per workload differs
less on a busy one.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["figures", "table"]


def figures(results: Any, prefix: str = "") -> Iterator[tuple[str, float]]:
    """Every number in a run's results, by its path with spaces between."""
    if isinstance(results, dict):
        for key, inner in results.items():
            yield from figures(inner, f"{prefix} {key}".strip())
    elif isinstance(results, int | float) and not isinstance(results, bool):
        yield prefix, float(results)


def table(before: Any, after: Any) -> str:
    """The figures that both runs have, a line each."""
    first, second = dict(figures(before)), dict(figures(after))
    names = [name for name in first if name in second]
    width = max(map(len, names), default=0)
    lines = [f"{'':<{width}}  {'before':>12}  {'after':>12}  {'ratio':>6}"]
    for name in names:
        ratio = f"{second[name] / first[name]:.2f}" if first[name] else "-"
        lines.append(f"{name:<{width}}  {first[name]:>12g}  {second[name]:>12g}  {ratio:>6}")
    return "\n".join(lines)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.compare")
    parser.add_argument("before", type=Path, help="what `python -m bench` has printed")
    parser.add_argument("after", type=Path)
    given = parser.parse_args()
    print(table(json.loads(given.before.read_text()), json.loads(given.after.read_text())))


if __name__ == "__main__":
    main()
