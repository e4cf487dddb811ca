"""``niyanta admin``: customers, keys and join tokens, straight in the database."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

import click

from niyanta.cli.administering import administer, all_pages, database_option, json_option, plain_struct, read, show
from niyanta.cli.auditing import COMMANDS as AUDIT_COMMANDS
from niyanta.cli.join_tokens import COMMANDS
from niyanta.cli.output import moment, show_table
from niyanta.cli.sessions import COMMANDS as SESSION_COMMANDS
from niyanta.cli.table import Column
from niyanta.cli.times import parse_duration
from niyanta.domain.customers import CustomerStatus, Role, Scope
from niyanta.server.services.administration import AdminService
from niyanta.server.store.customers import ApiKey

__all__ = ["command"]

_LIMIT_OPTIONS = {
    "max_concurrent_workloads": click.option(
        "--max-concurrent", "max_concurrent_workloads", type=int, help="Workloads that hold a worker's slot."
    ),
    "max_queue_depth": click.option("--max-queue-depth", type=int, help="Workloads that wait."),
    "rate_limit_per_sec": click.option("--rate-limit", "rate_limit_per_sec", type=float, help="Requests per second."),
    "burst": click.option("--burst", type=int, help="Requests at once, after a rest."),
}


def _limit_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed(_LIMIT_OPTIONS.values()):
        command = option(command)
    return command


@click.group("admin")
def command() -> None:
    """Customers, keys and join tokens, straight in the database: for the first, and where no coordinator runs."""


@command.command("create-customer")
@click.argument("name")
@click.option("--id", "customer_id", help="cust_…; made when missing.")
@click.option("--tier", default="standard", show_default=True, help="free, standard, premium or enterprise.")
@_limit_options
@database_option
@json_option
def create_customer(
    name: str, customer_id: str | None, tier: str, database_url: str, as_json: bool, **limits: float | None
) -> None:
    """Add a customer."""
    made = administer(database_url, lambda a: a.create_customer(name, customer_id, tier, limits))
    show({"customer_id": made.customer_id, "name": made.name, "tier": made.tier.value}, as_json)


@command.command("list-customers")
@database_option
@json_option
def list_customers(database_url: str, as_json: bool) -> None:
    """Show all customers, oldest first."""
    found = read(database_url, lambda a: all_pages(a.customers, "customer_id"))
    if as_json:
        click.echo(json.dumps({"customers": [plain_struct(customer) for customer in found]}))
        return
    show_table(
        ("customer", Column("name", folds=True), "tier", "status", "running", "queued", "requests/s"),
        (
            (
                c.customer_id,
                c.name,
                c.tier.value,
                c.status,
                f"{c.running}/{c.max_concurrent_workloads}",
                f"{c.queued}/{c.max_queue_depth}",
                f"{c.rate_limit_per_sec:g}",
            )
            for c in found
        ),
    )


@command.command("update-customer")
@click.argument("customer_id")
@click.option("--name", help="For people.")
@click.option("--tier", help="free, standard, premium or enterprise.")
@click.option(
    "--suspend", "status", flag_value=CustomerStatus.SUSPENDED.value, help="Refuse its calls; running work finishes."
)
@click.option("--activate", "status", flag_value=CustomerStatus.ACTIVE.value, help="End a suspension.")
@_limit_options
@click.option(
    "--default", "defaults", multiple=True, type=click.Choice(list(_LIMIT_OPTIONS)), help="As the tier has it."
)
@database_option
@json_option
def update_customer(
    customer_id: str,
    name: str | None,
    tier: str | None,
    status: str | None,
    defaults: tuple[str, ...],
    database_url: str,
    as_json: bool,
    **limits: float | None,
) -> None:
    """Change a customer's name, tier, limits or status."""
    changed = {limit: value for limit, value in limits.items() if value is not None}
    both = sorted(set(defaults) & set(changed))
    if both:
        raise click.UsageError(f"{both[0]} is given both a figure and --default")
    changes = {**changed, **dict.fromkeys(defaults)}
    found = administer(
        database_url,
        lambda a: a.update_customer(customer_id, name=name, tier=tier, status=status, limits=changes),
    )
    show(plain_struct(found), as_json)


@command.command("create-key")
@click.option("--customer", "customer_id", required=True, help="cust_…, whose key it is.")
@click.option("--admin", is_flag=True, help="A key with the admin role.")
@click.option("--name", default="command line", show_default=True, help="For people.")
@click.option("--expires-in", help="90s, 15m, 12h, 90d; never when missing.")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice([scope.value for scope in Scope]),
    help="Of several; all of the role when missing.",
)
@database_option
@json_option
def create_key(
    customer_id: str,
    admin: bool,
    name: str,
    expires_in: str | None,
    scopes: tuple[str, ...],
    database_url: str,
    as_json: bool,
) -> None:
    """Make an API key. It is shown this once."""
    expires_at = datetime.now(UTC) + parse_duration(expires_in) if expires_in else None
    role = Role.ADMIN if admin else Role.CUSTOMER
    made, api_key = administer(
        database_url, lambda a: a.create_key(customer_id, name, role, expires_at, scopes or None)
    )
    show({"key_id": made.key_id, "api_key": api_key, "expires_at": made.expires_at}, as_json)


@command.command("rotate-key")
@click.argument("key_id")
@click.option("--customer", "customer_id", required=True, help="cust_…, whose key it is.")
@click.option("--overlap", default="24h", show_default=True, help="How long the key stays good: 0s, 15m, 12h, 30d.")
@database_option
@json_option
def rotate_key(key_id: str, customer_id: str, overlap: str, database_url: str, as_json: bool) -> None:
    """Make a key that takes the place of another. It is shown this once."""
    seconds = round(parse_duration(overlap).total_seconds())
    made, api_key = administer(database_url, lambda a: a.rotate_key(customer_id, key_id, seconds))
    show({"key_id": made.key_id, "api_key": api_key, "expires_at": made.expires_at}, as_json)


@command.command("list-keys")
@click.option("--customer", "customer_id", required=True, help="cust_…, whose key it is.")
@database_option
@json_option
def list_keys(customer_id: str, database_url: str, as_json: bool) -> None:
    """Show a customer's API keys, oldest first, without what could be used."""

    async def all_keys(administration: AdminService) -> list[ApiKey]:
        return await all_pages(partial(administration.keys, customer_id), "key_id")

    found = read(database_url, all_keys)
    if as_json:
        click.echo(json.dumps({"api_keys": [plain_struct(key) for key in found]}))
        return
    show_table(
        ("key", Column("name", folds=True), "role", "status", "created", "expires", "last used", "from"),
        (
            (
                key.key_id,
                key.name,
                key.role,
                key.status,
                *map(moment, (key.created_at, key.expires_at, key.last_used_at)),
                key.last_used_from or "",
            )
            for key in found
        ),
    )


@command.command("revoke-key")
@click.argument("key_id")
@database_option
@json_option
def revoke_key(key_id: str, database_url: str, as_json: bool) -> None:
    """End a key for ever."""
    customer_id = administer(database_url, lambda a: a.revoke_key(key_id))
    show({"key_id": key_id, "customer_id": customer_id, "revoked": True}, as_json)


for _command in (*COMMANDS, *SESSION_COMMANDS, *AUDIT_COMMANDS):
    command.add_command(_command)
