"""The report: one HTML file with its charts as SVG inside; it loads nothing from anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from html import escape

from niyanta.examples.reports.charts import bar_chart, line_chart, short
from niyanta.examples.reports.counting import exact_sum
from niyanta.examples.reports.parameters import Progress, ReportParams

__all__ = ["render", "totals_of"]

_STYLE = """
:root { --ink: #1c2330; --soft: #667085; --line: #e4e7ec; --card: #fff; --ground: #f5f6f8;
  --mark: #2f6fed; --wash: #2f6fed1f }
@media (prefers-color-scheme: dark) { :root { --ink: #e8eaee; --soft: #98a2b3; --line: #30363f;
  --card: #1b2027; --ground: #12161b; --mark: #6ea0ff; --wash: #6ea0ff26 } }
* { box-sizing: border-box }
body { margin: 0; background: var(--ground); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif }
main { max-width: 1080px; margin: 0 auto; padding: 40px 24px 64px }
h1 { font-size: 28px; line-height: 1.2; margin: 0 0 4px }
h2 { font-size: 17px; margin: 0 0 16px }
p { margin: 0; color: var(--soft) }
section { background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 24px;
  margin-top: 20px; overflow-x: auto }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(160px, 1fr)); gap: 12px; margin-top: 28px }
.tiles div { background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 14px 18px }
.tiles b { display: block; font-size: 23px; font-weight: 650; font-variant-numeric: tabular-nums }
.tiles span { color: var(--soft); font-size: 13px }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums }
th, td { padding: 7px 10px; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap }
th { font-weight: 600; color: var(--soft); font-size: 13px }
th:first-child, td:first-child { text-align: left }
tfoot td { font-weight: 650; border-bottom: 0 }
svg { display: block; width: 100%; height: auto; font-size: 13px }
svg .bar { fill: var(--mark) } svg .area { fill: var(--wash) } svg .grid { stroke: var(--line) }
svg .curve { fill: none; stroke: var(--mark); stroke-width: 2.5; stroke-linejoin: round }
svg .dot { fill: var(--mark) } svg text { fill: var(--ink) } svg .soft { fill: var(--soft) }
"""


def totals_of(params: ReportParams, progress: Progress) -> dict[str, Decimal]:
    """The exact sum of each value column."""
    return {
        name: exact_sum(Decimal(figures[at].sum) for _, figures in progress.groups.values())
        for at, name in enumerate(params.value_columns)
    }


def render(params: ReportParams, source_name: str, progress: Progress) -> str:
    """The whole page. The same figures give the same bytes."""
    title = params.title or f"{', '.join(params.value_columns)} by {params.group_by}"
    totals = totals_of(params, progress)
    ranked = sorted(progress.groups, key=lambda name: (-Decimal(progress.groups[name][1][0].sum), name))
    parts = [
        f"<!doctype html>\n<html lang='en'>\n<meta charset='utf-8'>\n<title>{escape(title)}</title>",
        f"<meta name='viewport' content='width=device-width, initial-scale=1'>\n<style>{_STYLE}</style>\n<main>",
        f"<h1>{escape(title)}</h1>\n<p>From {escape(source_name)}</p>",
        _tiles(progress, totals),
    ]
    for at, name in enumerate(params.value_columns):
        parts.append(_column_chart(params, progress, at, name, totals[name]))
    if progress.months:
        for at, name in enumerate(params.value_columns):
            points = [(month, Decimal(sums[at])) for month, sums in sorted(progress.months.items())]
            parts.append(f"<section><h2>{escape(name)} by month</h2>{line_chart(points)}</section>")
    parts.append(_table(params, progress, ranked, totals))
    parts.append(_bad_rows(progress))
    return "\n".join(part for part in parts if part) + "\n</main>\n</html>\n"


def _tiles(progress: Progress, totals: dict[str, Decimal]) -> str:
    tiles = [
        (f"{progress.rows:,}", "rows"),
        (f"{len(progress.groups):,}", "groups"),
        *((short(total), f"{name}, total") for name, total in totals.items()),
        (f"{sum(progress.bad.values()):,}", "bad rows left out"),
    ]
    inside = "".join(f"<div><b>{value}</b><span>{escape(label)}</span></div>" for value, label in tiles)
    return f"<div class='tiles'>{inside}</div>"


def _column_chart(params: ReportParams, progress: Progress, at: int, name: str, total: Decimal) -> str:
    sums = {group: Decimal(figures[at].sum) for group, (_, figures) in progress.groups.items()}
    ranked = sorted(sums, key=lambda group: (-sums[group], group))
    shown = [(group, sums[group]) for group in ranked[: params.top]]
    if len(ranked) > params.top:
        rest = exact_sum(sums[group] for group in ranked[params.top :])
        shown.append((f"{len(ranked) - params.top:,} others", rest))
    heading = f"{escape(name)} by {escape(params.group_by)}"
    return f"<section><h2>{heading}</h2>{bar_chart(shown, total)}</section>"


def _table(params: ReportParams, progress: Progress, ranked: Sequence[str], totals: dict[str, Decimal]) -> str:
    head = "".join(
        f"<th>{escape(name)}</th><th>mean</th><th>smallest</th><th>largest</th>" for name in params.value_columns
    )
    rows = []
    for group in ranked[: params.top]:
        count, figures = progress.groups[group]
        cells = "".join(
            f"<td>{_number(Decimal(f.sum))}</td><td>{_mean(Decimal(f.sum), count)}</td>"
            f"<td>{_number(Decimal(f.smallest))}</td><td>{_number(Decimal(f.largest))}</td>"
            for f in figures
        )
        rows.append(f"<tr><td>{escape(group) or '<i>empty</i>'}</td><td>{count:,}</td>{cells}</tr>")
    total = "".join(
        f"<td>{_number(value)}</td><td>{_mean(value, progress.rows)}</td><td></td><td></td>"
        for value in totals.values()
    )
    left = len(ranked) - params.top
    note = f"<p>The {params.top} largest of {len(ranked):,} groups.</p>" if left > 0 else ""
    return (
        f"<section><h2>Figures</h2><table><thead><tr><th>{escape(params.group_by)}</th><th>rows</th>{head}</tr></thead>"
        f"<tbody>{''.join(rows)}</tbody>"
        f"<tfoot><tr><td>all groups</td><td>{progress.rows:,}</td>{total}</tr></tfoot></table>{note}</section>"
    )


def _bad_rows(progress: Progress) -> str:
    if not progress.bad:
        return ""
    reasons = "".join(
        f"<tr><td>{escape(reason)}</td><td>{count:,}</td></tr>" for reason, count in sorted(progress.bad.items())
    )
    examples = ", ".join(f"line {line:,} ({escape(reason)})" for line, reason in progress.bad_examples)
    return (
        "<section><h2>Bad rows</h2><table><thead><tr><th>reason</th><th>rows</th></tr></thead>"
        f"<tbody>{reasons}</tbody></table><p style='margin-top:12px'>The first: {examples}.</p></section>"
    )


def _number(value: Decimal) -> str:
    """With thousands apart; exact, without an exponent and without trailing zeros beyond cents."""
    whole, _, fraction = f"{value:,f}".partition(".")
    fraction = fraction.rstrip("0")
    return f"{whole}.{fraction.ljust(2, '0')}" if fraction else whole


def _mean(total: Decimal, rows: int) -> str:
    return f"{total / rows:,.2f}" if rows else "–"
