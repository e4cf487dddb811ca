"""What the standard ``OTEL_…`` settings ask for. Imports nothing of OpenTelemetry."""

from __future__ import annotations

import importlib.util
import logging
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

__all__ = ["Signals", "metric_interval_seconds", "names_service", "wanted_signals"]

log = logging.getLogger(__name__)

_ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
_PROTOCOL = "http/protobuf"
_INTERVAL_SECONDS = 60.0
_LEAST_INTERVAL_SECONDS = 0.1


@dataclass(frozen=True)
class Signals:
    """Which signals are to be exported."""

    traces: bool = False
    metrics: bool = False
    logs: bool = False
    problems: tuple[str, ...] = ()
    """What was asked for and can't be had, in words; the rest is done all the same."""

    @property
    def is_anything(self) -> bool:
        """Whether OpenTelemetry is needed at all."""
        return self.traces or self.metrics or self.logs

    def complain(self) -> None:
        """Log what can't be had."""
        for problem in self.problems:
            log.warning("telemetry.not_possible", extra={"problem": problem})


def wanted_signals(environment: Mapping[str, str] = os.environ) -> Signals:
    """Read the settings.

    A signal is exported when its ``OTEL_…_EXPORTER`` says ``otlp``, or doesn't say anything while an endpoint is set.
    """
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return Signals()
    problems: list[str] = []
    asked = {signal for signal in ("traces", "metrics", "logs") if _asks(signal, environment, problems)}
    if asked and not _is_installed():
        problems.append("OTEL_… settings are there, but not the packages: pip install 'niyanta[otel]'")
        asked = set()
    return Signals("traces" in asked, "metrics" in asked, "logs" in asked, tuple(problems))


def metric_interval_seconds(environment: Mapping[str, str] = os.environ) -> float:
    """How long from one export of metrics to the next: ``OTEL_METRIC_EXPORT_INTERVAL``, in milliseconds."""
    said = environment.get("OTEL_METRIC_EXPORT_INTERVAL", "").strip()
    return max(_LEAST_INTERVAL_SECONDS, int(said) / 1000) if said.isascii() and said.isdigit() else _INTERVAL_SECONDS


def names_service(environment: Mapping[str, str] = os.environ) -> set[str]:
    """Which attributes of the resource the settings give."""
    said = environment.get("OTEL_RESOURCE_ATTRIBUTES", "")
    names = {entry.partition("=")[0].strip() for entry in said.split(",") if entry}
    return names | ({"service.name"} if environment.get("OTEL_SERVICE_NAME") else set())


def _asks(signal: str, environment: Mapping[str, str], problems: list[str]) -> bool:
    name = f"OTEL_{signal.upper()}_EXPORTER"
    own_endpoint = f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT"
    exporters = set(_words(environment.get(name, "")))
    if not exporters and (environment.get(_ENDPOINT) or environment.get(own_endpoint)):
        exporters = {"otlp"}
    if unknown := exporters - {"otlp", "none"}:
        problems.append(f"{name} can be otlp or none, not {', '.join(sorted(unknown))}")
    if "otlp" not in exporters:
        return False
    own_protocol = f"OTEL_EXPORTER_OTLP_{signal.upper()}_PROTOCOL"
    protocol = environment.get(own_protocol) or environment.get("OTEL_EXPORTER_OTLP_PROTOCOL") or _PROTOCOL
    if protocol.strip() != _PROTOCOL:
        problems.append(f"{signal} are exported over {_PROTOCOL} only, not {protocol}")
        return False
    return True


def _words(text: str) -> Iterator[str]:
    return filter(None, (word.strip().lower() for word in text.split(",")))


def _is_installed() -> bool:
    try:
        return importlib.util.find_spec("opentelemetry.exporter.otlp.proto.http") is not None
    except ModuleNotFoundError:
        return False
