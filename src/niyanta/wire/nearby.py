"""What ``niyanta dev`` leaves for programs on its machine: the nearest ``.niyanta/credentials.json`` above here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

__all__ = ["dev_credentials"]


def dev_credentials() -> dict[str, Any]:
    """Its content, by name; nothing where there is none, or none that can be read."""
    here = Path.cwd()
    for folder in (here, *here.parents):
        path = folder / ".niyanta" / "credentials.json"
        try:
            return dict(json.loads(path.read_text()))
        except (OSError, ValueError):
            continue
    return {}
