"""Writes what is generated from the files in api/niyanta/v1: niyanta.wire.v1, and sdk/go/grpc/niyantav1."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from importlib import resources
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent.parent
FOLDER = Path("niyanta/v1")
PROTOS = sorted(str(FOLDER / path.name) for path in (ROOT / "api" / FOLDER).glob("*.proto"))
PACKAGE = ROOT / "src" / "niyanta" / "wire" / "v1"
GO_MODULE = "github.com/niyanta/niyanta-go-sdk/grpc"
GO_PACKAGE = ROOT / "sdk" / "go" / "grpc" / "niyantav1"
GO_GENERATORS = (
    "google.golang.org/protobuf/cmd/protoc-gen-go@v1.36.10",
    "google.golang.org/grpc/cmd/protoc-gen-go-grpc@v1.5.1",
)


def _compile(*options: str) -> None:
    code = protoc.main(
        [
            "protoc",
            f"-I{ROOT / 'api'}",
            f"-I{resources.files('grpc_tools') / '_proto'}",
            *options,
            *PROTOS,
        ]
    )
    if code:
        raise SystemExit(f"protoc could not read {', '.join(PROTOS)} in api")


def _texts(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text(encoding="utf-8") for path in sorted(folder.iterdir())}


def render() -> dict[str, str]:
    """The text of each generated Python file, by its name."""
    with tempfile.TemporaryDirectory() as folder:
        _compile(*(f"--{kind}_out={folder}" for kind in ("python", "pyi", "grpc_python")))
        # The compiler takes a proto's path for the Python package; ours has another place.
        return {
            name: text.replace("from niyanta.v1 import", "from niyanta.wire.v1 import")
            for name, text in _texts(Path(folder) / FOLDER).items()
        }


def render_go() -> dict[str, str]:
    """The text of each generated Go file, by its name. Needs ``go``."""
    with tempfile.TemporaryDirectory() as folder:
        for generator in GO_GENERATORS:
            subprocess.run(["go", "install", generator], env={**os.environ, "GOBIN": folder}, check=True)
        made = Path(folder) / "made"
        made.mkdir()
        for name in ("go", "go-grpc"):
            _compile(
                f"--plugin=protoc-gen-{name}={folder}/protoc-gen-{name}",
                f"--{name}_out={made}",
                f"--{name}_opt=module={GO_MODULE}",
            )
        return _texts(made / GO_PACKAGE.name)


def _write(package: Path, texts: dict[str, str]) -> None:
    package.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (package / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    _write(PACKAGE, render())
    if shutil.which("go"):
        _write(GO_PACKAGE, render_go())
    else:
        print("go isn't on PATH: sdk/go/grpc was left as it is.")
