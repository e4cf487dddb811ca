"""What the standard settings of OpenTelemetry ask for."""

from __future__ import annotations

import subprocess
import sys

import pytest

from niyanta.telemetry.settings import metric_interval_seconds, names_service, wanted_signals

_ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [
        ({}, set()),
        ({"OTEL_SERVICE_NAME": "shop"}, set()),
        (_ENDPOINT, {"traces", "metrics", "logs"}),
        ({**_ENDPOINT, "OTEL_METRICS_EXPORTER": "none"}, {"traces", "logs"}),
        ({**_ENDPOINT, "OTEL_SDK_DISABLED": "True"}, set()),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, {"traces"}),
        ({"OTEL_TRACES_EXPORTER": "none"}, set()),
        ({"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "http://collector:4318/v1/logs"}, {"logs"}),
        ({**_ENDPOINT, "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, {"traces", "metrics", "logs"}),
    ],
)
def test_which_signals(environment: dict[str, str], wanted: set[str]) -> None:
    found = wanted_signals(environment)
    assert {name for name in ("traces", "metrics", "logs") if getattr(found, name)} == wanted
    assert found.problems == ()


def test_what_can_not_be_had_is_said_and_the_rest_is_done() -> None:
    found = wanted_signals(
        {
            **_ENDPOINT,
            "OTEL_TRACES_EXPORTER": "zipkin",
            "OTEL_METRICS_EXPORTER": "prometheus,otlp",
            "OTEL_EXPORTER_OTLP_LOGS_PROTOCOL": "grpc",
        }
    )
    assert (found.traces, found.metrics, found.logs) == (False, True, False)
    assert found.problems == (
        "OTEL_TRACES_EXPORTER can be otlp or none, not zipkin",
        "OTEL_METRICS_EXPORTER can be otlp or none, not prometheus",
        "logs are exported over http/protobuf only, not grpc",
    )


@pytest.mark.parametrize(
    ("said", "seconds"), [("", 60.0), ("5000", 5.0), ("1", 0.1), ("soon", 60.0), ("-5", 60.0), ("٣", 60.0)]
)
def test_how_often_metrics_leave(said: str, seconds: float) -> None:
    assert metric_interval_seconds({"OTEL_METRIC_EXPORT_INTERVAL": said}) == seconds


def test_what_the_settings_say_of_the_sender() -> None:
    assert names_service({}) == set()
    said = {"OTEL_SERVICE_NAME": "shop", "OTEL_RESOURCE_ATTRIBUTES": "a=1, service.instance.id=2"}
    assert names_service(said) == {"service.name", "a", "service.instance.id"}


def test_the_programs_import_nothing_of_it() -> None:
    code = (
        "import sys, niyanta.client, niyanta.server.wiring, niyanta.server.coordinator, niyanta.worker.program,"
        " niyanta.worker.runner.template; print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert [name for name in done.stdout.split() if name.startswith("opentelemetry")] == []
