"""The commands of ``niyanta admin`` for join tokens and the broker."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import click

from niyanta.cli.administering import (
    all_pages,
    changing,
    database_option,
    json_option,
    plain_struct,
    show,
    with_database,
)
from niyanta.cli.output import moment, show_table
from niyanta.cli.table import Column
from niyanta.cli.tags import parse_tags
from niyanta.cli.times import parse_duration
from niyanta.server.fleet.broker_keys import BrokerKeys
from niyanta.server.services.joining import JoinTokenService
from niyanta.server.store.database import Database
from niyanta.server.store.join_tokens import JoinTokenStore, StoredJoinToken

__all__ = ["COMMANDS"]

_FILE = click.Path(dir_okay=False, path_type=Path)


def _service(database: Database) -> JoinTokenService:
    return JoinTokenService(JoinTokenStore(database))


def _each(given: Iterable[str]) -> list[str]:
    """The values of an option that may be repeated and holds commas."""
    return [part.strip() for value in given for part in value.split(",") if part.strip()]


@click.command("create-join-token")
@click.option("--name", default="command line", show_default=True, help="For people.")
@click.option("--worker-pattern", default="*", show_default=True, help="What the workers' ids look like: gpu-*.")
@click.option("--type", "types", multiple=True, help="All that they may serve; every type when missing.")
@click.option("--tags", multiple=True, help="key=value,…: all that they may have; any when missing.")
@click.option(
    "--customers", multiple=True, help="cust_…,…: the only ones whose workloads they get; all when missing."
)
@click.option("--expires-in", help="90s, 15m, 12h, 90d; never when missing.")
@click.option("--output", type=_FILE, help="Write it there, for the owner alone; do nothing when the file is there.")
@database_option
@json_option
def _create(
    name: str,
    worker_pattern: str,
    types: tuple[str, ...],
    tags: tuple[str, ...],
    customers: tuple[str, ...],
    expires_in: str | None,
    output: Path | None,
    database_url: str,
    as_json: bool,
) -> None:
    """Make a join token for workers. It is shown this once."""
    if output is not None and output.exists():
        click.echo(f"{output} is there already")
        return
    expires_at = datetime.now(UTC) + parse_duration(expires_in) if expires_in else None
    made, token = changing(
        database_url,
        lambda database: _service(database).create(
            name,
            worker_pattern=worker_pattern,
            workload_types=_each(types),
            tags=parse_tags(_each(tags)),
            customers=_each(customers),
            expires_at=expires_at,
        ),
    )
    if output is not None:
        output.touch(mode=0o600)
        output.write_text(token + "\n")
        click.echo(f"written to {output}")
        return
    show({"token_id": made.token_id, "join_token": token, "expires_at": made.expires_at}, as_json)


@click.command("list-join-tokens")
@database_option
@json_option
def _list(database_url: str, as_json: bool) -> None:
    """Show join tokens, oldest first, without what could be used."""

    async def every(database: Database) -> list[StoredJoinToken]:
        return await all_pages(_service(database).page, "token_id")

    found = with_database(database_url, every)
    if as_json:
        click.echo(json.dumps({"join_tokens": [plain_struct(token) for token in found]}))
        return
    show_table(
        (
            "token",
            Column("name", folds=True),
            "workers",
            "types",
            "tags",
            "customers",
            "status",
            "created",
            "expires",
        ),
        (
            (
                t.token_id,
                t.name,
                t.worker_pattern,
                ",".join(t.workload_types) or "all",
                ",".join(f"{key}={value}" for key, value in t.tags.items()) or "any",
                ",".join(t.customers) or "all",
                t.status,
                *map(moment, (t.created_at, t.expires_at)),
            )
            for t in found
        ),
    )


@click.command("revoke-join-token")
@click.argument("token_id")
@database_option
@json_option
def _revoke(token_id: str, database_url: str, as_json: bool) -> None:
    """End a join token for ever, and put out the workers that came in with it."""
    changing(database_url, lambda database: _service(database).revoke(token_id))
    show({"token_id": token_id, "revoked": True}, as_json)


@click.command("broker-config")
@click.option("--output", type=_FILE, help="Write it there instead.")
@database_option
def _broker_config(output: Path | None, database_url: str) -> None:
    """Print what a NATS server of your own needs in its configuration. It holds no secret."""
    keys = with_database(database_url, BrokerKeys.load)
    text = keys.configuration() + "ping_interval: 10s\n"
    if output is not None:
        output.write_text(text)
    else:
        click.echo(text, nl=False)


COMMANDS = (_create, _list, _revoke, _broker_config)
