"""Writes the Grafana dashboards in ``deploy``: for operators, for one customer, and for workers.

A panel here is a title, a unit and its queries; all else in a dashboard's JSON is the same everywhere.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TARGET = Path(__file__).resolve().parent.parent / "deploy" / "helm" / "niyanta" / "files" / "dashboards"
WIDTH, HEIGHT = 8, 8
"""Of a panel; a row is 24 wide."""


@dataclass(frozen=True)
class Panel:
    """What one picture shows. A query's legend may name labels in double braces."""

    title: str
    unit: str
    queries: Sequence[tuple[str, str]]
    text: str = ""
    kind: str = "timeseries"


def quantiles(metric: str, by: str = "", where: str = "") -> list[tuple[str, str]]:
    """The median and what one in a hundred exceeds."""
    labels = f"le, {by}" if by else "le"
    legend = f" {{{{{by}}}}}" if by else ""
    return [
        (
            f"histogram_quantile({q}, sum by ({labels}) (rate({metric}_bucket{where}[$__rate_interval])))",
            name + legend,
        )
        for q, name in ((0.5, "half"), (0.99, "1 in 100"))
    ]


def rate(metric: str, by: str, where: str = "") -> list[tuple[str, str]]:
    return [(f"sum by ({by}) (rate({metric}{where}[$__rate_interval]))", f"{{{{{by}}}}}")]


def greatest(metric: str, by: str) -> list[tuple[str, str]]:
    """Of what each coordinator reads in the database: they tell the same."""
    return [(f"max by ({by}) ({metric})", f"{{{{{by}}}}}")]


OPERATORS = [
    Panel("Leader", "none", [("sum(niyanta_leader)", "leaders")], "1 when all is well", "stat"),
    Panel("Coordinators", "none", [("count(niyanta_leader)", "coordinators")], kind="stat"),
    Panel("Workers", "none", greatest("niyanta_workers", "status"), kind="stat"),
    Panel("Waiting", "none", greatest("niyanta_queue_depth", "tier"), "By tier"),
    Panel("Oldest that waits", "s", greatest("niyanta_queue_oldest_age_seconds", "tier"), "Since its submission"),
    Panel("Running", "none", greatest("niyanta_running_workloads", "tier"), "By tier"),
    Panel("Slots", "none", greatest("niyanta_worker_capacity", "kind")),
    Panel(
        "Accepted",
        "reqps",
        [("sum(rate(niyanta_workload_submissions_accepted_total[$__rate_interval]))", "a second")],
    ),
    Panel("Ended", "reqps", rate("niyanta_workload_submissions_total", "status")),
    Panel("Wait for a worker", "s", quantiles("niyanta_scheduling_latency_seconds"), "To the first assignment"),
    Panel("Taken from workers", "reqps", rate("niyanta_workload_redistributions_total", "reason")),
    Panel("Requests", "reqps", rate("niyanta_http_request_duration_seconds_count", "status")),
    Panel(
        "Time to answer",
        "s",
        quantiles("niyanta_http_request_duration_seconds", where='{operation!~".*pause.*|getWorkload"}'),
        "Without long polls and pauses, which wait on purpose",
    ),
    Panel("Refused", "reqps", rate("niyanta_refused_requests_total", "code"), "By the error's code"),
    Panel("gRPC calls", "reqps", rate("niyanta_grpc_call_duration_seconds_count", "code")),
    Panel("Events of workers in a commit", "none", quantiles("niyanta_event_batch_size")),
    Panel("Time to commit them", "s", quantiles("niyanta_event_commit_duration_seconds")),
    Panel("Age of events at their commit", "s", quantiles("niyanta_event_lag_seconds")),
    Panel("Pass of the scheduler", "s", quantiles("niyanta_scheduler_pass_duration_seconds")),
    Panel("Lanes of the queue", "none", [("max(niyanta_scheduler_lanes)", "with something ready")]),
    Panel(
        "Connections in use",
        "none",
        [('sum by (pool, instance) (niyanta_database_pool_connections{kind="in_use"})', "{{pool}} {{instance}}")],
    ),
    Panel(
        "Outages seen",
        "none",
        [
            (
                "sum by (instance) (increase(niyanta_database_failures_total[$__rate_interval]))",
                "database {{instance}}",
            ),
            (
                "sum by (instance) (increase(niyanta_broker_interruptions_total[$__rate_interval]))",
                "broker {{instance}}",
            ),
        ],
    ),
    Panel("Partitions ahead", "s", [("min by (table) (niyanta_partitions_ahead_seconds)", "{{table}}")]),
    Panel(
        "Certificate ends in",
        "s",
        [("min by (instance) (niyanta_tls_certificate_expiry_timestamp_seconds) - time()", "{{instance}}")],
        kind="stat",
    ),
    Panel("Audit not sealed, oldest", "s", [("max(niyanta_audit_seal_lag_seconds)", "oldest")], kind="stat"),
    Panel(
        "Upkeep, ago",
        "s",
        [("time() - max(niyanta_upkeep_last_success_timestamp_seconds)", "last went through")],
        kind="stat",
    ),
    Panel(
        "Engines",
        "none",
        [
            ("min by (instance) (niyanta_database_connected)", "database {{instance}}"),
            ("min by (instance) (niyanta_broker_connected)", "broker {{instance}}"),
        ],
        "1 while connected",
    ),
    Panel("Watchers", "none", [("sum by (instance) (niyanta_watchers)", "{{instance}}")]),
    Panel("Memory of coordinators", "bytes", [('process_resident_memory_bytes{job=~".*niyanta.*"}', "{{instance}}")]),
]

