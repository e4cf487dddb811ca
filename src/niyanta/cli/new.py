"""``niyanta new``: a worker to begin with, and its test."""

from __future__ import annotations

import keyword
from importlib.resources import files
from pathlib import Path

import click

__all__ = ["command"]

_FOLDER = files("niyanta.cli") / "templates"


@click.command("new")
@click.argument("name")
@click.option(
    "--folder",
    default=Path(),
    help="Where to write; here when not given.",
    type=click.Path(file_okay=False, exists=True, path_type=Path),
)
def command(name: str, folder: Path) -> None:
    """Write a worker, NAME.py, and its test, test_NAME.py."""
    if not name.isidentifier() or not name.isascii() or keyword.iskeyword(name):
        raise click.BadParameter(f"'{name}' can't name a Python module; letters, digits and _ can", param_hint="NAME")
    texts = {
        folder / target: (_FOLDER / template).read_text(encoding="utf-8").replace("NAME", name)
        for target, template in ((f"{name}.py", "worker.py.txt"), (f"test_{name}.py", "test_worker.py.txt"))
    }
    for path in texts:
        if path.exists():
            raise click.ClickException(f"{path} is there already")
    for path, text in texts.items():
        path.write_text(text, encoding="utf-8")
    click.echo(f"{' and '.join(str(path) for path in texts)} are written. Next:")
    click.echo(f"  niyanta dev --app {name}:worker --reload     the whole system, with this worker")
    click.echo(f"  niyanta submit {name} --wait                 in another terminal")
    click.echo(f"  python -m pytest test_{name}.py              its test (pip install pytest)")
