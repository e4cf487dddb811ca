"""Keeps a release's code as it is, for the tests of the next one: ``tests/fixtures/previous_release.zip``.

Those tests run it beside the current code, on the same database and broker, as an upgrade without a pause does. It is
run when a release has been made, so that the next one is tested against it. The same code gives the same bytes.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "tests" / "fixtures" / "previous_release.zip"
SOURCE = ROOT / "src"
# What neither a coordinator nor a worker needs.
LEFT_OUT = ("niyanta/examples/", "niyanta/testing/")


def freeze() -> None:
    TARGET.parent.mkdir(exist_ok=True)
    with zipfile.ZipFile(TARGET, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for path in sorted(SOURCE.rglob("*")):
            name = path.relative_to(SOURCE).as_posix()
            if path.is_file() and "__pycache__" not in path.parts and not name.startswith(LEFT_OUT):
                entry = zipfile.ZipInfo(name)
                entry.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(entry, path.read_bytes())
    print(f"{TARGET.relative_to(ROOT)}: {TARGET.stat().st_size // 1024} KiB")


if __name__ == "__main__":
    freeze()
