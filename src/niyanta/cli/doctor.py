"""``niyanta doctor``: checks a running system."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from datetime import UTC, datetime
from pathlib import Path

import click

from niyanta.cli.output import echo_json
from niyanta.cli.secret_options import SecretOption
from niyanta.errors import NiyantaError
from niyanta.server.access.certificates import Certificates
from niyanta.server.access.exposure import exposures
from niyanta.server.fleet.broker_keys import BrokerKeys
from niyanta.server.services.diagnosis import (
    Finding,
    Severity,
    cgroup_finding,
    clock_finding,
    database_finding,
    leader_finding,
    partition_findings,
    role_finding,
    schema_finding,
    tls_findings,
    worker_findings,
)
from niyanta.server.settings import CoordinatorSettings
from niyanta.server.store import schema as schemas
from niyanta.server.store.database import Database
from niyanta.server.store.lease import LeaseStore
from niyanta.server.store.vitals import VitalsStore
from niyanta.server.store.workers import WorkerStore
from niyanta.wire.broker import Broker
from niyanta.wire.broker_auth import BrokerAuth
from niyanta.wire.login import Login
from niyanta.wire.nearby import dev_credentials
from niyanta.worker.launcher.cgroups import hierarchies

__all__ = ["command"]

_COLOURS = {Severity.OK: "green", Severity.WARNING: "yellow", Severity.WRONG: "red"}


@click.command("doctor")
@click.option(
    "--database-url",
    cls=SecretOption,
    envvar="NIYANTA_DATABASE_URL",
    help="postgresql://…; that of the nearest `niyanta dev` when both are missing.",
)
@click.option(
    "--nats-url",
    cls=SecretOption,
    envvar="NIYANTA_NATS_URL",
    help="nats://…; that of the nearest `niyanta dev` when both are missing.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def command(database_url: str | None, nats_url: str | None, as_json: bool) -> None:
    """Check a running system, and say what to do.

    Database, broker, leader, clocks, partitions, retention, workers, TLS and this machine. It changes nothing. Exit 1
    when something is wrong; warnings don't count.
    """
    logging.getLogger("niyanta").setLevel(logging.CRITICAL)  # what fails is told in words of our own
    if not database_url and not nats_url:
        here = dev_credentials()
        database_url, nats_url = here.get("database_url"), here.get("nats_url")
    found = asyncio.run(_look(database_url, nats_url))
    found.append(cgroup_finding(_controllers()))
    if as_json:
        echo_json({"findings": found})
    else:
        for finding in found:
            _show(finding)
    raise SystemExit(1 if any(finding.severity is Severity.WRONG for finding in found) else 0)


def _controllers() -> set[str]:
    """Of which controllers we could make groups here, found without making any."""
    found: set[str] = set()
    with contextlib.suppress(OSError):
        mounts, memberships = (Path(f"/proc/self/{name}").read_text() for name in ("mountinfo", "cgroup"))
        for hierarchy in hierarchies(mounts, memberships):
            own = hierarchy.own if hierarchy.own.is_dir() else hierarchy.top
            if os.access(own, os.W_OK):
                listed = own / "cgroup.controllers"
                found |= set(listed.read_text().split()) if listed.exists() else hierarchy.controllers
    return found


async def _look(database_url: str | None, nats_url: str | None) -> list[Finding]:
    settings = CoordinatorSettings.from_environment(
        database_url=database_url or "postgresql://none", nats_url=nats_url or "nats://none"
    )
    found = []
    login = None
    if database_url:
        try:
            found += await _database_findings(settings)
            login = await _login(settings)
        except NiyantaError as exc:
            advice = "Is it there, does it take writes, and is NIYANTA_DATABASE_URL right?"
            found.append(Finding("database", Severity.WRONG, str(exc), advice))
    else:
        found.append(_not_given("database", "--database-url"))
    found.append(await _broker_finding(settings, login) if nats_url else _not_given("broker", "--nats-url"))
    given = {"listener"} | ({"database"} if database_url else set()) | ({"broker"} if nats_url else set())
    return [*found, *_tls_findings(settings, given)]


def _tls_findings(settings: CoordinatorSettings, given: set[str]) -> list[Finding]:
    """Of the ways that were named."""
    ends_at = None
    if settings.tls_cert:
        try:
            ends_at = Certificates(settings).current.ends_at
        except NiyantaError as exc:
            return [Finding("tls", Severity.WRONG, str(exc), "Coordinators can't start with this.")]
    exposed = [exposure for exposure in exposures(settings) if exposure.way in given]
    return tls_findings(exposed, ends_at, datetime.now(UTC))


async def _login(settings: CoordinatorSettings) -> Login | None:
    """That of coordinators, which is in the database; None for an open broker."""
    if settings.broker_auth is BrokerAuth.NONE:
        return None
    database = await Database.open(settings.database_url, in_passing=True)
    try:
        return (await BrokerKeys.load(database)).login
    finally:
        await database.close()


async def _database_findings(settings: CoordinatorSettings) -> list[Finding]:
    schema = await schemas.status(settings.database_url)
    if wrong := schema_finding(schema):
        return [wrong]
    database = await Database.open(settings.database_url, in_passing=True)
    try:
        async with database.connection() as conn:
            before, began = time.time(), time.monotonic()
            now = (await WorkerStore().time_now(conn)).timestamp()
            took = time.monotonic() - began
            return [
                database_finding(schema.current or "", took),
                role_finding(database.standing),
                clock_finding(now - before - took / 2),
                leader_finding(await LeaseStore().current(conn)),
                *partition_findings(await VitalsStore().partition_spans(conn), settings),
                *worker_findings(await WorkerStore().all(conn), settings.worker_lease_seconds),
            ]
    finally:
        await database.close()


async def _broker_finding(settings: CoordinatorSettings, login: Login | None) -> Finding:
    broker = Broker(settings.nats_url, name="doctor", login=login, tls=settings.broker_tls)
    began = time.monotonic()
    try:
        await broker.connect(timeout_seconds=5.0)
    except NiyantaError as exc:
        advice = "Is it there, with what `niyanta admin broker-config` prints, and is NIYANTA_NATS_URL right?"
        return Finding("broker", Severity.WRONG, str(exc), advice)
    took = time.monotonic() - began
    await broker.close()
    return Finding("broker", Severity.OK, f"connected in {took * 1000:.0f} ms")


def _not_given(check: str, option: str) -> Finding:
    return Finding(
        check, Severity.WARNING, "not looked at", f"Give {option}, or the variable that coordinators have."
    )


def _show(finding: Finding) -> None:
    severity = click.style(f"{finding.severity:7}", fg=_COLOURS[finding.severity])
    click.echo(f"{severity} {finding.check}: {finding.text}")
    if finding.advice:
        click.echo(f"        → {finding.advice}")
