"""What the commands that are clients of the API share: options, JSON for programs, tables and colours for people."""

from __future__ import annotations

import functools
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import msgspec

from niyanta.cli.secret_options import SecretOption
from niyanta.cli.table import Column, render
from niyanta.client import Client
from niyanta.domain.records import LogLevel
from niyanta.domain.workers import WorkerStatus

__all__ = [
    "api_command",
    "coloured",
    "echo",
    "echo_json",
    "in_colour_of",
    "json_input",
    "json_object",
    "marked_up",
    "moment",
    "plain",
    "read_text",
    "show_fields",
    "show_table",
]

_COLOURS = {
    "COMPLETED": "green",
    "FAILED": "red",
    "CANCELLED": "yellow",
    "RUNNING": "cyan",
    "PAUSED": "magenta",
    "REDISTRIBUTING": "yellow",
    WorkerStatus.HEALTHY: "green",
    WorkerStatus.DRAINING: "yellow",
    WorkerStatus.DEAD: "red",
    LogLevel.ERROR: "red",
    LogLevel.WARN: "yellow",
}
_RETRIES = 2  # a person waits
_DEV = "that of `niyanta dev` in this folder when not given."
_SHARED: tuple[Callable[[Callable[..., Any]], Callable[..., Any]], ...] = (
    click.option("--json", "as_json", is_flag=True, envvar="NIYANTA_JSON", help="JSON: an object, or one a line."),
    click.option("--api-key", cls=SecretOption, envvar="NIYANTA_API_KEY", help=f"nyt_…; {_DEV}"),
    click.option("--url", envvar="NIYANTA_URL", help=f"As in http://localhost:8080; {_DEV}"),
)


def api_command(name: str, group: click.Group | None = None) -> Callable[[Callable[..., Any]], click.Command]:
    """Make a command whose function gets a `Client` and whether to print JSON; it may return an exit code."""

    def make(function: Callable[..., Any]) -> click.Command:
        @functools.wraps(function)
        def run(url: str | None, api_key: str | None, as_json: bool, **options: object) -> None:
            with Client(api_key, url, max_retries=_RETRIES) as client:
                code = function(client, as_json, **options)
            if code:
                sys.exit(code)

        decorated: Callable[..., Any] = run
        for option in _SHARED:
            decorated = option(decorated)
        command = click.command(name)(decorated)
        if group is not None:
            group.add_command(command)
        return command

    return make


def echo(text: str) -> None:
    """Print for people: colours only where they are seen and wanted (``NO_COLOR``, https://no-color.org)."""
    click.echo(text, color=False if os.environ.get("NO_COLOR") else None)


def plain(value: object) -> Any:  # Any: what json takes
    """A value as JSON shows it: what an answer doesn't carry is left out, times have milliseconds.

    A structure gives a dict without the fields that are None; a list of them, such dicts.
    """
    if isinstance(value, msgspec.Struct):
        named = ((name, getattr(value, name)) for name in value.__struct_fields__)
        return {name: plain(field) for name, field in named if field is not None}
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.{value.microsecond // 1000:03d}Z"
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value if isinstance(value, (str, int, float, type(None))) else msgspec.to_builtins(value)


def echo_json(value: object) -> None:
    """One JSON value on one line."""
    click.echo(json.dumps(plain(value)))


def moment(at: datetime | None, *, day: bool = True) -> str:
    """A time for people, UTC, with milliseconds as everywhere; nothing for None."""
    if at is None:
        return ""
    text = f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}.{at.microsecond // 1000:03d}"
    return text if day else text.partition(" ")[2]


def coloured(status: str | None) -> str:
    """A status or level in its colour."""
    return in_colour_of(status, status or "")


def in_colour_of(status: str | None, text: str) -> str:
    """A text in the colour of a status or level."""
    colour = _COLOURS.get(status or "")
    return click.style(text, fg=colour) if colour else text


def marked_up(status: str | None) -> str:
    """The same for rich."""
    colour = _COLOURS.get(status or "")
    return f"[{colour}]{status}[/]" if colour else str(status or "")


def show_fields(value: object, as_json: bool) -> None:
    """One object: JSON, or a line for each field that says something; JSON only for what customers have given."""
    if as_json:
        echo_json(value)
        return
    fields = {name: field for name, field in _fields(value) if field not in (None, {}, [], "")}
    wide = max(map(len, fields), default=0)
    for name, field in fields.items():
        text = json.dumps(field, ensure_ascii=False) if isinstance(field, (dict, list)) else str(field)
        echo(f"{click.style(name.ljust(wide), dim=True)}  {coloured(text) if name == 'status' else text}")


def _fields(value: object, above: str = "") -> Iterator[tuple[str, Any]]:
    """The fields by name; those of a structure within by both names."""
    if not isinstance(value, msgspec.Struct):
        yield from plain(value).items()
        return
    for name in value.__struct_fields__:
        field = getattr(value, name)
        if isinstance(field, msgspec.Struct):
            yield from _fields(field, f"{above}{name}.")
        else:
            yield f"{above}{name}", plain(field)


def show_table(columns: Sequence[Column | str], rows: Iterable[Sequence[Any]]) -> None:
    """A table for people; an empty one says so."""
    texts = [["" if cell is None else str(cell) for cell in row] for row in rows]
    if texts:
        echo(render([Column(c) if isinstance(c, str) else c for c in columns], texts))
    else:
        click.echo("none")


def json_input(text: str | None, option: str) -> dict[str, Any] | None:
    """A JSON object given as text, ``@file``, or ``@-`` for standard input; None when it wasn't given.

    Raises:
        click.BadParameter: Not a JSON object.
    """
    if text is None:
        return None
    return json_object(read_text(text[1:], option) if text.startswith("@") else text, option)


def read_text(path: str, option: str) -> str:
    """What a file holds; ``-`` is standard input.

    Raises:
        click.BadParameter: It can't be read, or isn't UTF-8.
    """
    try:
        raw = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
        return raw.decode("utf-8-sig")
    except OSError as exc:
        raise click.BadParameter(f"{path} can't be read: {exc.strerror or exc}", param_hint=option) from exc
    except UnicodeDecodeError as exc:
        where = "standard input" if path == "-" else path
        words = f"{where} isn't UTF-8: byte {exc.start} is 0x{exc.object[exc.start]:02x}"
        raise click.BadParameter(words, param_hint=option) from exc


def json_object(text: str, option: str) -> dict[str, Any]:
    """A JSON object, as the service will take it: nothing of it is silently another.

    Raises:
        click.BadParameter: It is none.
    """
    try:
        value = json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_without_doubles)
    except RecursionError as exc:
        raise click.BadParameter("not JSON that the service takes: nested too deeply", param_hint=option) from exc
    except ValueError as exc:
        raise click.BadParameter(f"not JSON: {exc}", param_hint=option) from exc
    if not isinstance(value, dict):
        raise click.BadParameter("must be a JSON object", param_hint=option)
    return value


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON value")


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"the name {name!r} comes twice in an object")
        found[name] = value
    return found
