"""Each option that can hold a secret takes it by file, and warns on a command line."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from niyanta.cli.main import COMMANDS, root
from niyanta.cli.secret_options import SecretOption

_TOLD = ("url", "token", "password", "secret", "key")
"""What the name of an option says that may hold one."""
_HARMLESS = {"--url", "--idempotency-key", "--tls-key"}


def commands(command: click.Command, name: str) -> Iterator[tuple[str, click.Command]]:
    yield name, command
    if isinstance(command, click.Group):
        for inner in command.commands.values():
            yield from commands(inner, f"{name} {inner.name}")


def options() -> Iterator[tuple[str, click.Option]]:
    context = click.Context(root)
    for name in COMMANDS:
        found = root.get_command(context, name)
        assert found is not None
        for path, command in commands(found, name):
            for option in command.params:
                if isinstance(option, click.Option) and not option.is_flag:
                    yield path, option


def test_every_option_that_may_hold_a_secret_is_one_of_those() -> None:
    open_ones = [
        f"{path} {longest}"
        for path, option in options()
        if (longest := max(option.opts, key=len)) not in _HARMLESS
        and longest.rpartition("-")[2] in _TOLD
        and not isinstance(option, SecretOption)
    ]
    assert open_ones == []


@click.command()
@click.option("--token", cls=SecretOption, envvar="NIYANTA_X")
def show(token: str | None) -> None:
    click.echo(f"token: {token}")


def test_a_secret_on_a_command_line_warns_without_repeating_it() -> None:
    result = CliRunner().invoke(show, ["--token", "opens"])
    assert result.stdout == "token: opens\n"
    assert "opens" not in result.stderr
    assert "list of processes; give it by NIYANTA_X or NIYANTA_X_FILE" in result.stderr


@pytest.mark.parametrize("words", ["verify-audit", "export-audit --to ."])
def test_the_audit_s_key_is_never_on_a_command_line(words: str) -> None:
    given = ["admin", *words.split(), "--database-url", "postgresql://host/name", "--audit-key", "opens" * 10]
    result = CliRunner().invoke(root, given)
    assert result.exit_code == 2
    assert "opens" not in result.output
    assert "give it by NIYANTA_AUDIT_KEY or NIYANTA_AUDIT_KEY_FILE" in result.output


def test_a_secret_by_environment_or_file_does_not(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("opens\n")
    for environment in ({"NIYANTA_X": "opens"}, {"NIYANTA_X_FILE": str(file)}):
        result = CliRunner(env=environment).invoke(show)
        assert (result.stdout, result.stderr) == ("token: opens\n", "")


@pytest.mark.parametrize("module", ["niyanta.cli.coordinator", "niyanta.cli.doctor"])
def test_an_address_without_a_password_is_none(module: str) -> None:
    command = importlib.import_module(module).command
    found = next(option for option in command.params if option.name == "database_url")
    assert isinstance(found, SecretOption)
    context = click.Context(command)
    with context.scope():
        assert found.consume_value(context, {"database_url": "postgresql://host/name"})[0] == "postgresql://host/name"
