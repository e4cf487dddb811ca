"""``python -m bench [--quick] [--only NAME]``: measures whole systems on this machine; JSON, and a table on stderr.

Everything is on as in production: fsync, audit, limits, authentication. Client, coordinator, worker and both engines
share the machine's cores.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

PARTS = ("core", "isolation", "interface", "failover")
MORE = ("scale", "kills", "fairness", "peers", "processes", "tls", "audit", "console", "consoles")
"""Only when they are asked for: they take minutes each."""


def table(results: dict[str, Any]) -> str:
    """The figures for people."""
    lines: list[tuple[str, str]] = []

    def walk(prefix: str, value: Any) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                walk(f"{prefix}{key} ", inner)
        else:
            lines.append((prefix.strip().replace("_", " "), str(value)))

    walk("", results)
    width = max(len(name) for name, _ in lines)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench")
    parser.add_argument("--quick", action="store_true", help="smaller numbers, for a smoke run")
    parser.add_argument(
        "--only", choices=(*PARTS, *MORE), action="append", help="one part; may be given several times"
    )
    parser.add_argument(
        "--processes", type=int, help="how many the coordinator has, but where a part compares their numbers"
    )
    arguments = parser.parse_args()
    if arguments.processes:
        os.environ["NIYANTA_PROCESSES"] = str(arguments.processes)
    results: dict[str, Any] = {
        "coordinator_processes": int(os.environ.get("NIYANTA_PROCESSES", "1")),
        "cores": os.cpu_count(),
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    for part in arguments.only or PARTS:
        module = importlib.import_module(f"bench.{part}")
        results[part] = asyncio.run(module.measure(arguments.quick))
    text = json.dumps(results, indent=2)
    folder = Path("bench/results")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "latest.json").write_text(text + "\n")
    print(text)
    print(table(results), file=sys.stderr)


if __name__ == "__main__":
    main()
