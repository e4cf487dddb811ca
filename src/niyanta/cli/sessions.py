"""The commands of ``niyanta admin`` for who is in: they need no coordinator, and none that can be reached."""

from __future__ import annotations

import json
from collections.abc import Sequence

import click

from niyanta.cli.administering import changing, database_option, json_option, plain_struct, show, with_database
from niyanta.cli.output import moment, show_table
from niyanta.cli.table import Column
from niyanta.cli.times import parse_duration
from niyanta.domain.customers import CredentialKind
from niyanta.domain.limits import MAX_SESSIONS_SHOWN
from niyanta.server.services.sessions import SessionService
from niyanta.server.store.customers import CustomerStore
from niyanta.server.store.database import Database
from niyanta.server.store.sessions import LiveSession, SessionStore

__all__ = ["COMMANDS"]


def _service(database: Database) -> SessionService:
    return SessionService(SessionStore(database), CustomerStore(database))


@click.command("list-sessions")
@click.option("--customer", "customer_id", help="Only this one's.")
@click.option("--kind", type=click.Choice([kind.value for kind in CredentialKind]), help="Only of this kind.")
@click.option("--used-within", help="90s, 15m, 12h, 90d: only what was used so lately.")
@click.option(
    "--limit", default=100, show_default=True, type=click.IntRange(1, MAX_SESSIONS_SHOWN), help="Not more than this."
)
@database_option
@json_option
def _list(
    customer_id: str | None, kind: str | None, used_within: str | None, limit: int, database_url: str, as_json: bool
) -> None:
    """Show who is in: every credential that is good now, those used last first."""
    seconds = round(parse_duration(used_within).total_seconds()) if used_within else None

    async def live(database: Database) -> Sequence[LiveSession]:
        wanted = None if kind is None else CredentialKind(kind)
        return await _service(database).live(limit, customer_id=customer_id, kind=wanted, used_within_seconds=seconds)

    found = with_database(database_url, live)
    if as_json:
        click.echo(json.dumps({"sessions": [plain_struct(session) for session in found]}))
        return
    show_table(
        ("session", "customer", "kind", Column("name", folds=True), "role", "since", "expires", "last used", "from"),
        (
            (
                s.session_id,
                s.customer_id,
                s.kind,
                s.name,
                s.role,
                *map(moment, (s.began_at, s.expires_at, s.last_used_at)),
                s.last_used_from or "",
            )
            for s in found
        ),
    )


@click.command("revoke-session")
@click.argument("session_id")
@database_option
@json_option
def _revoke(session_id: str, database_url: str, as_json: bool) -> None:
    """Send somebody out: end a key with its tokens, a token, or all that a subject was given so far."""
    customer_id = changing(database_url, lambda database: _service(database).revoke(session_id))
    show({"session_id": session_id, "customer_id": customer_id, "revoked": True}, as_json)


COMMANDS = (_list, _revoke)
