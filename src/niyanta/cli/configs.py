"""``niyanta configs``: the settings of workload types."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypedDict, TypeVar, Unpack

import click

from niyanta.cli.output import api_command, echo_json, json_input, show_fields, show_table
from niyanta.cli.table import Column
from niyanta.client import Client

__all__ = ["command"]


@click.group("configs")
def command() -> None:
    """Set workload types up."""


F = TypeVar("F", bound=Callable[..., object])


class _Settings(TypedDict):
    """What the options below give; None where one is left out."""

    description: str | None
    config_json: str | None
    cpu_cores: float | None
    memory_mb: int | None
    disk_mb: int | None
    checkpoint_interval_sec: int | None
    max_retries: int | None
    timeout_seconds: int | None
    input_schema: str | None


def _settings(function: F) -> F:
    for option in (
        click.option("--input-schema", help="JSON Schema of the input: JSON, @file or @-."),
        click.option("--timeout", "timeout_seconds", type=click.IntRange(1), help="Seconds for one attempt."),
        click.option("--max-retries", type=click.IntRange(0), help="Attempts that may fail by themselves."),
        click.option("--checkpoint-interval", "checkpoint_interval_sec", type=click.IntRange(1), help="Seconds."),
        click.option("--disk-mb", type=click.IntRange(1), help="Of the work directory."),
        click.option("--memory-mb", type=click.IntRange(1), help="Of all processes of an attempt."),
        click.option("--cpu-cores", type=click.FloatRange(0, min_open=True), help="As in 0.5 or 2."),
        click.option("--config", "config_json", help="What handlers see as ctx.config: JSON, @file or @-."),
        click.option("--description", help="For people."),
    ):
        function = option(function)
    return function


def _fields(given: _Settings) -> dict[str, Any]:
    limits = {"cpu_cores": given["cpu_cores"], "memory_mb": given["memory_mb"], "disk_mb": given["disk_mb"]}
    limits = {name: value for name, value in limits.items() if value is not None}
    return {
        "description": given["description"],
        "checkpoint_interval_sec": given["checkpoint_interval_sec"],
        "max_retries": given["max_retries"],
        "timeout_seconds": given["timeout_seconds"],
        "resource_limits": limits or None,
        "config_json": json_input(given["config_json"], "--config"),
        "input_schema": json_input(given["input_schema"], "--input-schema"),
    }


def _create(client: Client, as_json: bool, workload_type: str, **options: Unpack[_Settings]) -> None:
    """Set a workload type up."""
    show_fields(client.configs.create(workload_type, **_fields(options)), as_json)


def _update(client: Client, as_json: bool, config_id: str, **options: Unpack[_Settings]) -> None:
    """Change what is given; running workloads keep what they began with."""
    show_fields(client.configs.update(config_id, **_fields(options)), as_json)


api_command("create", command)(click.argument("workload_type")(_settings(_create)))
api_command("update", command)(click.argument("config_id")(_settings(_update)))


def _list(client: Client, as_json: bool) -> None:
    """All workload types that are set up."""
    configs = client.configs.list()
    if as_json:
        echo_json({"configs": configs})
        return
    show_table(
        (
            "config",
            "type",
            Column("retries", right=True),
            Column("time-out", right=True),
            Column("memory MB", right=True),
            Column("description", folds=True),
        ),
        (
            (
                c.id,
                c.workload_type,
                c.max_retries,
                c.timeout_seconds,
                c.resource_limits.memory_mb if c.resource_limits else None,
                c.description,
            )
            for c in configs
        ),
    )


def _get(client: Client, as_json: bool, config_id: str) -> None:
    """Show one."""
    show_fields(client.configs.get(config_id), as_json)


def _delete(client: Client, as_json: bool, config_id: str) -> None:
    """Remove one; refused while workloads of its type exist."""
    client.configs.delete(config_id)
    if as_json:
        echo_json({"config_id": config_id, "deleted": True})
    else:
        click.echo(f"{config_id} deleted")


api_command("list", command)(_list)
api_command("get", command)(click.argument("config_id")(_get))
api_command("delete", command)(click.argument("config_id")(_delete))
