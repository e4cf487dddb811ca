"""``niyanta db``: migrations."""

from __future__ import annotations

import asyncio

import click

from niyanta.server.store import migrate, schema

__all__ = ["command"]

_url = click.option("--database-url", envvar="NIYANTA_DATABASE_URL", required=True, help="postgresql://…")


@click.group("db")
def command() -> None:
    """Bring the database to this release's schema, or see where it stands."""


@command.command("upgrade")
@_url
def upgrade(database_url: str) -> None:
    """Bring the database to this release's schema."""
    found = asyncio.run(migrate.upgrade(database_url))
    click.echo(f"schema {found.current}")


@command.command("status")
@_url
def status(database_url: str) -> None:
    """Say where the database stands; exit 1 when it isn't at this release's schema."""
    found = asyncio.run(schema.status(database_url))
    click.echo(f"schema {found.current or 'empty'}, this release has {found.newest}")
    raise SystemExit(0 if found.is_current else 1)
