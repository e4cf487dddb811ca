"""``niyanta doctor``: checks a running system."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from pathlib import Path

import click

from niyanta.cli.output import echo_json
from niyanta.server.services.diagnosis import (
    Finding,
    Verdict,
    broker_findings,
    cgroup_finding,
    database_findings,
)
from niyanta.server.settings import CoordinatorSettings
from niyanta.worker.launcher.cgroups import hierarchies

__all__ = ["command"]

_COLOURS = {Verdict.OK: "green", Verdict.WARNING: "yellow", Verdict.WRONG: "red"}


@click.command("doctor")
@click.option("--database-url", envvar="NIYANTA_DATABASE_URL", help="postgresql://…; not looked at when missing.")
@click.option("--nats-url", envvar="NIYANTA_NATS_URL", help="nats://…; not looked at when missing.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def command(database_url: str | None, nats_url: str | None, as_json: bool) -> None:
    """Check a running system, and say what to do.

    Database, broker, leader, clocks, partitions, retention, workers and this machine. It changes nothing. Exit 1 when
    something is wrong; warnings don't count.
    """
    logging.getLogger("niyanta").setLevel(logging.CRITICAL)  # what fails is told in words of our own
    found = asyncio.run(_look(database_url, nats_url))
    found.append(cgroup_finding(_controllers()))
    if as_json:
        echo_json({"findings": found})
    else:
        for finding in found:
            _show(finding)
    raise SystemExit(1 if any(finding.verdict is Verdict.WRONG for finding in found) else 0)


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
    found = []
    if database_url:
        settings = CoordinatorSettings.from_environment(database_url=database_url, nats_url=nats_url or "nats://none")
        found += await database_findings(database_url, settings)
    else:
        found.append(_not_given("database", "--database-url"))
    found += await broker_findings(nats_url) if nats_url else [_not_given("broker", "--nats-url")]
    return found


def _not_given(check: str, option: str) -> Finding:
    return Finding(check, Verdict.WARNING, "not looked at", f"Give {option}, or the variable that coordinators have.")


def _show(finding: Finding) -> None:
    verdict = click.style(f"{finding.verdict:7}", fg=_COLOURS[finding.verdict])
    click.echo(f"{verdict} {finding.check}: {finding.text}")
    if finding.advice:
        click.echo(f"        → {finding.advice}")
