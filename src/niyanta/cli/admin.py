"""``niyanta admin``: customers and keys, straight in the database."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from niyanta.server.store.customers import CustomerStore
from niyanta.server.store.database import Database

__all__ = ["command", "parse_duration"]

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def parse_duration(text: str) -> timedelta:
    """``90s``, ``15m``, ``12h``, ``90d``."""
    match = re.fullmatch(r"([0-9]{1,6})([smhd])", text)
    if match is None:
        raise click.BadParameter(f"'{text}' must look like 90s, 15m, 12h or 90d")
    return timedelta(seconds=int(match[1]) * _UNITS[match[2]])


def _with_store(url: str, work: Callable[[CustomerStore], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        database = await Database.open(url, api_connections=1, vital_connections=1)
        try:
            return await work(CustomerStore(database))
        finally:
            await database.close()

    return asyncio.run(run())


def _show(found: dict[str, Any], as_json: bool) -> None:
    plain = {k: v.isoformat() if isinstance(v, datetime) else v for k, v in found.items()}
    if as_json:
        click.echo(json.dumps(plain))
    else:
        for name, value in plain.items():
            click.echo(f"{name}: {value}")


_url = click.option("--database-url", envvar="NIYANTA_DATABASE_URL", required=True, help="postgresql://…")
_json = click.option("--json", "as_json", is_flag=True, help="One JSON object.")


@click.group("admin")
def command() -> None:
    """Make customers and keys."""


@command.command("create-customer")
@click.argument("name")
@click.option("--id", "customer_id", help="cust_…; made when missing.")
@click.option("--tier", default="standard", show_default=True)
@click.option("--max-concurrent", type=click.IntRange(0))
@click.option("--max-queue-depth", type=click.IntRange(0))
@click.option("--rate-limit", type=click.FloatRange(0, min_open=True), help="Requests per second.")
@_url
@_json
def create_customer(
    name: str,
    customer_id: str | None,
    tier: str,
    max_concurrent: int | None,
    max_queue_depth: int | None,
    rate_limit: float | None,
    database_url: str,
    as_json: bool,
) -> None:
    """Add a customer."""
    limits = {
        "max_concurrent_workloads": max_concurrent,
        "max_queue_depth": max_queue_depth,
        "rate_limit_per_sec": rate_limit,
    }
    made = _with_store(database_url, lambda s: s.create_customer(name, customer_id, tier, limits))
    _show({"customer_id": made.customer_id, "name": made.name, "tier": made.tier.value}, as_json)


@command.command("create-key")
@click.option("--customer", "customer_id", required=True)
@click.option("--admin", is_flag=True, help="A key with the admin role.")
@click.option("--name", default="command line", show_default=True)
@click.option("--expires-in", help="90s, 15m, 12h, 90d; never when missing.")
@_url
@_json
def create_key(
    customer_id: str, admin: bool, name: str, expires_in: str | None, database_url: str, as_json: bool
) -> None:
    """Make an API key. It is shown this once."""
    expires_at = datetime.now(UTC) + parse_duration(expires_in) if expires_in else None
    role = "admin" if admin else "customer"
    key_id, api_key = _with_store(database_url, lambda s: s.create_key(customer_id, name, role, expires_at))
    _show({"key_id": key_id, "api_key": api_key, "expires_at": expires_at}, as_json)


@command.command("revoke-key")
@click.argument("key_id")
@_url
@_json
def revoke_key(key_id: str, database_url: str, as_json: bool) -> None:
    """End a key for ever."""
    customer_id = _with_store(database_url, lambda s: s.revoke_key(key_id))
    _show({"key_id": key_id, "customer_id": customer_id, "revoked": True}, as_json)
