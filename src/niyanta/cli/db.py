"""``niyanta db``: migrations and roles."""

from __future__ import annotations

import asyncio
import os

import click

from niyanta.cli.administering import database_option
from niyanta.cli.secret_options import SecretOption
from niyanta.errors import ConfigurationError
from niyanta.server.store import migrate, schema
from niyanta.server.store.roles import writing
from niyanta.server.store.roles.writing import DatabaseRole
from niyanta.wire.secret_values import secret_value

__all__ = ["command"]


@click.group("db")
def command() -> None:
    """The database's schema, and who may do what there."""


@command.command("upgrade")
@database_option
def upgrade(database_url: str) -> None:
    """Bring the database to this release's schema, and its roles to what they need of it."""
    found = asyncio.run(migrate.upgrade(database_url))
    click.echo(f"schema {found.current}")
    if asyncio.run(writing.renew(database_url)):
        click.echo("roles have what they need")


@command.command("status")
@database_option
def status(database_url: str) -> None:
    """Say where the database stands; exit 1 when it isn't at this release's schema."""
    found = asyncio.run(schema.status(database_url))
    click.echo(f"schema {found.current or 'empty'}, this release has {found.newest}")
    raise SystemExit(0 if found.is_current else 1)


@command.command("roles")
@click.option("--apply", "does_apply", is_flag=True, help="Run it here instead of printing it.")
@click.option("--database-url", cls=SecretOption, envvar="NIYANTA_DATABASE_URL", help="postgresql://…, for --apply.")
def roles(does_apply: bool, database_url: str | None) -> None:
    """Print the SQL that makes the roles of coordinators and reports, and grants them what they need; for psql.

    With --apply it is run, by a role that owns the schema and may create roles, as often as one likes. Who shall log
    in is given a password then: by NIYANTA_COORDINATOR_PASSWORD and NIYANTA_REPORTING_PASSWORD, or by files that
    NIYANTA_COORDINATOR_PASSWORD_FILE and NIYANTA_REPORTING_PASSWORD_FILE name.
    """
    if not does_apply:
        click.echo(writing.script(), nl=False)
        return
    if database_url is None:
        raise ConfigurationError("say where the database is: NIYANTA_DATABASE_URL")
    passwords = {role: found for role in DatabaseRole if (found := secret_value(os.environ, _variable(role)))}
    has_granted = asyncio.run(writing.apply(database_url, passwords))
    click.echo(f"roles are there: {', '.join(DatabaseRole)}")
    for role in passwords:
        click.echo(f"{role} logs in by its password")
    click.echo("they have what they need" if has_granted else "they get what they need by `niyanta db upgrade`")


def _variable(role: DatabaseRole) -> str:
    return f"NIYANTA_{role.name}_PASSWORD"
