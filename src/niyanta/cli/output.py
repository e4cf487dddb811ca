"""What the commands that are clients of the API share: options, JSON for programs, tables and colours for people."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import click
import msgspec
from rich.console import Console
from rich.table import Table

from niyanta.client import Client

__all__ = ["api_command", "coloured", "echo_json", "json_input", "show_fields", "show_table"]

_COLOURS = {
    "COMPLETED": "green",
    "FAILED": "red",
    "CANCELLED": "yellow",
    "RUNNING": "cyan",
    "PAUSED": "magenta",
    "REDISTRIBUTING": "yellow",
    "HEALTHY": "green",
    "DRAINING": "yellow",
    "DEAD": "red",
}


def api_command(name: str, group: click.Group | None = None) -> Callable[[Callable[..., Any]], click.Command]:
    """Make a command whose function gets a `Client` and whether to print JSON; it may return an exit code."""

    def make(function: Callable[..., Any]) -> click.Command:
        @functools.wraps(function)
        def run(url: str | None, api_key: str | None, as_json: bool, **options: object) -> None:
            with Client(api_key, url) as client:
                code = function(client, as_json, **options)
            if code:
                sys.exit(code)

        decorated = click.option("--json", "as_json", is_flag=True, help="JSON for programs.")(run)
        decorated = click.option("--api-key", envvar="NIYANTA_API_KEY", help="nyt_…")(decorated)
        decorated = click.option("--url", envvar="NIYANTA_URL", help="Where the service is.")(decorated)
        command = click.command(name)(decorated)
        if group is not None:
            group.add_command(command)
        return command

    return make


def echo_json(value: object) -> None:
    """One JSON value on one line."""
    click.echo(json.dumps(msgspec.to_builtins(value)))


def coloured(status: str | None) -> str:
    """A status in its colour, for rich."""
    colour = _COLOURS.get(status or "")
    return f"[{colour}]{status}[/{colour}]" if colour else status or ""


def show_fields(value: object, as_json: bool) -> None:
    """One object: JSON, or a line for each field that says something."""
    if as_json:
        echo_json(value)
        return
    table = Table(show_header=False, box=None)
    for name, field in msgspec.to_builtins(value).items():
        if field in (None, {}, [], ""):
            continue
        text = coloured(field) if name == "status" else _plain(field)
        table.add_row(name, text)
    Console().print(table)


def _plain(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False) if isinstance(value, (dict, list)) else str(value)
    return text.replace("[", r"\[")


def show_table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """A table for people; an empty one says so."""
    texts = [["" if cell is None else str(cell) for cell in row] for row in rows]
    table = Table(*columns)
    # The first column is what one copies: it is never cut, however narrow the terminal.
    table.columns[0].no_wrap = True
    table.columns[0].min_width = max((len(text[0]) for text in texts), default=0)
    for text in texts:
        table.add_row(*text)
    if table.row_count:
        Console().print(table)
    else:
        click.echo("none")


def json_input(text: str | None, option: str) -> dict[str, Any] | None:
    """A JSON object given as text, ``@file``, or ``@-`` for standard input; None when it wasn't given.

    Raises:
        click.BadParameter: Not a JSON object.
    """
    if text is None:
        return None
    try:
        raw = text
        if text == "@-":
            raw = sys.stdin.read()
        elif text.startswith("@"):
            raw = Path(text[1:]).read_text(encoding="utf-8")
        value = json.loads(raw)
    except (OSError, ValueError) as exc:
        raise click.BadParameter(f"not JSON: {exc}", param_hint=option) from exc
    if not isinstance(value, dict):
        raise click.BadParameter("must be a JSON object", param_hint=option)
    return value
