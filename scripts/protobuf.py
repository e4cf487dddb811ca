"""Writes niyanta.wire.v1, the Python form of api/niyanta/v1/workload_service.proto."""

from __future__ import annotations

import tempfile
from importlib import resources
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent.parent
PROTO = "niyanta/v1/workload_service.proto"
PACKAGE = ROOT / "src" / "niyanta" / "wire" / "v1"


def render() -> dict[str, str]:
    """The text of each generated file, by its name."""
    with tempfile.TemporaryDirectory() as folder:
        code = protoc.main(
            [
                "protoc",
                f"-I{ROOT / 'api'}",
                f"-I{resources.files('grpc_tools') / '_proto'}",
                *(f"--{kind}_out={folder}" for kind in ("python", "pyi", "grpc_python")),
                PROTO,
            ]
        )
        if code:
            raise SystemExit(f"protoc could not read api/{PROTO}")
        made = sorted((Path(folder) / PROTO).parent.iterdir())
        # The compiler takes the proto's path for the Python package; ours has another place.
        return {
            path.name: path.read_text(encoding="utf-8").replace(
                "from niyanta.v1 import", "from niyanta.wire.v1 import"
            )
            for path in made
        }


if __name__ == "__main__":
    for name, text in render().items():
        (PACKAGE / name).write_text(text, encoding="utf-8")
