"""Writes docs/states.md from the transition table in niyanta.domain.transitions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from niyanta.domain.transitions import TRANSITIONS

PAGE = Path(__file__).resolve().parent.parent / "docs" / "states.md"
HEAD = """\
# The states of a workload

Made by `make generate` from `niyanta.domain.transitions`; don't edit it by hand. Nothing moves a workload
but the transitions below. Each is one transaction that also writes the audit event named in the table, and
raises the workload's version by one.
"""


def _name(status: Any) -> str:
    return "–" if status is None else str(getattr(status, "value", status))


def render() -> str:
    """The whole page: a diagram with one arrow per pair of states, and the table of all transitions."""
    arrows: dict[tuple[str, str], list[str]] = {}
    rows: list[str] = []
    for move in TRANSITIONS:
        source, target = _name(move.source), _name(move.target)
        event = str(getattr(move.event, "value", move.event))
        short = event.removeprefix("workload.")
        labels = arrows.setdefault((source, target), [])
        if short not in labels:
            labels.append(short)
        rows.append(f"| {source} | {target} | `{event}` | {move.summary.replace('|', chr(92) + '|')} |")
    sources = {source for source, _ in arrows}
    ends = list(dict.fromkeys(target for _, target in arrows if target not in sources))
    diagram = ["```mermaid", "stateDiagram-v2"]
    for (source, target), labels in arrows.items():
        diagram.append(f"    {'[*]' if source == '–' else source} --> {target}: {', '.join(labels)}")
    diagram += [f"    {state} --> [*]" for state in ends]
    diagram.append("```")
    table = ["| from | to | audit event | when |", "| --- | --- | --- | --- |", *rows]
    return "\n".join([HEAD, *diagram, "", *table]) + "\n"


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
