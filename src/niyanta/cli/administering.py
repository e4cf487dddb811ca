"""What the commands of ``niyanta admin`` have in common."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import click
import msgspec

from niyanta.cli.output import plain
from niyanta.cli.secret_options import SecretOption
from niyanta.server.services.administration import AdminService
from niyanta.server.store.customers import CustomerStore
from niyanta.server.store.database import Database

__all__ = [
    "administer",
    "all_pages",
    "database_option",
    "json_option",
    "plain_struct",
    "show",
    "with_database",
]

_ROWS_PER_PAGE = 500

T = TypeVar("T")


def with_database(url: str, work: Callable[[Database], Awaitable[T]]) -> T:
    """Do something in the database."""

    async def run() -> T:
        database = await Database.open(url, api_connections=1, vital_connections=1)
        try:
            return await work(database)
        finally:
            await database.close()

    return asyncio.run(run())


def administer(url: str, work: Callable[[AdminService], Awaitable[T]]) -> T:
    """Do something with customers and keys."""
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
