"""What the commands of ``niyanta admin`` have in common."""

from __future__ import annotations

import asyncio
import getpass
import json
import socket
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeVar

import click
import msgspec

from niyanta.cli.output import plain
from niyanta.cli.secret_options import SecretOption
from niyanta.domain.operator_actions import Doing, Protocol, plain_target
from niyanta.server.services.administration import AdminService
from niyanta.server.services.operators import OperatorRecord
from niyanta.server.store.customers import CustomerStore
from niyanta.server.store.database import Database
from niyanta.server.store.operator_actions import OperatorActionStore

__all__ = [
    "administer",
    "all_pages",
    "changing",
    "database_option",
    "json_option",
    "plain_struct",
    "read",
    "show",
    "with_database",
]

_ROWS_PER_PAGE = 500

T = TypeVar("T")


def with_database(url: str, work: Callable[[Database], Awaitable[T]]) -> T:
    """Do something in the database."""

    async def run() -> T:
        database = await Database.open(url, in_passing=True)
        try:
            return await work(database)
        finally:
            await database.close()

    return asyncio.run(run())


def changing(url: str, work: Callable[[Database], Awaitable[T]]) -> T:
    """Change something in the database, and have it recorded as what an operator did: the command under way."""
    context = click.get_current_context()
    words = (context.info_name or "").split("-")
    doing = Doing(
        action=words[0] + "".join(word.capitalize() for word in words[1:]),
        actor_id=f"{getpass.getuser()}@{socket.gethostname()}",
        protocol=Protocol.CLI,
        target=plain_target(
            {name: context.params.get(name) for name in ("customer_id", "key_id", "token_id", "session_id")}
        ),
        changes=True,
    )

    def recorded(database: Database) -> Awaitable[T]:
        return OperatorRecord(OperatorActionStore(database)).over(doing, partial(work, database))

    return with_database(url, recorded)


def administer(url: str, work: Callable[[AdminService], Awaitable[T]]) -> T:
    """Change customers and keys."""
    return changing(url, lambda database: work(AdminService(CustomerStore(database))))


def read(url: str, work: Callable[[AdminService], Awaitable[T]]) -> T:
    """Read customers and keys."""
    return with_database(url, lambda database: work(AdminService(CustomerStore(database))))


async def all_pages(page: Callable[..., Awaitable[tuple[list[T], int]]], id_of: str) -> list[T]:
    """Every page of a list, one after another."""
    found: list[T] = []
    while True:
        rows, _ = await page(_ROWS_PER_PAGE, after=getattr(found[-1], id_of) if found else None)
        found += rows
        if len(rows) < _ROWS_PER_PAGE:
            return found


def plain_struct(value: msgspec.Struct) -> dict[str, Any]:
    """A struct as JSON has it."""
    return {name: plain(getattr(value, name)) for name in value.__struct_fields__}


def show(found: dict[str, Any], as_json: bool) -> None:
    """Print one thing's fields."""
    if as_json:
        click.echo(json.dumps({name: plain(value) for name, value in found.items()}))
    else:
        for name, value in found.items():
            click.echo(f"{name}: {plain(value)}")


database_option = click.option(
    "--database-url", cls=SecretOption, envvar="NIYANTA_DATABASE_URL", required=True, help="postgresql://…"
)
json_option = click.option("--json", "as_json", is_flag=True, help="One JSON object.")
