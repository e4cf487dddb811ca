"""Lists of what is inside, in CycloneDX's JSON (version 1.6): the same for the same lock file and commit."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from supply.licences import Licences
from supply.packages import ROOT, Package

__all__ = ["console_components", "document"]

# Tells the makers of Swagger UI who installs it. It isn't run here, and nothing of it is in any file.
_NOT_BUILT_IN = frozenset({"@scarf/scarf"})


def document(
    packages: Mapping[str, Package],
    licences: Licences,
    *,
    kind: str,
    at: str,
    others: Sequence[dict[str, Any]] = (),
) -> dict[str, Any]:
    """The list of a thing that is built.

    Args:
        packages: Niyanta and all that it needs.
        licences: How to read theirs.
        kind: ``application`` for what is installed, ``container`` for an image.
        at: Time of the commit, RFC 3339.
        others: Components that are no Python packages.
    """
    own = packages["niyanta"]
    components = [_component(package, licences) for package in packages.values() if package is not own] + list(others)
    body = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "timestamp": at,
            "tools": {"components": [{"type": "application", "name": "niyanta-supply", "version": own.version}]},
            "component": {**_component(own, licences), "type": kind},
        },
        "components": components,
        "dependencies": [
            *(
                {"ref": package.purl, "dependsOn": sorted(packages[name].purl for name in package.requires)}
                for package in packages.values()
            ),
            *({"ref": other["bom-ref"], "dependsOn": []} for other in others),
        ],
    }
    serial = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(body, sort_keys=True))
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "serialNumber": f"urn:uuid:{serial}",
        **body,
    }


def _component(package: Package, licences: Licences) -> dict[str, Any]:
    expression = licences.of(package)
    return {
        "type": "library",
        "bom-ref": package.purl,
        "name": package.name,
        "version": package.version,
        "purl": package.purl,
        **({"licenses": [{"expression": expression}]} if licences.allows(expression) else {}),
    }


def console_components() -> list[dict[str, Any]]:
    """What is built into the files for browsers, which the wheel holds."""
    lock = json.loads((ROOT / "console" / "package-lock.json").read_text())
    return [
        {
            "type": "library",
            "bom-ref": purl,
            "name": name,
            "version": entry["version"],
            "purl": purl,
            "licenses": [{"expression": entry["license"]}],
        }
        for path, entry in sorted(lock["packages"].items())
        if path and not entry.get("dev") and not entry.get("optional") and not entry.get("peer")
        for name in [path.rpartition("node_modules/")[2]]
        if name not in _NOT_BUILT_IN
        for purl in [f"pkg:npm/{name.replace('@', '%40')}@{entry['version']}"]
    ]
