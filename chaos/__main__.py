"""``python -m chaos [--seed N] [--minutes M]``: one run, in rounds; its report as JSON on standard output."""

from __future__ import annotations

import argparse
import json
import secrets
import sys
from pathlib import Path

from chaos.faults import KINDS, SMOKE
from chaos.rounds import play
from chaos.run import Plan


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m chaos")
    parser.add_argument("--seed", type=int, help="drawn when missing")
    parser.add_argument("--minutes", type=float, default=30.0, help="how long faults are injected, in all rounds")
    parser.add_argument("--round-minutes", type=float, default=5.0, help="and in one")
    parser.add_argument("--smoke", action="store_true", help="only the classes that a short run has time for")
    parser.add_argument("--kind", action="append", choices=sorted(KINDS), help="only this class; may be repeated")
    parser.add_argument("--excuse-known", action="store_true", help="pass when only known defects were met")
    parser.add_argument("--keep", action="store_true", help="keep logs and databases also when all is well")
    parser.add_argument("--results", type=Path, default=Path("chaos/results"), help="where the reports are kept")
    arguments = parser.parse_args()
    seed = arguments.seed if arguments.seed is not None else secrets.randbelow(1_000_000)
    kinds = arguments.kind or (SMOKE if arguments.smoke else tuple(KINDS))
    print(f"seed {seed}, {arguments.minutes:g} minutes, reports in {arguments.results}", file=sys.stderr)
    chosen = ["--smoke"] if arguments.smoke else [f"--kind '{kind}'" for kind in arguments.kind or ()]
    plan = Plan(seed, arguments.minutes, kinds, arguments=" ".join(chosen), excuse_known=arguments.excuse_known)
    report = play(plan, arguments.round_minutes, arguments.results, keep=arguments.keep)
    print(json.dumps(report, indent=2))
    sys.exit(0 if report["passed"] else 1)


if __name__ == "__main__":
    main()