_OF_ONE = '{customer="$customer"}'
CUSTOMER = [
    Panel(
        "Accepted",
        "reqps",
        [(f"sum(rate(niyanta_workload_submissions_accepted_total{_OF_ONE}[$__rate_interval]))", "a second")],
    ),
    Panel("Ended", "reqps", rate("niyanta_workload_submissions_total", "status", _OF_ONE)),
    Panel(
        "Failed in a day",
        "none",
        [('sum(increase(niyanta_workload_submissions_total{customer="$customer",status="FAILED"}[1d]))', "failed")],
        kind="stat",
    ),
    Panel(
        "Start to end",
        "s",
        quantiles("niyanta_workload_duration_seconds", "workload_type", _OF_ONE),
        "Pauses and retries included",
    ),
    Panel(
        "Run by type",
        "none",
        [
            (
                f"sum by (workload_type) (increase(niyanta_workload_duration_seconds_count{_OF_ONE}[1h]))",
                "{{workload_type}}",
            )
        ],
        "In the hour before",
    ),
    Panel(
        "Refused for the rate limit",
        "reqps",
        [(f"sum(rate(niyanta_rate_limited_requests_total{_OF_ONE}[$__rate_interval]))", "a second")],
    ),
]

WORKERS = [
    Panel("Workers", "none", greatest("niyanta_workers", "status")),
    Panel("Slots", "none", greatest("niyanta_worker_capacity", "kind")),
    Panel(
        "Slots by tag",
        "none",
        [("max by (tag, kind) (niyanta_worker_slots)", "{{tag}} {{kind}}")],
        "NIYANTA_METRICS_TAG",
    ),
    Panel("Taken from workers", "reqps", rate("niyanta_workload_redistributions_total", "reason")),
    Panel(
        "Work lost",
        "s",
        [("sum by (reason) (increase(niyanta_lost_work_seconds_total[$__rate_interval]))", "{{reason}}")],
        "Running time that has to be repeated",
    ),
    Panel(
        "Commands",
        "reqps",
        [
            (
                "sum by (command, outcome) (rate(niyanta_worker_commands_total[$__rate_interval]))",
                "{{command}} {{outcome}}",
            )
        ],
    ),
    Panel(
        "Commands ignored",
        "reqps",
        [("sum(rate(niyanta_worker_commands_ignored_total[$__rate_interval]))", "a second")],
        "From an older leader, or for an earlier life of the worker",
    ),
    Panel("Checkpoints", "reqps", [("sum(rate(niyanta_checkpoint_size_bytes_count[$__rate_interval]))", "a second")]),
    Panel("Size of checkpoints", "bytes", quantiles("niyanta_checkpoint_size_bytes")),
    Panel("Time to save one", "s", quantiles("niyanta_checkpoint_save_duration_seconds")),
]

DASHBOARDS = {
    "operators": ("Niyanta: operators", OPERATORS),
    "customer": ("Niyanta: one customer", CUSTOMER),
    "workers": ("Niyanta: workers", WORKERS),
}


def _panel(panel: Panel, number: int) -> dict[str, Any]:
    options: dict[str, Any] = {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}}
    if panel.kind == "stat":
        options = {"reduceOptions": {"calcs": ["lastNotNull"]}, "textMode": "value_and_name"}
    return {
        "id": number + 1,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.text,
        "datasource": {"type": "prometheus", "uid": "${datasource}"},
        "gridPos": {"x": number * WIDTH % 24, "y": number * WIDTH // 24 * HEIGHT, "w": WIDTH, "h": HEIGHT},
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "options": options,
        "targets": [
            {"refId": chr(ord("A") + index), "expr": query, "legendFormat": legend}
            for index, (query, legend) in enumerate(panel.queries)
        ],
    }


def _variable(name: str, kind: str, query: str, **more: object) -> dict[str, Any]:
    return {"name": name, "label": name, "type": kind, "query": query, "refresh": 2, **more}


def render(name: str) -> str:
    """One dashboard, as Grafana imports it."""
    title, panels = DASHBOARDS[name]
    variables = [_variable("datasource", "datasource", "prometheus")]
    if name == "customer":
        query = "label_values(niyanta_workload_submissions_accepted_total, customer)"
        source = {"type": "prometheus", "uid": "${datasource}"}
        variables.append(_variable("customer", "query", query, datasource=source, sort=1))
    found = {
        "uid": f"niyanta-{name}",
        "title": title,
        "tags": ["niyanta"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {"list": variables},
        "panels": [_panel(panel, number) for number, panel in enumerate(panels)],
    }
    return json.dumps(found, indent=1) + "\n"


def main() -> int:
    TARGET.mkdir(parents=True, exist_ok=True)
    for name in DASHBOARDS:
        (TARGET / f"{name}.json").write_text(render(name), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
