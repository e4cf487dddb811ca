"""What is in ``deploy`` fits the product: metrics that there are, sections for alerts, versions, generated pages."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml

from niyanta import __version__
from niyanta.server.observability.metrics import Metrics

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "deploy" / "helm" / "niyanta"
_NAME = re.compile(r"\b(?:niyanta|process)_[a-z0-9_]+")


def _script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _alerts() -> list[dict[str, Any]]:
    groups = yaml.safe_load((CHART / "files" / "alerts.yaml").read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def _expressions() -> Iterator[tuple[str, str]]:
    """What is asked of Prometheus, with where."""
    for alert in _alerts():
        yield alert["alert"], alert["expr"]
    for page in sorted((CHART / "files" / "dashboards").glob("*.json")):
        found = json.loads(page.read_text(encoding="utf-8"))
        for panel in found["panels"]:
            for target in panel["targets"]:
                yield f"{page.name}: {panel['title']}", target["expr"]
        for variable in found["templating"]["list"]:
            yield f"{page.name}: {variable['name']}", variable["query"]
    yield "autoscaling", (CHART / "templates" / "monitoring.yaml").read_text(encoding="utf-8")


def _exported() -> set[str]:
    """The names of all samples that there can be."""
    ends = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum")}
    return {family.name + end for family in Metrics().registry.collect() for end in ends.get(family.type, ("",))}


def test_every_metric_that_is_asked_for_is_exported() -> None:
    exported = _exported()
    unknown = [
        f"{where}: {name}" for where, text in _expressions() for name in _NAME.findall(text) if name not in exported
    ]
    assert unknown == []


def test_every_dashboard_and_alert_asks_for_something() -> None:
    asked = {name for _, text in _expressions() for name in _NAME.findall(text)}
    assert len(asked) > 15


def test_each_alert_has_a_section_that_says_what_to_do() -> None:
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    sections = re.findall(r"^### (Niyanta\w+)$", page, re.MULTILINE)
    names = [alert["alert"] for alert in _alerts()]
    assert sections == names
    for alert in _alerts():
        assert alert["labels"]["severity"] in ("critical", "warning")
        anchor = f"https://docs.niyanta.example.com/operations#{alert['alert'].lower()}"
        assert alert["annotations"]["runbook_url"] == anchor


def test_the_dashboards_are_what_their_script_says() -> None:
    script = _script("dashboards")
    for name in script.DASHBOARDS:
        assert (script.TARGET / f"{name}.json").read_text(encoding="utf-8") == script.render(name)
    assert len(list(script.TARGET.glob("*.json"))) == len(script.DASHBOARDS)


def test_one_version_everywhere() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    go = re.search(r'^const Version = "(.+)"$', (ROOT / "sdk" / "go" / "client.go").read_text(), re.MULTILINE)
    assert go is not None
    assert [chart["version"], chart["appVersion"], go[1]] == [__version__] * 3
