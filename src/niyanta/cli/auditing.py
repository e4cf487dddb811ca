"""The commands of ``niyanta admin`` for the audit: verify it, write a checkpoint of it, show what operators did."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from niyanta.cli.administering import database_option, json_option, plain_struct, show, with_database
from niyanta.cli.output import moment, show_table
from niyanta.cli.secret_options import KeyOption
from niyanta.cli.table import Column
from niyanta.domain.audit_chain import AuditKeys
from niyanta.domain.audit_checkpoints import AuditCheckpoint, DamagedCheckpointError
from niyanta.domain.operator_actions import ActionKind, ActionOutcome
from niyanta.server.leader.audit_export import AUDIT_FOLDER, read_checkpoints, take_checkpoint, write_checkpoint
from niyanta.server.services.audit_proof import AuditProof, ProofReport
from niyanta.server.store.database import Database
from niyanta.server.store.operator_actions import ActionFilter, OperatorActionStore
from niyanta.wire.objects import ObjectStore

__all__ = ["COMMANDS"]

_key_option = click.option(
    "--audit-key",
    cls=KeyOption,
    envvar="NIYANTA_AUDIT_KEY",
    default="",
    show_default=False,
    help="Of the coordinators, if they have one: by NIYANTA_AUDIT_KEY or NIYANTA_AUDIT_KEY_FILE only.",
)


@click.command("verify-audit")
@click.option("--customer", "customer_id", help="Only this one's; `operators` for operators' own.")
@click.option(
    "--checkpoint", "places", multiple=True, help="A file, or the URL of a store with checkpoints; of several all."
)
@click.option(
    "--retention-days",
    envvar="NIYANTA_AUDIT_RETENTION_DAYS",
    default=365,
    show_default=True,
    type=click.IntRange(min=1),
    help="How long audit events are kept; what is gone must be older.",
)
@click.option("--keyed-since", type=click.DateTime(), help="When the coordinators got their key (UTC).")
@_key_option
@database_option
@json_option
def _verify(
    customer_id: str | None,
    places: tuple[str, ...],
    retention_days: int,
    keyed_since: datetime | None,
    audit_key: str,
    database_url: str,
    as_json: bool,
) -> None:
    """Look whether anything in the audit was changed since it was written. Exit 1 when it was."""
    keys = AuditKeys.parse(audit_key)
    since = None if keyed_since is None else keyed_since.replace(tzinfo=UTC)

    files = [_read_file(place, keys) for place in places if "://" not in place]

    async def verify(database: Database) -> ProofReport:
        checkpoints = list(files)
        for url in places:
            checkpoints += await _read_store(url, keys) if "://" in url else []
        proof = AuditProof(database, keys, timedelta(days=retention_days), since)
        return await proof.verify(customer_id, checkpoints)

    report = with_database(database_url, verify)
    _show_report(report, as_json)
    raise SystemExit(1 if report.breaks else 0)


def _read_file(place: str, keys: AuditKeys) -> AuditCheckpoint:
    try:
        return AuditCheckpoint.decode(Path(place).read_bytes(), keys)
    except DamagedCheckpointError as exc:
        raise click.ClickException(f"the checkpoint {place} is no good: {exc}") from exc
    except OSError as exc:
        raise click.ClickException(f"the checkpoint {place} can't be read: {exc.strerror}") from exc


async def _read_store(url: str, keys: AuditKeys) -> Sequence[AuditCheckpoint]:
    try:
        return await read_checkpoints(ObjectStore(url), keys)
    except DamagedCheckpointError as exc:
        raise click.ClickException(f"a checkpoint in {url} is no good: {exc}") from exc


def _show_report(report: ProofReport, as_json: bool) -> None:
    figures = {
        "verified": not report.breaks,
        "customers": report.customers,
        "seals": report.seals,
        "events": report.events,
        "unsealed": report.unsealed,
        "dropped_by_retention": report.dropped,
        "before_seals": report.before,
        "checkpoints": report.checkpoints,
        "given_up_by_restores": report.given_up,
        "breaks": len(report.breaks) + report.more_breaks,
    }
    if as_json:
        found = [
            {
                "kind": b.kind.value,
                "customer_id": b.customer_id,
                "workload_id": b.workload_id or None,
                "event_id": b.event_id or None,
                "seal": b.sequence or None,
                "text": b.text,
            }
            for b in report.breaks
        ]
        click.echo(json.dumps({**figures, "found": found}))
        return
    show(figures, as_json=False)
    for found_break in report.breaks:
        click.secho(f"{found_break.customer_id}: {found_break.kind.value}: {found_break.text}", fg="red")
    if report.more_breaks:
        click.echo(f"… and {report.more_breaks} more")


@click.command("export-audit")
@click.option("--to", "place", required=True, help="A folder, or the URL of a store.")
@click.option("--restored", help="The database was restored from a backup since the last checkpoint: why, in words.")
@_key_option
@database_option
@json_option
def _export(place: str, restored: str | None, audit_key: str, database_url: str, as_json: bool) -> None:
    """Write a checkpoint: where each chain ends now. Keep it where nobody gets who can write the database."""
    keys, now = AuditKeys.parse(audit_key), datetime.now(UTC)

    async def export(database: Database) -> tuple[str, AuditCheckpoint]:
        if "://" in place:
            made = await write_checkpoint(database, ObjectStore(place), keys, now, restored)
            return f"{place.rstrip('/')}/{AUDIT_FOLDER}{made.file_name}", made
        return "", await take_checkpoint(database, now, restored)

    url, made = with_database(database_url, export)
    if not url:
        (Path(place) / made.file_name).write_bytes(made.encode(keys))
    show({"file": url or str(Path(place) / made.file_name), "chains": len(made.heads)}, as_json)


@click.command("audit")
@click.option("--actor", "actor_id", help="Only what this key, or user@machine, did.")
@click.option("--action", help="Only this operation: drainWorker.")
@click.option("--kind", type=click.Choice([each.value for each in ActionKind]), help="Only changes, or only reads.")
@click.option("--target", help="Only what named or made the thing with this id.")
@click.option("--outcome", type=click.Choice([each.value for each in ActionOutcome]), help="Only what ended so.")
@click.option("--since", type=click.DateTime(), help="Only what was begun then or later (UTC).")
@click.option("--until", type=click.DateTime(), help="Only what was begun before (UTC).")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1), help="How many at the most.")
@database_option
@json_option
def _audit(
    actor_id: str | None,
    action: str | None,
    kind: str | None,
    target: str | None,
    outcome: str | None,
    since: datetime | None,
    until: datetime | None,
    limit: int,
    database_url: str,
    as_json: bool,
) -> None:
    """Show what operators did, the newest first."""
    wanted = ActionFilter(
        actor_id=actor_id,
        action=action,
        kind=None if kind is None else ActionKind(kind),
        target=target,
        outcome=None if outcome is None else ActionOutcome(outcome),
        since=None if since is None else since.replace(tzinfo=UTC),
        until=None if until is None else until.replace(tzinfo=UTC),
    )
    found = with_database(database_url, lambda database: OperatorActionStore(database).page(wanted, limit))
    if as_json:
        click.echo(json.dumps({"actions": [plain_struct(each) for each in found]}))
        return
    show_table(
        ("when", "who", "from", "action", Column("target", folds=True), "outcome"),
        (
            (
                moment(each.occurred_at),
                each.actor_id,
                each.source or each.protocol,
                each.action,
                " ".join(f"{name}={value}" for name, value in each.target.items()),
                each.error_code or each.outcome.value,
            )
            for each in found
        ),
    )


COMMANDS = (_verify, _export, _audit)
