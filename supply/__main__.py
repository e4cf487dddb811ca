"""``python -m supply``: checks advisories and licences, and writes lists and provenance to ``dist/supply``.

``python -m supply renew`` takes a new snapshot of Go's advisories instead, with the path of a clone of the Python
database one of those, and with ``--index`` and the root of a package index what that says of the locked versions.
"""

from __future__ import annotations

import argparse
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from supply.advisories import GO, PYTHON, Snapshot, read_database, read_go_database
from supply.go_modules import fetched, required
from supply.index import FILE as INDEX_ANSWERS
from supply.index import Answers, ask
from supply.licences import Licences
from supply.packages import ROOT, Package, locked, needed_by
from supply.provenance import commit, sign, statement
from supply.sbom import console_components, document

__all__ = ["main"]

_OUT = ROOT / "dist" / "supply"
_OLD_DAYS = 90
IMAGE_EXTRAS = ("server",)


def _check(licences: Licences, everything: dict[str, Package]) -> list[str]:
    problems = [f"licence not allowed: {each}" for each in licences.refused(everything.values())]
    for database, pinned in ((PYTHON, locked()), (GO, required())):
        snapshot = Snapshot.load(database)
        problems += [f"known weakness: {each}" for each in snapshot.affecting(pinned)]
        print(f"{len(pinned)} packages of {database.ecosystem} against {_known(snapshot)}")
        age = snapshot.age_days(datetime.now(UTC))
        if age > _OLD_DAYS:
            print(f"  This snapshot is {age} days old, and knows nothing newer: {database.renewal}")
        if unknown := snapshot.unknown(pinned):
            problems.append(f"nothing is known of {', '.join(unknown)}: {database.renewal}")
    return problems + _check_index()


def _check_index() -> list[str]:
    answers, pinned = Answers.load(), locked()
    unknown = answers.unknown(pinned)
    told = len(answers.weaknesses)
    print(f"{told} locked versions of {PYTHON.ecosystem} as the index knew them on {answers.taken_at:%Y-%m-%d}")
    if unknown:
        print(f"  It told nothing of {', '.join(unknown)}: make advisories INDEX=<root of the index>")
    return [f"known weakness: {each}" for each in answers.affecting(pinned)]


def _known(snapshot: Snapshot) -> str:
    return f"{len(snapshot.advisories)} advisories as of {snapshot.taken_at:%Y-%m-%d} ({snapshot.database.name})"


def _renew(clone: Path | None, index: str) -> None:
    taken = [read_go_database(fetched(), required())]
    if clone is not None:
        taken.append(read_database(clone, locked()))
    for snapshot in taken:
        snapshot.save()
        print(_known(snapshot))
    if index:
        answers = ask(index, locked())
        answers.save()
        print(f"{len(answers.weaknesses)} locked versions as the index knows them")


def _write(name: str, content: dict[str, Any] | str) -> Path:
    path = _OUT / name
    path.write_text(content if isinstance(content, str) else json.dumps(content, indent=2) + "\n")
    print(path.relative_to(ROOT))
    return path


def _make(licences: Licences, everything: dict[str, Package], key: Path | None) -> None:
    _OUT.mkdir(parents=True, exist_ok=True)
    at = commit()[1]
    console = console_components()
    image = needed_by(IMAGE_EXTRAS)
    used = needed_by(("all",))
    written = [
        _write("niyanta-wheel.cdx.json", document(used, licences, kind="application", at=at, others=console)),
        _write(
            "niyanta-image.cdx.json",
            document(image, licences, kind="container", at=at, others=[*console, _base_image()]),
        ),
        _write(
            "licences.txt",
            "".join(f"{p.name} {p.version}: {licences.of(p)}\n" for p in everything.values() if p.name != "niyanta"),
        ),
    ]
    packages = [*(ROOT / "dist").glob("*.whl"), *(ROOT / "dist").glob("*.tar.gz")]
    if not packages:
        print("dist holds no packages: the provenance is of the lists only (make package first)")
    provenance = _write("provenance.json", statement([*packages, *written], [PYTHON.file, GO.file, INDEX_ANSWERS]))
    if key is not None:
        print(sign(provenance, key).relative_to(ROOT))


def _base_image() -> dict[str, Any]:
    """The image that ours is built on. What is in it, its own maker says."""
    text = (ROOT / "deploy" / "Containerfile").read_text()
    name, _, tag = text.partition("ARG PYTHON_IMAGE=")[2].split()[0].rpartition(":")
    return {"type": "container", "bom-ref": f"image:{name}:{tag}", "name": name, "version": tag}


def main() -> int:
    """Do what was asked for; 1 when something isn't as it must be."""
    parser = argparse.ArgumentParser(prog="python -m supply")
    parser.add_argument("--key", type=Path, help="an SSH key that signs the provenance off")
    parser.add_argument("renew", nargs="*", metavar="renew [PATH]", help="take advisories anew")
    parser.add_argument("--index", default="", metavar="URL", help="with renew: the root of a package index to ask")
    arguments = parser.parse_args()
    if arguments.renew:
        if len(arguments.renew) > 2 or arguments.renew[0] != "renew":
            parser.error("say: renew, or renew PATH")
        _renew(Path(arguments.renew[1]) if len(arguments.renew) == 2 else None, arguments.index)
        return 0
    licences, everything = Licences.load(), needed_by(("dev",))
    if problems := _check(licences, everything):
        print("\n".join(problems), file=sys.stderr)
        return 1
    _make(licences, everything, arguments.key)
    return 0


if __name__ == "__main__":
    sys.exit(main())
